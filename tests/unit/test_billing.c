// SPDX-License-Identifier: GPL-2.0
/* Billing: worked examples of the platforms, properties at every edge, 3,606 real AWS lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "core/billing.h"

#define MS 1000000ll
#define AWS_LINES 3606

static int64_t billed(const char *policy, int64_t wall_ns, int64_t init_ns, int64_t cpu_ns)
{
	struct invocation_record record = { .wall_ns = wall_ns,
					    .cpu_ns = cpu_ns,
					    .init_wall_ns = init_ns,
					    .init_cpu_ns = init_ns < 0 ? -1 : init_ns / 2,
					    .cold_start = init_ns >= 0 };

	return billing_billed_ns(billing_policy_find(policy), &record);
}

static void test_billing_worked_examples(void **state)
{
	(void)state;
	/* AWS since 2025-08: the sum is rounded, not its parts */
	assert_int_equal(billed("aws-lambda", 1307680000, 1058150000, 0), 2366 * MS);
	assert_int_equal(billed("aws-lambda", 1570000, 487970000, 0), 490 * MS);
	assert_int_equal(billed("aws-lambda", 100000, 200000, 0), 1 * MS);
	/* a printed 18.00 can bill 19 */
	assert_int_equal(billed("aws-lambda", 18000001, -1, 0), 19 * MS);
	assert_int_equal(billed("aws-lambda", 18000000, -1, 0), 18 * MS);
	/* until 2020: steps of 100 ms, cold start included */
	assert_int_equal(billed("aws-lambda-2018", 3 * MS, -1, 0), 100 * MS);
	assert_int_equal(billed("aws-lambda-2018", 0, -1, 0), 100 * MS);
	assert_int_equal(billed("aws-lambda-2018", 100 * MS, -1, 0), 100 * MS);
	assert_int_equal(billed("aws-lambda-2018", 100 * MS + 1, -1, 0), 200 * MS);
	assert_int_equal(billed("aws-lambda-2018", 60 * MS, 50 * MS, 0), 200 * MS);
	/* on-cpu: exact, init is its own line, waiting costs nothing */
	assert_int_equal(billed("on-cpu", 5000 * MS, 300 * MS, 3201457), 3201457);
	assert_int_equal(billed("on-cpu", 5000 * MS, -1, 0), 0);
}

static void test_billing_init_only_of_a_cold_start(void **state)
{
	struct invocation_record record = { .wall_ns = 10 * MS, .init_wall_ns = 5 * MS };
	const struct billing_policy *policy = billing_policy_find("aws-lambda");

	(void)state;
	assert_int_equal(billing_basis_ns(policy, &record), 10 * MS);
	record.cold_start = true;
	assert_int_equal(billing_basis_ns(policy, &record), 15 * MS);
	record.init_wall_ns = -1;
	assert_int_equal(billing_basis_ns(policy, &record), 10 * MS);
	record.init_wall_ns = INT64_MAX;
	assert_int_equal(billing_basis_ns(policy, &record), INT64_MAX);
}

/* billed ≥ basis (up to saturation), a multiple, less than one granule above, monotone. */
static void check_at(const struct billing_policy *policy, int64_t basis)
{
	int64_t top = INT64_MAX - INT64_MAX % policy->granularity_ns;
	int64_t result = billing_round(policy, basis), positive = basis > 0 ? basis : 0;

	assert_true(result >= positive || result == top);
	assert_true(result >= policy->minimum_ns);
	assert_int_equal(result % policy->granularity_ns, 0);
	if (positive >= policy->minimum_ns && positive <= top)
		assert_true(result - positive < policy->granularity_ns);
	if (basis < INT64_MAX)
		assert_true(billing_round(policy, basis + 1) >= result);
	if (positive > policy->minimum_ns && positive < top && basis % policy->granularity_ns == 0)
		assert_int_equal(billing_round(policy, basis + 1), basis + policy->granularity_ns);
}

/* Suspended until its answer is there, it does not run: only the stretches awake are billed. */
static void test_billing_of_what_was_awake(void **state)
{
	struct invocation_record record = { .wall_ns = 5000 * MS,
					    .cpu_ns = 3 * MS,
					    .init_wall_ns = -1,
					    .segment_count = 2,
					    .segments = { { 4 * MS, 1 * MS },
							  { 2 * MS, 2 * MS } } };

	(void)state;
	assert_int_equal(billing_billed_ns(billing_policy_find("aws-lambda"), &record), 6 * MS);
	assert_int_equal(billing_billed_ns(billing_policy_find("on-cpu"), &record), 3 * MS);
	record.segments[0].wall_ns = INT64_MAX;
	assert_int_equal(billing_basis_ns(billing_policy_find("aws-lambda"), &record), INT64_MAX);
}

