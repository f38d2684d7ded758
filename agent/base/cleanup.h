/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Single-owner locals that free themselves when they go out of scope.
 *
 *	_cleanup_fd_ int fd = -EBADF;
 *	_cleanup_free_ char *line = NULL;
 *	_cleanup_file_ FILE *file = NULL;
 *
 * Initialise each one. errno survives. take_fd() and take_ptr() hand the resource on.
 */
#ifndef ONCPU_BASE_CLEANUP_H
#define ONCPU_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		*fd = -EBADF;
		errno = saved;
	}
}

static inline void cleanup_free(void *pointer)
{
	void **owned = (void **)pointer;

	free(*owned);
	*owned = NULL;
}

static inline void cleanup_file(FILE **file)
{
	if (*file) {
		int saved = errno;

		fclose(*file);
		*file = NULL;
		errno = saved;
	}
}

/* The descriptor, now owned by the caller; the variable is left closed. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_from = &(p);                                                       \
		__typeof__(p) _taken = *_from;                                                     \
		*_from = NULL;                                                                     \
		_taken;                                                                            \
	})

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_fd_ _cleanup_(cleanup_fd)
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_file_ _cleanup_(cleanup_file)

#endif
