/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes JSON (RFC 8259) into the caller's buffer and never past its end.
 *
 * An error is sticky: after the first thing that did not fit, every call is a no-op and jw_end()
 * says -ENOSPC. Commas are put where they belong; that objects and arrays are closed in order is
 * the caller's part. Integers are written exactly, to the last digit.
 *
 * Strings may come from outside. The bytes go through as they are, except: '"' and '\' are escaped,
 * control characters (C0, DEL, C1) become \u00XX, and each byte that belongs to no well-formed
 * UTF-8 sequence becomes U+FFFD, for a JSON text must be UTF-8 and lone surrogates are refused by
 * strict readers. That last step loses information: a writer to whom the raw bytes matter adds them
 * with jw_hex().
 */
#ifndef ONCPU_BASE_JSON_WRITER_H
#define ONCPU_BASE_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
	char *buffer; /* the caller's */
	size_t size;
	size_t used;
	int error;  /* 0 or -ENOSPC */
	bool comma; /* the next value or key needs a comma before it */
};

void jw_begin(struct json_writer *w, char *buffer, size_t size);
/* Ends the text with a NUL. Its bytes without the NUL, or -ENOSPC. */
int jw_end(struct json_writer *w);

void jw_object_open(struct json_writer *w);
void jw_object_close(struct json_writer *w);
void jw_array_open(struct json_writer *w);
void jw_array_close(struct json_writer *w);
/* `name` is the program's own: plain ASCII without anything to escape. */
void jw_key(struct json_writer *w, const char *name);

void jw_int64(struct json_writer *w, int64_t value);
void jw_uint64(struct json_writer *w, uint64_t value);
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_string(struct json_writer *w, const char *text); /* NUL-terminated */
void jw_bytes(struct json_writer *w, const char *bytes, size_t n);
void jw_hex(struct json_writer *w, const void *bytes, size_t n); /* a string of 2n hex digits */

/* A value that is JSON already. */
void jw_raw(struct json_writer *w, const char *json, size_t n);

/* Key and value in one. */
void jw_key_int64(struct json_writer *w, const char *name, int64_t value);
void jw_key_uint64(struct json_writer *w, const char *name, uint64_t value);
void jw_key_bool(struct json_writer *w, const char *name, bool value);
void jw_key_null(struct json_writer *w, const char *name);
void jw_key_string(struct json_writer *w, const char *name, const char *text);

#endif
