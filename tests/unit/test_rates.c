// SPDX-License-Identifier: GPL-2.0
/* Two readings: differences, what shrank, the order, and what is written of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rates.h"

#define S 1000000000ll

static struct function_line line(const char *name, uint64_t count, int64_t wall_ns, int64_t cpu_ns,
				 int64_t billed_ns)
{
	struct function_line f = {
		.instances_open = 2,
		.running_known = true,
		.sum = { .count = count, .wall_ns = wall_ns, .cpu_ns = cpu_ns, .billed_count = 1 }
	};

	snprintf(f.sum.function, sizeof(f.sum.function), "%s", name);
	snprintf(f.sum.billed[0].policy, sizeof(f.sum.billed[0].policy), "aws-lambda");
	f.sum.billed[0].billed_ns = billed_ns;
	return f;
}

static struct reading reading(int64_t at_ns, struct function_line *lines, size_t count)
{
	return (struct reading){ .at_ns = at_ns, .lines = lines, .count = count };
}

static void test_difference(void **state)
{
	struct function_line before[] = { line("a", 10, 5 * S, 2 * S, 6 * S) };
	struct function_line after[] = { line("new", 3, S, S / 2, 2 * S),
					 line("a", 15, 7 * S, 3 * S, 9 * S) };
	struct reading r1 = reading(100 * S, before, 1), r2 = reading(104 * S, after, 2);
	struct rate *rates, total;

	(void)state;
	after[1].sum.errors = 1;
	after[1].sum.timeouts = 2;
	after[1].sum.crashed = 4;
	after[1].sum.cold_starts = 5;
	assert_int_equal(rates_between(&r1, &r2, "aws-lambda", &rates), 0);
	assert_true(rates[0].known && rates[1].known);
	assert_int_equal(rates[0].count, 3); /* began in the interval: from nothing */
	assert_int_equal(rates[1].count, 5);
	assert_int_equal(rates[1].errors, 7);
	assert_int_equal(rates[1].cold_starts, 5);
	assert_int_equal(rates[1].wall_ns, 2 * S);
	assert_int_equal(rates[1].cpu_ns, S);
	assert_int_equal(rates[1].billed_ns, 3 * S);
	assert_int_equal(rates[1].interval_ns, 4 * S);
	assert_int_equal(rates[1].total_count, 15);
	assert_int_equal(rates[1].instances, 2);
	total = rates_total(rates, 2);
	assert_true(total.known);
	assert_int_equal(total.count, 8);
	assert_int_equal(total.cpu_ns, S + S / 2);
	assert_int_equal(total.instances, 4);
	free(rates);
	assert_int_equal(rates_between(&r1, &r2, "another", &rates), 0);
	assert_int_equal(rates[1].billed_ns, 0);
	free(rates);
}

static void test_what_shrank_is_not_known(void **state)
{
	struct function_line before[] = { line("a", 10, 5 * S, 2 * S, 6 * S) };
	struct function_line after[] = { line("a", 8, 4 * S, 2 * S, 6 * S) };
	struct reading r1 = reading(0, before, 1), r2 = reading(S, after, 1);
	char cells[RATE_COLUMNS][CELL_MAX], json[1024];
	struct rate *rates;

	(void)state;
	assert_int_equal(rates_between(&r1, &r2, "aws-lambda", &rates), 0);
	assert_false(rates[0].known);
	assert_false(rates_total(rates, 1).known);
	rate_cells(&rates[0], cells);
	assert_string_equal(cells[RATE_RATE], "–");
	assert_string_equal(cells[RATE_CPU], "–");
	assert_true(rate_json(&rates[0], "aws-lambda", json, sizeof(json)) > 0);
	assert_non_null(strstr(json, "\"count\":null"));
	assert_non_null(strstr(json, "\"total_count\":8"));
	free(rates);
}

