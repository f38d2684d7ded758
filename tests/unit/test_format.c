// SPDX-License-Identifier: GPL-2.0
/* Numbers and tables for people: rounding, units, and cells of hostile text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/format.h"
#include "cli/money.h"

static void expect_ns(int64_t ns, const char *text)
{
	char cell[CELL_MAX];

	format_ns(ns, cell);
	if (strcmp(cell, text) != 0)
		fail_msg("%lld ns: %s, not %s", (long long)ns, cell, text);
}

static void test_format_ns(void **state)
{
	(void)state;
	expect_ns(0, "0");
	expect_ns(1, "1 ns");
	expect_ns(-1, "-1 ns");
	expect_ns(999, "999 ns");
	expect_ns(1000, "1.000 µs");
	expect_ns(-1500, "-1.500 µs");
	expect_ns(12340, "12.34 µs");
	expect_ns(123456, "123.5 µs");
	expect_ns(4560000, "4.560 ms");
	expect_ns(54565198, "54.57 ms");
	expect_ns(123450000, "123.5 ms"); /* half away from zero */
	expect_ns(-123450000, "-123.5 ms");
	expect_ns(1234000000, "1.234 s");
	expect_ns(3600000000000, "3600.000 s");
	expect_ns(INT64_MAX, "9223372036.855 s");
	expect_ns(INT64_MIN, "-9223372036.855 s");
}

/* What rounds up to the next unit is written in it: "1000.0 µs" is nobody's millisecond. */
static void test_format_ns_at_the_edges(void **state)
{
	(void)state;
	expect_ns(9999, "9.999 µs");
	expect_ns(9999999, "10.00 ms");
	expect_ns(99995000, "100.0 ms");
	expect_ns(999949, "999.9 µs");
	expect_ns(999950, "1.000 ms");
	expect_ns(999999, "1.000 ms");
	expect_ns(999999999, "1.000 s");
	expect_ns(-999999999, "-1.000 s");
}

static void expect_ratio(int64_t a, int64_t b, const char *text)
{
	char cell[CELL_MAX];

	format_ratio(a, b, cell);
	assert_string_equal(cell, text);
}

static void test_format_ratio(void **state)
{
	(void)state;
	expect_ratio(7, 2, "3.50×");
	expect_ratio(0, 5, "0.00×");
	expect_ratio(-5, 2, "-2.50×");
	expect_ratio(5, 0, "–");
	expect_ratio(5, -1, "–");
	expect_ratio(INT64_MAX, 1, "9223372036854775808.00×");
}

static void expect_text(const char *text, size_t width, const char *wanted)
{
	char cell[CELL_MAX];

	format_text(text, width, cell);
	if (strcmp(cell, wanted) != 0)
		fail_msg("%s in %zu: %s, not %s", text, width, cell, wanted);
}

static void test_format_text(void **state)
{
	(void)state;
	expect_text("", 20, "");
	expect_text("thumb", 20, "thumb");
	expect_text("thumb", 5, "thumb");
	expect_text("größe", 5, "größe");
	expect_text("0123456789abcdef", 9, "0123…cdef");
	expect_text("0123456789abcdef", 8, "012…cdef");
	expect_text("\x1b[31mred", 20, "?[31mred"); /* no terminal is steered by an id */
	expect_text("a\nb\tc\x7f", 20, "a?b?c?");
	expect_text("\xff\xfe"
		    "a",
		    20, "??a");
	expect_text("\xc3", 20, "?");
	expect_text("\xc2\x9b"
		    "31m",
		    20, "??31m"); /* CSI as one character */
}

/* Of any bytes at any width: clean, NUL-terminated, no wider than asked for. */
static void test_format_text_of_anything(void **state)
{
	uint64_t random = 88172645463325252ull;
	char text[400], cell[CELL_MAX];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t length, width;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		length = random % sizeof(text);
		width = 5 + random / 1000 % 60;
		for (size_t at = 0; at < length; at++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			/* every third text is of whole characters */
			text[at] = i % 3 ? (char)(random >> 33) : "aé…\xf0\x9f\x98\x80z"[at % 11];
		}
		text[length ? length - 1 : 0] = '\0';
		memset(cell, 'x', sizeof(cell));
		format_text(text, width, cell);
		assert_non_null(memchr(cell, 0, sizeof(cell)));
		assert_true(text_is_clean(cell, strlen(cell)));
		assert_true(format_width(cell) <= width);
	}
}

static void test_format_width(void **state)
{
	(void)state;
	assert_int_equal(format_width(""), 0);
	assert_int_equal(format_width("abc"), 3);
	assert_int_equal(format_width("µs ÷ …"), 6);
	assert_int_equal(format_width("\xf0\x9f\x98\x80"), 1);
}

static void test_format_table(void **state)
{
	struct table t = { .columns = 2, .titles = { "NAME", "µS" }, .right = { [1] = true } };
	char *text = NULL, long_cell[CELL_MAX];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 200; i++) { /* it grows */
		char(*cell)[CELL_MAX] = table_row(&t);

		assert_non_null(cell);
		assert_string_equal(cell[1], "");
		snprintf(cell[0], CELL_MAX, "é%d", i);
		snprintf(cell[1], CELL_MAX, "%d", i * 10);
	}
	table_print(&t, out);
	fclose(out);
	assert_memory_equal(text, "NAME    µS\né0       0\né1      10\n", 36);
	assert_non_null(strstr(text, "\né199  1990\n"));
	free(text);
	table_free(&t);
	assert_int_equal(t.rows, 0);
	/* a row of full cells */
	out = open_memstream(&text, &size);
	memset(long_cell, 'y', sizeof(long_cell) - 1);
	long_cell[sizeof(long_cell) - 1] = '\0';
	memcpy(table_row(&t)[0], long_cell, sizeof(long_cell));
	table_print(&t, out);
	fclose(out);
	assert_non_null(strstr(text, long_cell));
	free(text);
	table_free(&t);
}

static void money(int64_t e12, const char *currency, const char *wanted)
{
	char cell[CELL_MAX];

	format_money(e12, currency, cell);
	assert_string_equal(cell, wanted);
}

static void test_format_money(void **state)
{
	char cell[CELL_MAX];

	(void)state;
	money(0, "USD", "0");
	money(1, "USD", "$0.000000000001");
	money(200000, "USD", "$0.0000002");
	money(16666700, "USD", "$0.00001667");
	money(441700000000, "USD", "$0.4417");
	money(9000000000000, "EUR", "€9.00");
	money(999949999999, "USD", "$0.9999");
	money(999950000000, "USD", "$1.00"); /* rounded to 1000 of the next unit */
	money(12345678000000000, "USD", "$12345.68");
	money(-12340000000000, "CHF", "-CHF 12.34");
	money(INT64_MAX, "USD", "$9223372.04");
	money(INT64_MIN, "USD", "-$9223372.04");
	format_decimal(1500, 3, cell);
	assert_string_equal(cell, "1.5");
	format_decimal(-5, 12, cell);
	assert_string_equal(cell, "-0.000000000005");
	format_decimal(7, 0, cell);
	assert_string_equal(cell, "7");
	format_decimal((__int128)INT64_MAX * 1000000, 6, cell);
	assert_string_equal(cell, "9223372036854775807");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_money),
		cmocka_unit_test(test_format_ns),
		cmocka_unit_test(test_format_ns_at_the_edges),
		cmocka_unit_test(test_format_ratio),
		cmocka_unit_test(test_format_text),
		cmocka_unit_test(test_format_text_of_anything),
		cmocka_unit_test(test_format_width),
		cmocka_unit_test(test_format_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
