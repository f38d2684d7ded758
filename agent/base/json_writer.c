// SPDX-License-Identifier: GPL-2.0
/*
 * The bounded JSON writer. All state is in the caller's struct json_writer.
 * Invariant: used ≤ size, and once error is set nothing more is written.
 */
#include "base/json_writer.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static const char hex_digits[] = "0123456789abcdef";

static void put(struct json_writer *w, const char *bytes, size_t n)
{
	if (w->error)
		return;
	if (n > w->size - w->used) {
		w->error = -ENOSPC;
		return;
	}
	memcpy(w->buffer + w->used, bytes, n);
	w->used += n;
}

static void before_value(struct json_writer *w)
{
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
}

void jw_begin(struct json_writer *w, char *buffer, size_t size)
{
	*w = (struct json_writer){ .buffer = buffer, .size = size };
}

int jw_end(struct json_writer *w)
{
	put(w, "", 1);
	return w->error ? w->error : (int)(w->used - 1);
}

static void open_with(struct json_writer *w, const char *bracket)
{
	before_value(w);
	put(w, bracket, 1);
	w->comma = false;
}

static void close_with(struct json_writer *w, const char *bracket)
{
	put(w, bracket, 1);
	w->comma = true;
}

void jw_raw(struct json_writer *w, const char *json, size_t n)
{
	before_value(w);
	put(w, json, n);
}

void jw_object_open(struct json_writer *w)
{
	open_with(w, "{");
}

void jw_object_close(struct json_writer *w)
{
	close_with(w, "}");
}

void jw_array_open(struct json_writer *w)
{
	open_with(w, "[");
}

void jw_array_close(struct json_writer *w)
{
	close_with(w, "]");
}

void jw_key(struct json_writer *w, const char *name)
{
	before_value(w);
	put(w, "\"", 1);
	put(w, name, strlen(name));
	put(w, "\":", 2);
	w->comma = false;
}

static void put_digits(struct json_writer *w, uint64_t magnitude, bool negative)
{
	char digits[21];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + magnitude % 10);
		magnitude /= 10;
	} while (magnitude);
	if (negative)
		digits[--at] = '-';
	before_value(w);
	put(w, digits + at, sizeof(digits) - at);
}

void jw_int64(struct json_writer *w, int64_t value)
{
	put_digits(w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

void jw_uint64(struct json_writer *w, uint64_t value)
{
	put_digits(w, value, false);
}

void jw_bool(struct json_writer *w, bool value)
{
	before_value(w);
	put(w, value ? "true" : "false", value ? 4 : 5);
}

void jw_null(struct json_writer *w)
{
	before_value(w);
	put(w, "null", 4);
}

/* Writes what one escaped or broken sequence of `length` bytes (0 = broken) becomes. */
static void put_special(struct json_writer *w, const char *bytes, size_t length, uint32_t code)
{
	char escape[6] = { '\\', 'u', '0', '0', hex_digits[code >> 4 & 15], hex_digits[code & 15] };

	if (length == 0)
		put(w, "\xef\xbf\xbd", 3);
	else if (code == '"' || code == '\\')
		put(w, (char[2]){ '\\', *bytes }, 2);
	else
		put(w, escape, sizeof(escape));
}

static bool goes_as_it_is(size_t length, uint32_t code)
{
	return length > 0 && code >= 0x20 && code != '"' && code != '\\' &&
	       !(code >= 0x7f && code <= 0x9f);
}

void jw_bytes(struct json_writer *w, const char *bytes, size_t n)
{
	size_t plain = 0; /* begin of the run not written yet */

	before_value(w);
	put(w, "\"", 1);
	for (size_t at = 0; at < n && !w->error;) {
		uint32_t code = 0;
		size_t length = text_decode(bytes + at, n - at, &code);
		size_t step = length ? length : 1;

		if (!goes_as_it_is(length, code)) {
			put(w, bytes + plain, at - plain);
			put_special(w, bytes + at, length, code);
			plain = at + step;
		}
		at += step;
	}
	if (!w->error)
		put(w, bytes + plain, n - plain);
	put(w, "\"", 1);
}

void jw_string(struct json_writer *w, const char *text)
{
	jw_bytes(w, text, strlen(text));
}

void jw_hex(struct json_writer *w, const void *bytes, size_t n)
{
	const unsigned char *in = bytes;

	before_value(w);
	put(w, "\"", 1);
	for (size_t i = 0; i < n && !w->error; i++)
		put(w, (char[2]){ hex_digits[in[i] >> 4], hex_digits[in[i] & 15] }, 2);
	put(w, "\"", 1);
}

void jw_key_int64(struct json_writer *w, const char *name, int64_t value)
{
	jw_key(w, name);
	jw_int64(w, value);
}

void jw_key_uint64(struct json_writer *w, const char *name, uint64_t value)
{
	jw_key(w, name);
	jw_uint64(w, value);
}

void jw_key_bool(struct json_writer *w, const char *name, bool value)
{
	jw_key(w, name);
	jw_bool(w, value);
}

void jw_key_null(struct json_writer *w, const char *name)
{
	jw_key(w, name);
	jw_null(w);
}

void jw_key_string(struct json_writer *w, const char *name, const char *text)
{
	jw_key(w, name);
	jw_string(w, text);
}
