// SPDX-License-Identifier: GPL-2.0
/* Texts, numbers, durations, sizes and /proc lines that came from outside. */
#include "base/parse.h"
#include "base/text.h"
#include "daemon/proc.h"
#include "tests/fuzz/fuzz.h"

static void numbers(const char *text)
{
	int64_t number = 0, again;
	uint64_t bytes;
	char back[32];

	if (parse_int64(text, -1000, 1000000, &number) == 0) {
		PROMISE(number >= -1000 && number <= 1000000);
		snprintf(back, sizeof(back), "%lld", (long long)number);
		PROMISE(parse_int64(back, number, number, &again) == 0 && again == number);
	}
	if (parse_uint64(text, 5, UINT64_MAX, &bytes) == 0)
		PROMISE(bytes >= 5);
	if (parse_duration_ns(text, &number) == 0)
		PROMISE(number >= 0 || text[0] == '-');
	parse_bytes(text, &bytes);
}

static void decode(const char *text, size_t size)
{
	int clean = 1;

	for (size_t at = 0; at < size;) {
		uint32_t point = 0;
		size_t n = text_decode(text + at, size - at, &point);

		PROMISE(n <= 4 && n <= size - at);
		if (!n)
			clean = 0;
		else
			PROMISE(point <= 0x10ffff && (point < 0xd800 || point > 0xdfff));
		if (point < 0x20 || (point >= 0x7f && point < 0xa0))
			clean = 0;
		at += n ? n : 1;
	}
	PROMISE(text_is_clean(text, size) == clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t length;
	char *text = take_text(&in, '\0', &length);
	uint64_t hello;

	numbers(text);
	decode(text, length);
	proc_syscall_is_hello(text, &hello);
	free(text);
	return 0;
}