static void test_billing_properties(void **state)
{
	static const int64_t edges[] = { INT64_MIN, INT64_MIN + 1, -1,	     0,
					 1,	    INT64_MAX - 1, INT64_MAX };

	(void)state;
	for (unsigned p = 0; billing_policy_at(p); p++) {
		const struct billing_policy *policy = billing_policy_at(p);
		int64_t granule = policy->granularity_ns;
		uint64_t random = 88172645463325252u;

		for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
			check_at(policy, edges[i]);
		for (int64_t near = -2; near <= 2; near++) {
			check_at(policy, INT64_MAX - INT64_MAX % granule - 2 + near);
			for (int64_t k = 1; k < 50; k++)
				check_at(policy, k * granule + near);
		}
		for (int i = 0; i < 20000; i++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			check_at(policy, (int64_t)(random >> (random & 63)));
		}
		assert_int_equal(billing_round(policy, INT64_MAX), INT64_MAX - INT64_MAX % granule);
	}
}

static void test_billing_apply_and_find(void **state)
{
	struct invocation_record record = { .wall_ns = 51234567,
					    .cpu_ns = 3201456,
					    .init_wall_ns = -1 };

	(void)state;
	billing_apply(&record);
	assert_int_equal(record.billed_count, 3);
	assert_string_equal(record.billed[0].policy, "aws-lambda-2018");
	assert_int_equal(record.billed[0].billed_ns, 100 * MS);
	assert_string_equal(record.billed[1].policy, "aws-lambda");
	assert_int_equal(record.billed[1].billed_ns, 52 * MS);
	assert_string_equal(record.billed[2].policy, "on-cpu");
	assert_int_equal(record.billed[2].billed_ns, 3201456);
	assert_null(billing_policy_find("aws"));
	assert_null(billing_policy_at(3));
}

/* "152.63" → 152630000 ns, without floating point; -1 for an empty field. */
static int64_t printed_ms(const char *field)
{
	char *end;
	int64_t whole, cents;

	if (!*field)
		return -1;
	whole = strtoll(field, &end, 10);
	if (*end != '.')
		return whole * MS;
	assert_int_equal(strlen(end), 3);
	cents = strtoll(end + 1, NULL, 10);
	return whole * MS + cents * (MS / 100);
}

/* The printed duration is rounded to 0.01 ms: the truth lies within 0.005 ms of it. */
static void test_billing_real_aws_lines(void **state)
{
	_cleanup_file_ FILE *file = fopen("tests/data/aws-lambda-report-2025-04.csv", "re");
	const struct billing_policy *policy = billing_policy_find("aws-lambda");
	int lines = 0, exact = 0, cold = 0;
	char line[256];

	(void)state;
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file)); /* the heading */
	while (fgets(line, sizeof(line), file)) {
		char *rest = line;
		const char *memory = strsep(&rest, ","), *duration = strsep(&rest, ",");
		const char *init = strsep(&rest, ","), *bill = strsep(&rest, ",");
		int64_t printed = printed_ms(duration), charged = printed_ms(bill);
		struct invocation_record low = { .wall_ns = printed - 5000, .init_wall_ns = -1 };
		struct invocation_record high = { .wall_ns = printed + 5000, .init_wall_ns = -1 };

		assert_true(memory && rest && printed > 0 && charged > 0);
		if (billing_billed_ns(policy, &low) > charged ||
		    billing_billed_ns(policy, &high) < charged)
			fail_msg("line %d: %s ms billed %s ms", lines + 2, duration, bill);
		exact += billing_round(policy, printed) == charged;
		cold += *init != '\0';
		lines++;
	}
	print_message("%d lines, %d of them equal without the tolerance, %d cold\n", lines, exact,
		      cold);
	assert_int_equal(lines, AWS_LINES);
	assert_int_equal(cold, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_billing_worked_examples),
		cmocka_unit_test(test_billing_init_only_of_a_cold_start),
		cmocka_unit_test(test_billing_of_what_was_awake),
		cmocka_unit_test(test_billing_properties),
		cmocka_unit_test(test_billing_apply_and_find),
		cmocka_unit_test(test_billing_real_aws_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
