// SPDX-License-Identifier: GPL-2.0
/* base/text: well-formed UTF-8 only, every code point; control characters are not clean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"

static size_t encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* Every code point up to 0x1fffff: decoded exactly, or refused when it is none of Unicode's. */
static void test_text_every_code_point(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 0x200000; code++) {
		char bytes[4];
		uint32_t seen = 0;
		size_t length = encode(code, bytes);
		bool valid = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
		bool clean = valid && code >= 0x20 && !(code >= 0x7f && code <= 0x9f);

		if (text_decode(bytes, length, &seen) != (valid ? length : 0) ||
		    (valid && seen != code) || text_is_clean(bytes, length) != clean)
			fail_msg("U+%X", code);
		if (length > 1 && text_decode(bytes, length - 1, &seen) != 0)
			fail_msg("U+%X cut short", code);
	}
}

static void test_text_broken(void **state)
{
	static const char *const broken[] = { "\x80",	      "\xc0\x80",	  "\xc1\xbf",
					      "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xff",
					      "a\xe2\x82",    "\xe2\x28\xa1",	  "\xed\xa0\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_false(text_is_clean(broken[i], strlen(broken[i])));
	assert_true(text_is_clean("", 0));
	assert_true(text_is_clean("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11));
	assert_false(text_is_clean("a\0b", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_every_code_point),
		cmocka_unit_test(test_text_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