static void test_order(void **state)
{
	struct rate rates[] = {
		{ .function = "b", .known = true, .cpu_ns = 10, .billed_ns = 20, .count = 7 },
		{ .function = "d", .known = true, .cpu_ns = 0, .billed_ns = 99, .count = 7 },
		{ .function = "a", .known = true, .cpu_ns = 20, .billed_ns = 100, .count = 9 },
		{ .function = "c", .known = true, .cpu_ns = 5, .billed_ns = 15, .count = 7 },
	};
	static const struct {
		enum rate_column column;
		bool reverse;
		const char *order;
	} cases[] = {
		{ RATE_FUNCTION, false, "abcd" }, { RATE_FUNCTION, true, "dcba" },
		{ RATE_CPU, false, "abcd" },	  { RATE_CPU, true, "dcba" },
		{ RATE_BILLED, false, "adbc" },	  { RATE_RATE, false, "abcd" },
		{ RATE_RATE, true, "bcda" },   /* ties stay by name */
		{ RATE_RATIO, false, "acbd" }, /* none is least */
		{ RATE_ERRORS, false, "abcd" },
	};
	char got[5] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rates_sort(rates, 4, cases[i].column, cases[i].reverse);
		for (int r = 0; r < 4; r++)
			got[r] = rates[r].function[0];
		if (strcmp(got, cases[i].order) != 0)
			fail_msg("%s%s: %s, not %s", rate_columns[cases[i].column].word,
				 cases[i].reverse ? " reversed" : "", got, cases[i].order);
	}
}

static void expect_rate(uint64_t count, int64_t interval_ns, const char *text)
{
	char cell[CELL_MAX];

	rate_per_second(count, interval_ns, cell);
	assert_string_equal(cell, text);
}

static void test_cells(void **state)
{
	struct rate r = { .function = "evil\x1b[2J",
			  .known = true,
			  .interval_ns = 2 * S,
			  .count = 25,
			  .wall_ns = 4 * S,
			  .cpu_ns = 3 * S,
			  .billed_ns = 6 * S,
			  .total_errors = 1 };
	char cells[RATE_COLUMNS][CELL_MAX];

	(void)state;
	expect_rate(0, S, "0.0");
	expect_rate(25, 2 * S, "12.5");
	expect_rate(1, 3 * S, "0.3");
	expect_rate(UINT64_MAX / 100, S, "184467440737095516.0"); /* does not wrap */
	expect_rate(1, 0, "–");
	rate_cells(&r, cells);
	assert_string_equal(cells[RATE_FUNCTION], "evil?[2J");
	assert_string_equal(cells[RATE_WALL], "2.000 s");
	assert_string_equal(cells[RATE_CPU], "1.500 s");
	assert_string_equal(cells[RATE_BILLED], "3.000 s");
	assert_string_equal(cells[RATE_RATIO], "2.00×");
	assert_string_equal(cells[RATE_ERRORS], "1");
}

static void test_lines(void **state)
{
	static const char good[] =
		"{\"function\":\"f\",\"count\":3,\"instances_open\":2,\"memory_mb\":null,"
		"\"last_end\":\"2026-01-31T12:00:00Z\",\"billed\":{\"aws-lambda\":"
		"{\"billed_ns\":5}}}";
	struct function_line f;

	(void)state;
	assert_int_equal(function_line_of(good, sizeof(good) - 1, &f), 0);
	assert_string_equal(f.sum.function, "f");
	assert_int_equal(f.sum.count, 3);
	assert_true(f.running_known);
	assert_int_equal(f.instances_open, 2);
	assert_int_equal(f.memory_mb, -1);
	assert_int_equal(source_billed(&f.sum, "aws-lambda"), 5);
	assert_int_not_equal(function_line_of("{}", 2, &f), 0);
	assert_int_not_equal(function_line_of("no", 2, &f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_difference), cmocka_unit_test(test_what_shrank_is_not_known),
		cmocka_unit_test(test_order),	   cmocka_unit_test(test_cells),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
