// SPDX-License-Identifier: GPL-2.0
/* See logbook.h. */
#include "slicer/logbook.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int logbook_name(const char *name, char *buffer, size_t size)
{
	size_t at = 0;

	if (strlen(name) + sizeof(".log.1") > size)
		return -ENAMETOOLONG;
	for (; *name; name++)
		buffer[at++] =
			isalnum((unsigned char)*name) || *name == '-' || *name == '_' ? *name : '_';
	memcpy(buffer + at, ".log", sizeof(".log"));
	return 0;
}

int logbook_path(const char *directory, const char *name, char *buffer, size_t size)
{
	int n = snprintf(buffer, size, "%s/", directory);

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	return logbook_name(name, buffer + n, size - (size_t)n);
}

static int open_file(struct logbook *book)
{
	struct stat st;

	book->fd = openat(book->directory, book->name,
			  O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (book->fd < 0)
		return -errno;
	book->size = fstat(book->fd, &st) ? 0 : (uint64_t)st.st_size;
	return 0;
}

int logbook_open(struct logbook *book, int directory, const char *name)
{
	int error;

	memset(book, 0, sizeof(*book));
	book->fd = -1;
	book->directory = directory;
	error = logbook_name(name, book->name, sizeof(book->name));
	return error ? error : open_file(book);
}

void logbook_close(struct logbook *book)
{
	if (book->fd >= 0)
		close(book->fd);
	book->fd = -1;
}

static void turn_over(struct logbook *book)
{
	char before[LOGBOOK_PATH + 8];

	snprintf(before, sizeof(before), "%s.1", book->name);
	if (renameat(book->directory, book->name, book->directory, before))
		return; /* it grows a little longer, until that works */
	logbook_close(book);
	open_file(book);
}

void logbook_write(struct logbook *book, const void *text, size_t size)
{
	ssize_t n;

	if (book->size + size > LOGBOOK_BYTES && book->size)
		turn_over(book);
	n = book->fd < 0 ? -1 : write(book->fd, text, size);
	if (n > 0)
		book->size += (uint64_t)n;
	if (n < (ssize_t)size)
		book->lost += size - (n > 0 ? (size_t)n : 0);
}
