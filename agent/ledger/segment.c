// SPDX-License-Identifier: GPL-2.0
/*
 * Segment files by name: listing, setting aside, removing. Knows nothing of what is in them.
 *
 *	ledger-YYYYMMDDTHH.db		the segment of that hour, UTC, by time of commit
 *	ledger-YYYYMMDDTHH.N.db		its successor within the hour, begun after one was damaged
 *	….db-wal, ….db-shm		SQLite's, while the segment is being written
 *	….db.corrupt-<n>		set aside: never read again, kept until retention removes it
 *	ledger.lock			flock()ed by the writer
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "core/record_json.h"
#include "ledger/internal.h"

int path_join(char *buffer, size_t size, const char *directory, const char *file)
{
	int n = snprintf(buffer, size, "%s/%s", directory, file);

	if (n < 0 || (size_t)n >= size)
		return ledger_fail(-ENAMETOOLONG, "ledger: the path of %s is too long", file);
	return 0;
}

int segment_compare(const struct segment_name *a, const struct segment_name *b)
{
	if (a->hour != b->hour)
		return a->hour < b->hour ? -1 : 1;
	return a->suffix == b->suffix ? 0 : a->suffix < b->suffix ? -1 : 1;
}

int64_t segment_hour(int64_t realtime_ns)
{
	int64_t hour = realtime_ns / NS_PER_HOUR;

	return realtime_ns % NS_PER_HOUR < 0 ? hour - 1 : hour;
}

void segment_format(const struct segment_name *name, char *buffer, size_t size)
{
	char t[40], suffix[16] = "";

	realtime_format(name->hour * NS_PER_HOUR, t, sizeof(t));
	if (name->suffix)
		snprintf(suffix, sizeof(suffix), ".%u", name->suffix);
	snprintf(buffer, size, "ledger-%.4s%.2s%.2sT%.2s%s.db", t, t + 5, t + 8, t + 11, suffix);
}

/* The name up to and with ".db"; the rest goes to *ret_rest. Formats again: one spelling only. */
static bool segment_parse(const char *file, struct segment_name *ret_name, const char **ret_rest)
{
	struct tm tm = { 0 };
	struct segment_name name = { 0 };
	char again[64];
	int used = 0;
	size_t n;

	if (sscanf(file, "ledger-%4d%2d%2dT%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &used) != 4)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	name.hour = (int64_t)timegm(&tm) / 3600;
	if (name.hour > INT64_MAX / NS_PER_HOUR || name.hour < INT64_MIN / NS_PER_HOUR)
		return false;
	if (file[used] == '.' && file[used + 1] >= '1' && file[used + 1] <= '9')
		name.suffix = (uint32_t)strtoul(file + used + 1, NULL, 10);
	segment_format(&name, again, sizeof(again));
	n = strlen(again);
	if (strncmp(file, again, n) != 0)
		return false;
	*ret_name = name;
	*ret_rest = file + n;
	return true;
}

static int compare_files(const void *a, const void *b)
{
	const struct segment_file *left = a, *right = b;
	int order = segment_compare(&left->name, &right->name);

	return order ? order : strcmp(left->file, right->file);
}

static bool match_file(const char *file, bool corrupt_too, struct segment_file *ret_file)
{
	struct segment_file found = { 0 };
	uint64_t number;
	const char *rest;

	if (strlen(file) >= sizeof(found.file) || !segment_parse(file, &found.name, &rest))
		return false;
	if (strncmp(rest, ".corrupt-", 9) == 0 &&
	    parse_uint64(rest + 9, 1, UINT32_MAX, &number) == 0)
		found.corrupt = true;
	else if (*rest)
		return false;
	if (found.corrupt && !corrupt_too)
		return false;
	memcpy(found.file, file, strlen(file) + 1);
	*ret_file = found;
	return true;
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int segment_list(const char *directory, bool corrupt_too, struct segment_file **ret_files,
		 size_t *ret_count)
{
	_cleanup_(cleanup_dir) DIR *dir = opendir(directory);
	_cleanup_free_ struct segment_file *files = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;

	if (!dir)
		return ledger_fail(-errno, "ledger: cannot read the directory %s: %s", directory,
				   strerror(errno));
	while ((entry = readdir(dir))) {
		struct segment_file found;

		if (!match_file(entry->d_name, corrupt_too, &found))
			continue;
		if (count == room) {
			void *grown;

			room = room ? 2 * room : 32;
			grown = reallocarray(files, room, sizeof(*files));
			if (!grown)
				return ledger_fail(-ENOMEM, "ledger: out of memory");
			files = grown;
		}
		files[count++] = found;
	}
	if (count)
		qsort(files, count, sizeof(*files), compare_files);
	for (size_t i = count; i-- > 0;) {
		if (files[i].corrupt)
			continue;
		files[i].newest = true;
		break;
	}
	*ret_files = take_ptr(files);
	*ret_count = count;
	return 0;
}

static int sync_directory(const char *directory)
{
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* The -wal goes along under the matching name, so that `sqlite3 NAME.corrupt-1` can still read it.
 */
int segment_set_aside(const char *directory, const char *file)
{
	char from[PATH_MAX], to[PATH_MAX], from_wal[PATH_MAX + 8], to_wal[PATH_MAX + 8];
	struct stat st;
	int r = path_join(from, sizeof(from) - 32, directory, file);

	if (r < 0)
		return r;
	for (unsigned n = 1;; n++) {
		if (snprintf(to, sizeof(to), "%s.corrupt-%u", from, n) >= (int)sizeof(to))
			return ledger_fail(-ENAMETOOLONG, "ledger: %s: name too long", from);
		if (lstat(to, &st) < 0 && errno == ENOENT)
			break;
	}
	snprintf(from_wal, sizeof(from_wal), "%s-wal", from);
	snprintf(to_wal, sizeof(to_wal), "%s-wal", to);
	if (rename(from, to) < 0)
		return ledger_fail(-errno, "ledger: cannot set the damaged %s aside: %s", from,
				   strerror(errno));
	if (rename(from_wal, to_wal) < 0 && errno != ENOENT)
		return ledger_fail(-errno, "ledger: cannot set the damaged %s aside: %s", from_wal,
				   strerror(errno));
	snprintf(from_wal, sizeof(from_wal), "%s-shm", from);
	unlink(from_wal);
	sync_directory(directory);
	return ledger_fail(0, "ledger: %s was damaged and is kept as %s", from, to);
}

/* -wal and -shm first: a crash in between leaves no orphans, and the next retention goes on. */
int segment_unlink(const char *directory, const char *file)
{
	static const char *const endings[] = { "-wal", "-shm", "" };
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path) - 8, directory, file);
	size_t n;

	if (r < 0)
		return r;
	n = strlen(path);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		memcpy(path + n, endings[i], strlen(endings[i]) + 1);
		if (unlink(path) < 0 && errno != ENOENT)
			return ledger_fail(-errno, "ledger: cannot remove %s: %s", path,
					   strerror(errno));
	}
	return 0;
}

bool segment_has_wal(const char *path)
{
	char wal[PATH_MAX + 8];
	struct stat st;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	return stat(wal, &st) == 0 && st.st_size > 0;
}
