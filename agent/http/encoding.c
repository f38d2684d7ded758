// SPDX-License-Identifier: GPL-2.0
/* gzip, by zlib: at its fastest, since lines of JSON shrink to a tenth already there. */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define LEVEL 1
#define WINDOW_BITS (15 + 16) /* with gzip's frame */
#define MEMORY_LEVEL 8
#define OUT_BYTES (16u << 10)
#define LEAST_GZIP_BYTES 18 /* its head and tail */
#define MOST_UNPACKED_BYTES (16u << 20)

struct gzip {
	z_stream z;
	unsigned char out[OUT_BYTES];
};

/* Is its quality anything but zero ("0", "0.0", "0.000")? */
static bool is_wanted(const char *parameters, size_t n)
{
	const char *end = parameters + n, *at = parameters;

	while (at < end && (*at == ';' || *at == ' ' || *at == '\t'))
		at++;
	if (end - at < 2 || (*at != 'q' && *at != 'Q') || at[1] != '=')
		return true;
	for (at += 2; at < end && *at != ' ' && *at != ';'; at++)
		if (*at != '0' && *at != '.')
			return true;
	return false;
}

bool http_takes_gzip(const char *accept_encoding)
{
	bool any = false, any_said = false;

	for (const char *at = accept_encoding ? accept_encoding : ""; *at;) {
		size_t all = strcspn(at, ","), lead = strspn(at, " \t"), name;

		if (lead > all)
			lead = all;
		name = strcspn(at + lead, ",; \t");
		if (name == 4 && strncasecmp(at + lead, "gzip", 4) == 0)
			return is_wanted(at + lead + name, all - lead - name);
		if (name == 1 && at[lead] == '*') {
			any_said = true;
			any = is_wanted(at + lead + name, all - lead - name);
		}
		at += all + (at[all] == ',');
	}
	return any_said && any;
}

struct gzip *gzip_new(void)
{
	struct gzip *gzip = calloc(1, sizeof(*gzip));

	if (gzip && deflateInit2(&gzip->z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
				 Z_DEFAULT_STRATEGY) != Z_OK) {
		free(gzip);
		return NULL;
	}
	return gzip;
}

void gzip_free(struct gzip **gzip)
{
	if (!*gzip)
		return;
	deflateEnd(&(*gzip)->z);
	free(*gzip);
	*gzip = NULL;
}

int gzip_write(struct gzip *gzip, const void *data, size_t size,
	       int (*put)(void *user, const void *data, size_t size), void *user)
{
	z_stream *z = &gzip->z;
	int rc, err = 0;

	z->next_in = (unsigned char *)(uintptr_t)data;
	z->avail_in = (unsigned)size;
	do {
		z->next_out = gzip->out;
		z->avail_out = sizeof(gzip->out);
		rc = deflate(z, data ? Z_NO_FLUSH : Z_FINISH);
		if (rc == Z_STREAM_ERROR)
			return -EIO;
		if (z->avail_out < sizeof(gzip->out))
			err = put(user, gzip->out, sizeof(gzip->out) - z->avail_out);
	} while (!err && (data ? z->avail_out == 0 : rc != Z_STREAM_END));
	return err;
}

/* The last four bytes of a gzip are the length of what is in it. */
static size_t unpacked_size(const unsigned char *gzip, size_t size)
{
	return (size_t)gzip[size - 4] | (size_t)gzip[size - 3] << 8 | (size_t)gzip[size - 2] << 16 |
	       (size_t)gzip[size - 1] << 24;
}

void *gunzip_whole(const void *data, size_t size, size_t *ret_size)
{
	size_t room = size >= LEAST_GZIP_BYTES ? unpacked_size(data, size) : 0;
	unsigned char *out = room && room <= MOST_UNPACKED_BYTES ? malloc(room) : NULL;
	z_stream z = { 0 };
	int rc;

	if (!out || inflateInit2(&z, WINDOW_BITS) != Z_OK) {
		free(out);
		return NULL;
	}
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (unsigned)size;
	z.next_out = out;
	z.avail_out = (unsigned)room;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (rc == Z_STREAM_END && z.total_out == room) {
		*ret_size = room;
		return out;
	}
	free(out);
	return NULL;
}

void *gzip_whole(const void *data, size_t size, size_t *ret_size)
{
	z_stream z = { 0 };
	unsigned char *out = malloc(size);
	int rc;

	if (!out)
		return NULL;
	if (deflateInit2(&z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
	    Z_OK) {
		free(out);
		return NULL;
	}
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (unsigned)size;
	z.next_out = out;
	z.avail_out = (unsigned)size;
	rc = deflate(&z, Z_FINISH);
	*ret_size = z.total_out;
	deflateEnd(&z);
	if (rc == Z_STREAM_END)
		return out;
	free(out);
	return NULL;
}
