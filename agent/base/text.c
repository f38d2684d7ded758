// SPDX-License-Identifier: GPL-2.0
/* UTF-8 and control characters. Pure functions, no state. */
#include "base/text.h"

static bool in_range(unsigned char byte, unsigned char low, unsigned char high)
{
	return byte >= low && byte <= high;
}

/* Bytes that a sequence with this first byte has, and the range its second byte must be in. */
static size_t sequence_length(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
	*ret_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	*ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	if (first < 0x80)
		return 1;
	if (in_range(first, 0xc2, 0xdf))
		return 2;
	if (in_range(first, 0xe0, 0xef))
		return 3;
	if (in_range(first, 0xf0, 0xf4))
		return 4;
	return 0;
}

size_t text_decode(const char *bytes, size_t n, uint32_t *ret_code_point)
{
	const unsigned char *in = (const unsigned char *)bytes;
	unsigned char low, high;
	uint32_t code;
	size_t length;

	if (n == 0)
		return 0;
	length = sequence_length(in[0], &low, &high);
	if (length == 0 || length > n)
		return 0;
	code = length == 1 ? in[0] : in[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if (!in_range(in[i], i == 1 ? low : 0x80, i == 1 ? high : 0xbf))
			return 0;
		code = code << 6 | (in[i] & 0x3fu);
	}
	*ret_code_point = code;
	return length;
}

bool text_is_clean(const char *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		uint32_t code;
		size_t length = text_decode(bytes + at, n - at, &code);

		if (length == 0 || code < 0x20 || (code >= 0x7f && code <= 0x9f))
			return false;
		at += length;
	}
	return true;
}
