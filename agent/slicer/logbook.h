/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A function's log on disk, with a bound: NAME.log, and NAME.log.1 of before. Survives a restart of
 * the slicer; a disk that is full costs log lines, counted, and nothing else.
 */
#ifndef ONCPU_SLICER_LOGBOOK_H
#define ONCPU_SLICER_LOGBOOK_H

#include <stddef.h>
#include <stdint.h>

enum { LOGBOOK_PATH = 512 };
#define LOGBOOK_BYTES (8u << 20) /* of one file; two are kept */

struct logbook {
	int directory; /* borrowed */
	char name[LOGBOOK_PATH];
	int fd;
	uint64_t size, lost; /* bytes */
};

/* 0 or -errno. Appends to what is there. `directory` is a descriptor: whoever writes logs need not
 * be allowed to walk there. */
int logbook_open(struct logbook *book, int directory, const char *name);
void logbook_close(struct logbook *book);
void logbook_write(struct logbook *book, const void *text, size_t size);
/* The name of a function's log in its directory: odd bytes are replaced. 0 or -ENAMETOOLONG. */
int logbook_name(const char *name, char *buffer, size_t size);
/* The path of a function's log: the name's odd bytes are replaced. 0 or -ENAMETOOLONG. */
int logbook_path(const char *directory, const char *name, char *buffer, size_t size);

#endif
