// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/maps: "lo-hi perms offset major:minor inode   path". A process chooses the path bytes
 * itself (the kernel escapes newlines only), so the path is a hint and never proof.
 */
#include "daemon/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MAPS_MAX_LINES 65536u

struct cursor {
	const char *at, *end;
};

static bool take_char(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool take_number(struct cursor *c, unsigned base, uint64_t *ret_value)
{
	const char *begin = c->at;
	uint64_t value = 0;

	for (; c->at < c->end; c->at++) {
		unsigned digit;

		if (*c->at >= '0' && *c->at <= '9')
			digit = (unsigned)(*c->at - '0');
		else if (base == 16 && *c->at >= 'a' && *c->at <= 'f')
			digit = (unsigned)(*c->at - 'a') + 10;
		else
			break;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret_value = value;
	return c->at > begin;
}

static void take_path(struct cursor *c, struct maps_entry *entry)
{
	static const char deleted[] = " (deleted)";
	size_t n;

	while (c->at < c->end && *c->at == ' ')
		c->at++;
	n = (size_t)(c->end - c->at);
	entry->path_cut = n >= sizeof(entry->path) || memchr(c->at, '\0', n) != NULL ||
			  memmem(c->at, n, "\\012", 4) != NULL ||
			  (n >= sizeof(deleted) - 1 && memcmp(c->end - (sizeof(deleted) - 1),
							      deleted, sizeof(deleted) - 1) == 0);
	if (n >= sizeof(entry->path))
		n = sizeof(entry->path) - 1;
	memcpy(entry->path, c->at, n);
	entry->path[n] = '\0';
}

int maps_parse_line(const char *line, size_t length, struct maps_entry *ret_entry)
{
	struct cursor c = { line, line + length };
	struct maps_entry entry = { 0 };
	uint64_t major, minor;

	if (!take_number(&c, 16, &entry.low) || !take_char(&c, '-') ||
	    !take_number(&c, 16, &entry.high) || !take_char(&c, ' ') || c.end - c.at < 5)
		return -EINVAL;
	entry.executable = c.at[2] == 'x';
	c.at += 4;
	if (!take_char(&c, ' ') || !take_number(&c, 16, &entry.offset) || !take_char(&c, ' ') ||
	    !take_number(&c, 16, &major) || !take_char(&c, ':') || !take_number(&c, 16, &minor) ||
	    !take_char(&c, ' ') || !take_number(&c, 10, &entry.inode))
		return -EINVAL;
	if (entry.low >= entry.high || major > UINT32_MAX || minor > UINT32_MAX)
		return -EINVAL;
	entry.device_major = (uint32_t)major;
	entry.device_minor = (uint32_t)minor;
	take_path(&c, &entry);
	*ret_entry = entry;
	return 0;
}

/* The whole lines of `text`; 1 = found. What is left of a last, unfinished line goes to *ret_left.
 */
static int find_in(char *text, size_t size, uint64_t address, unsigned *lines, size_t *ret_left,
		   struct maps_entry *ret_entry)
{
	char *at = text, *newline;
	struct maps_entry entry;

	while ((newline = memchr(at, '\n', (size_t)(text + size - at)))) {
		if (++*lines > MAPS_MAX_LINES)
			return -E2BIG;
		if (maps_parse_line(at, (size_t)(newline - at), &entry) == 0 &&
		    address >= entry.low && address < entry.high) {
			*ret_entry = entry;
			return 1;
		}
		at = newline + 1;
	}
	*ret_left = (size_t)(text + size - at);
	memmove(text, at, *ret_left);
	return 0;
}

int maps_find(int pid, uint64_t address, struct maps_entry *ret_entry)
{
	char name[32], text[8192];
	_cleanup_fd_ int fd = -EBADF;
	unsigned lines = 0;
	size_t held = 0;
	ssize_t n;
	int found;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		n = read(fd, text + held, sizeof(text) - held);
		if (n < 0)
			return errno == ESRCH ? -ENOENT : -errno;
		if (n == 0)
			return -ENOENT;
		found = find_in(text, held + (size_t)n, address, &lines, &held, ret_entry);
		if (found)
			return found > 0 ? 0 : found;
		if (held == sizeof(text)) /* no kernel writes such a line */
			return -EIO;
	}
}
