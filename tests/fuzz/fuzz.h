/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers share: input taken apart piece by piece, and promises that end the run when they
 * are broken (a crash is what libFuzzer keeps).
 */
#ifndef ONCPU_TESTS_FUZZ_H
#define ONCPU_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(what)                                                                              \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #what);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next bytes; zeroes past the end. */
static inline void take(struct input *in, void *to, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(to, 0, size);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

static inline uint8_t take_byte(struct input *in)
{
	uint8_t byte;

	take(in, &byte, 1);
	return byte;
}

/* The bytes up to `end` (which is taken, too) or the input's end, with a NUL; free() them. */
static inline char *take_text(struct input *in, char end, size_t *ret_length)
{
	const uint8_t *stop = in->left ? memchr(in->at, end, in->left) : NULL;
	size_t n = stop ? (size_t)(stop - in->at) : in->left;
	char *text = malloc(n + 1);

	if (!text)
		abort();
	if (n)
		memcpy(text, in->at, n);
	text[n] = '\0';
	in->at += n + (stop != NULL);
	in->left -= n + (stop != NULL);
	if (ret_length)
		*ret_length = n;
	return text;
}

/* A file of these bytes, in memory. */
static inline int file_of(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

/* Says one thing, and that on one line. */
static inline int is_one_line(const char *text)
{
	return text[0] && !strchr(text, '\n');
}

#endif
