// SPDX-License-Identifier: GPL-2.0
/* See base64.h. */
#include "slicer/base64.h"

#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *from, size_t n, char *to)
{
	const unsigned char *f = from;
	size_t o = 0;

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)f[i] << 16 | (i + 1 < n ? (unsigned)f[i + 1] << 8 : 0) |
			     (i + 2 < n ? f[i + 2] : 0);

		to[o++] = digits[v >> 18];
		to[o++] = digits[v >> 12 & 63];
		to[o++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		to[o++] = i + 2 < n ? digits[v & 63] : '=';
	}
	to[o] = '\0';
}

char *base64_decode(const char *text, size_t *ret_size)
{
	size_t length = strlen(text), n = 0, padding = 0;
	unsigned bits = 0, have = 0;
	char *to;

	while (length && padding < 2 && text[length - 1] == '=') {
		length--;
		padding++;
	}
	if ((length + padding) % 4)
		return NULL;
	to = malloc(length / 4 * 3 + 4);
	for (size_t i = 0; to && i < length; i++) {
		const char *digit = strchr(digits, text[i]);

		if (!digit) {
			free(to);
			return NULL;
		}
		bits = bits << 6 | (unsigned)(digit - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[n++] = (char)(bits >> have);
		}
	}
	if (!to)
		return NULL;
	to[n] = '\0';
	*ret_size = n;
	return to;
}
