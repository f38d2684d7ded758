/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ids in memory that is not there yet: each in pages of a file that this process has mapped and
 * never touched, so that a reader in the kernel that cannot wait for a page fault reads nothing.
 *
 * Each id begins in one page and ends in the next, but for the last one: its NUL is the last byte
 * of the mapping, and behind it is nothing that could be read.
 */
#ifndef ONCPU_TESTS_COLD_H
#define ONCPU_TESTS_COLD_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel maps up to 16 cached pages around a fault, aligned: no two ids share such a window. */
#define COLD_PAGE 4096
#define COLD_STRIDE (32 * COLD_PAGE)
#define COLD_SEAM (16 * COLD_PAGE)

struct cold {
	long count;
	int torn;	     /* the mapping ends before the last id's NUL */
	size_t length[1024]; /* of each id */
	char *ids;
};

static inline size_t cold_place(const struct cold *c, long i)
{
	if (i == c->count)
		return (size_t)c->count * COLD_STRIDE - c->length[i] - !c->torn;
	return (size_t)(i - 1) * COLD_STRIDE + COLD_SEAM - c->length[i] / 2;
}

/* `NAME-1` to `NAME-COUNT` in a file that is written for it. 0, or -1. */
static inline int cold_open(struct cold *c, const char *file, const char *name, long count)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	size_t size = (size_t)count * COLD_STRIDE;
	char id[80];
	void *room;

	c->count = count;
	if (fd < 0 || count < 1 || count >= 1024 || ftruncate(fd, (off_t)size))
		return -1;
	for (long i = 1; i <= count; i++) {
		c->length[i] = (size_t)snprintf(id, sizeof(id), "%s-%ld", name, i);
		if (pwrite(fd, id, c->length[i] + 1, (off_t)cold_place(c, i)) < 0)
			return -1;
	}
	/* out of the page cache too where the file system has a disk below it */
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		return -1;
	room = mmap(NULL, size + COLD_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED ||
	    mmap(room, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    madvise(room, size, MADV_RANDOM))
		return -1;
	c->ids = (char *)room;
	return close(fd);
}

static inline int cold_is_absent(const char *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = ~0ull;
	ssize_t n = pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)address / COLD_PAGE * 8));

	close(fd);
	return n == (ssize_t)sizeof(entry) && !(entry >> 63);
}

/* The id, or NULL where its pages are in memory after all: then it would show nothing. */
static inline const char *cold_id(const struct cold *c, long i)
{
	const char *id = c->ids + cold_place(c, i);

	if (cold_is_absent(id) && cold_is_absent(id + c->length[i]))
		return id;
	fprintf(stderr, "the pages of id %ld are in memory already\n", i);
	return NULL;
}

#endif
