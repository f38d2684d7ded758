/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lines of files, read by one thread and taken by as many as there are CPUs.
 *
 * The caller reads: blocks of whole lines, each handed to the taker that is free next. What a taker
 * keeps is its own until lines_end(); in which order blocks come to whom is chance, so that what
 * comes of them together may not depend on it. Input of less than a block starts no thread.
 */
#ifndef ONCPU_CLI_LINES_H
#define ONCPU_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_BLOCK_BYTES (1u << 20) /* and the longest line */
#define LINES_TAKERS_MAX 16

struct lines_block {
	uint64_t number;     /* 1, 2, 3 … over all files */
	const char *file;    /* as lines_read() was given it */
	uint64_t first_line; /* its number in the file, from 1 on */
	const char *text;    /* whole lines; the last of a file may lack its '\n' */
	size_t length;
	bool too_long; /* the beginning of one line that is longer than a block; the rest is gone */
};
/* 0, or -errno, which ends the reading. Called by one thread at a time for each taker. */
typedef int (*lines_take_fn)(void *taker, const struct lines_block *block);

struct lines;
/* How many takers are of use here, 1 to LINES_TAKERS_MAX: what this process may run on. */
unsigned lines_takers(void);
/* `takers` are the caller's, `count` of them at a distance of `size` bytes. NULL: out of memory. */
struct lines *lines_begin(lines_take_fn take, void *takers, size_t size, unsigned count);
/* Reads to the end of the file; blocks may still be with takers then. `file` must live until
 * lines_end(). 0, -errno of the file or of a taker. */
int lines_read(struct lines *lines, const char *file, int fd);
/* Waits until all is taken; frees. 0 or the first error of a taker. */
int lines_end(struct lines **lines);

#endif
