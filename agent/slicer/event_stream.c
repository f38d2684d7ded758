// SPDX-License-Identifier: GPL-2.0
/*
 * See event_stream.h. A message: its length, its headers' length (big-endian, 32 bits each), the
 * CRC-32 of these eight bytes, headers, payload, the CRC-32 of all before. A header: a byte of
 * length, the name, 7 (it is a string), 16 bits of length, the value.
 */
#include "slicer/event_stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PRELUDE = 12, STRING = 7 };

static char *put32(char *at, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (char)(value >> shift);
	return at;
}

static char *put_header(char *at, const char *name, const char *value)
{
	size_t name_size = strlen(name), size = strlen(value);

	*at++ = (char)name_size;
	memcpy(at, name, name_size);
	at += name_size;
	*at++ = STRING;
	*at++ = (char)(size >> 8);
	*at++ = (char)size;
	memcpy(at, value, size);
	return at + size;
}

static uint32_t crc(const char *bytes, size_t size)
{
	return (uint32_t)crc32(0, (const unsigned char *)bytes, (unsigned)size);
}

char *event_stream_message(const char *type, const char *content_type, const void *payload,
			   size_t size, size_t *ret_size)
{
	char *message = NULL, *at;
	size_t headers, whole;

	if (strlen(type) + strlen(content_type) + 80 < EVENT_STREAM_FRAME)
		message = malloc(size + EVENT_STREAM_FRAME);
	if (!message)
		return NULL;
	at = put_header(message + PRELUDE, ":event-type", type);
	at = put_header(at, ":content-type", content_type);
	at = put_header(at, ":message-type", "event");
	headers = (size_t)(at - message) - PRELUDE;
	whole = PRELUDE + headers + size + 4;
	memcpy(at, payload, size);
	put32(message, (uint32_t)whole);
	put32(message + 4, (uint32_t)headers);
	put32(message + 8, crc(message, 8));
	put32(at + size, crc(message, whole - 4));
	*ret_size = whole;
	return message;
}
