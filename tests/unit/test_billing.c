// SPDX-License-Identifier: GPL-2.0
/* Billed time: worked examples of the platforms, properties at every edge, 3,606 real AWS lines. */
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

static const struct policies *set;

static const struct bill_rule *rule_of(const char *policy)
{
	return &set->rules[policies_find(set, policy)->time];
}

static int64_t billed(const char *policy, int64_t wall_ns, int64_t init_ns, int64_t cpu_ns)
{
	struct invocation_record record = { .wall_ns = wall_ns,
					    .cpu_ns = cpu_ns,
					    .init_wall_ns = init_ns,
					    .init_cpu_ns = init_ns < 0 ? -1 : init_ns / 2,
					    .cold_start = init_ns >= 0 };

	return billing_billed_ns(set, policies_find(set, policy), &record);
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
	/* until 2025: init of a zip package was free */
	assert_int_equal(billed("aws-lambda-2020", 1307680000, 1058150000, 0), 1308 * MS);
	/* minimum first, then steps of 1 ms; and of 100 ms */
	assert_int_equal(billed("azure-consumption", 3 * MS, -1, 0), 100 * MS);
	assert_int_equal(billed("azure-consumption", 100 * MS + 1, -1, 0), 101 * MS);
	assert_int_equal(billed("digitalocean", 42 * MS, -1, 0), 100 * MS);
	assert_int_equal(billed("azure-flex", 200 * MS, -1, 0), 1000 * MS);
	assert_int_equal(billed("azure-flex", 1001 * MS, -1, 0), 1100 * MS);
	/* FunctionGraph's own two: 0.5 ms is 1 ms, 2.3 ms is 3 ms */
	assert_int_equal(billed("huawei", 500000, -1, 0), 1 * MS);
	assert_int_equal(billed("huawei", 2300000, -1, 0), 3 * MS);
	/* CPU time: waiting 400 ms for a database is free (the example of Vercel's page) */
	assert_int_equal(billed("vercel-fluid", 500 * MS, -1, 100 * MS), 100 * MS);
	assert_int_equal(billed("cloudflare-workers", 5000 * MS, 70 * MS, 2000001), 3 * MS);
	/* on-cpu: exact, init is its own line, waiting costs nothing */
	assert_int_equal(billed("on-cpu", 5000 * MS, 300 * MS, 3201457), 3201457);
	assert_int_equal(billed("on-cpu", 5000 * MS, -1, 0), 0);
}

/* SnapStart's example: 147.156 ms and a billed restore of 53 ms are one sum, 201 ms. */
static void test_billing_restore(void **state)
{
	int64_t times[BILL_TIMES] = {
		[BILL_AWAKE] = 147156000, [BILL_RESTORE] = 53 * MS, [BILL_INIT_WALL] = 900 * MS
	};

	(void)state;
	assert_int_equal(bill_billed_ns(rule_of("aws-lambda-snapstart"), times, -1), 201 * MS);
}

/* After the answer, FunctionGraph's clock stands still; AWS's runs on. */
static void test_billing_after_response(void **state)
{
	struct invocation_record record = { .wall_ns = 50 * MS,
					    .init_wall_ns = -1,
					    .after_response_wall_ns = 30 * MS - 1 };

	(void)state;
	assert_int_equal(billing_billed_ns(set, policies_find(set, "huawei"), &record), 21 * MS);
	assert_int_equal(billing_billed_ns(set, policies_find(set, "aws-lambda"), &record),
			 50 * MS);
}

/* The shares of an instance's records and of its end add up to its life, rounded once. */
static void test_billing_life(void **state)
{
	const struct bill_rule *rule = rule_of("cloud-run-instance");
	struct invocation_record first = { .wall_ns = 7 * MS,
					   .init_wall_ns = 40 * MS + 1,
					   .cold_start = true,
					   .between_wall_ns = 3 };
	struct invocation_record second = { .wall_ns = 9 * MS,
					    .init_wall_ns = -1,
					    .between_wall_ns = 1000 * MS,
					    .freeze_wall_ns = 500 * MS };
	struct instance_record end = { .start_realtime_ns = 5, .last_between_wall_ns = 60 * MS };
	int64_t life = 1616 * MS + 4, sum;

	(void)state;
	end.end_realtime_ns = end.start_realtime_ns + life;
	sum = billing_billed_ns(set, policies_find(set, "cloud-run-instance"), &first) +
	      billing_billed_ns(set, policies_find(set, "cloud-run-instance"), &second);
	assert_int_equal(sum, life - 60 * MS);
	assert_int_equal(sum + bill_close_ns(rule, &end), 1700 * MS);
	assert_int_equal(bill_close_ns(rule_of("aws-lambda"), &end), 0);
}

/* Reserved half a vCPU for 1.5 s is 0.75 vCPU-s; used more, that is billed. */
static void test_billing_floor(void **state)
{
	int64_t times[BILL_TIMES] = { [BILL_AWAKE] = 1500 * MS, [BILL_USED_CPU] = 300 * MS };
	const struct bill_rule *rule = rule_of("sandbox-floor");

	(void)state;
	assert_int_equal(bill_basis_ns(rule, times, 500), 750 * MS);
	assert_int_equal(bill_billed_ns(rule, times, 500), 1000 * MS);
	times[BILL_USED_CPU] = 1200 * MS;
	assert_int_equal(bill_basis_ns(rule, times, 500), 1200 * MS);
	assert_int_equal(bill_billed_ns(rule, times, 500), 2000 * MS);
	/* nothing configured: the rule's own quarter; a part of a ns is rounded up */
	times[BILL_USED_CPU] = 0;
	times[BILL_AWAKE] = 5;
	assert_int_equal(bill_basis_ns(rule, times, -1), 2);
}

static void test_billing_init_only_of_a_cold_start(void **state)
{
	struct invocation_record record = { .wall_ns = 10 * MS, .init_wall_ns = 5 * MS };
	int64_t times[BILL_TIMES];

	(void)state;
	bill_times_of_record(&record, times);
	assert_int_equal(bill_basis_ns(rule_of("aws-lambda"), times, -1), 10 * MS);
	record.cold_start = true;
	bill_times_of_record(&record, times);
	assert_int_equal(bill_basis_ns(rule_of("aws-lambda"), times, -1), 15 * MS);
	record.init_wall_ns = -1;
	bill_times_of_record(&record, times);
	assert_int_equal(bill_basis_ns(rule_of("aws-lambda"), times, -1), 10 * MS);
	record.init_wall_ns = INT64_MAX;
	bill_times_of_record(&record, times);
	assert_int_equal(bill_basis_ns(rule_of("aws-lambda"), times, -1), INT64_MAX);
}

/* billed ≥ basis (up to saturation), a multiple, less than one granule above, monotone, and the
 * next granule exactly one nanosecond beyond the boundary. */
static void check_at(const struct bill_rule *rule, int64_t basis)
{
	int64_t top = INT64_MAX - INT64_MAX % rule->granularity_ns;
	int64_t result = bill_round(rule, basis), positive = basis > 0 ? basis : 0;

	assert_true(result >= positive || result == top);
	assert_true(result >= rule->minimum_ns);
	assert_int_equal(result % rule->granularity_ns, 0);
	if (positive >= rule->minimum_ns && positive <= top)
		assert_true(result - positive < rule->granularity_ns);
	if (basis < INT64_MAX)
		assert_true(bill_round(rule, basis + 1) >= result);
	if (positive >= rule->minimum_ns && positive < top && basis % rule->granularity_ns == 0 &&
	    basis >= 0)
		assert_int_equal(bill_round(rule, basis + 1), basis + rule->granularity_ns);
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
	int64_t times[BILL_TIMES];

	(void)state;
	assert_int_equal(billing_billed_ns(set, policies_find(set, "aws-lambda"), &record), 6 * MS);
	assert_int_equal(billing_billed_ns(set, policies_find(set, "on-cpu"), &record), 3 * MS);
	record.segments[0].wall_ns = INT64_MAX;
	bill_times_of_record(&record, times);
	assert_int_equal(bill_basis_ns(rule_of("aws-lambda"), times, -1), INT64_MAX);
}

static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
	return *random;
}

static void test_billing_properties(void **state)
{
	static const int64_t edges[] = { INT64_MIN, INT64_MIN + 1, -1,	     0,
					 1,	    INT64_MAX - 1, INT64_MAX };

	(void)state;
	for (unsigned p = 0; p < set->rule_count; p++) {
		const struct bill_rule *rule = &set->rules[p];
		int64_t granule = rule->granularity_ns;
		uint64_t random = 88172645463325252u;

		for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
			check_at(rule, edges[i]);
		for (int64_t near = -2; near <= 2; near++) {
			check_at(rule, INT64_MAX - INT64_MAX % granule - 2 + near);
			for (int64_t k = 1; k < 50; k++)
				check_at(rule, k * granule + near);
		}
		for (int i = 0; i < 20000; i++) {
			next(&random);
			check_at(rule, (int64_t)(random >> (random & 63)));
		}
		assert_int_equal(bill_round(rule, INT64_MAX), INT64_MAX - INT64_MAX % granule);
	}
}

/* Of any record: billed ≥ basis ≥ the part that is CPU time; more of any time never bills less
 * (but of what a rule leaves out), and init is of the sum: never less than duration alone, never
 * more than each rounded by itself. */
static void test_billing_of_records(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15u;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t times[BILL_TIMES], more[BILL_TIMES], alone[BILL_TIMES] = { 0 };

		for (int t = 0; t < BILL_TIMES; t++)
			times[t] = (int64_t)(next(&random) % (1ull << (random >> 32) % 40));
		for (unsigned p = 0; p < set->rule_count; p++) {
			const struct bill_rule *rule = &set->rules[p];
			int64_t result = bill_billed_ns(rule, times, 700);

			assert_true(result >= bill_basis_ns(rule, times, 700));
			memcpy(more, times, sizeof(more));
			more[BILL_AWAKE]++, more[BILL_USED_CPU]++, more[BILL_INIT_WALL]++;
			assert_true(bill_billed_ns(rule, more, 700) >= result);
			if (!rule->init || rule->basis != BILL_WALL)
				continue;
			memcpy(more, times, sizeof(more));
			more[BILL_INIT_WALL] = 0;
			alone[BILL_INIT_WALL] = times[BILL_INIT_WALL];
			assert_true(result >= bill_billed_ns(rule, more, 700));
			assert_true(result <= bill_billed_ns(rule, more, 700) +
						      bill_billed_ns(rule, alone, 700));
		}
	}
}

static void test_billing_apply_and_find(void **state)
{
	struct invocation_record record = { .wall_ns = 51234567,
					    .cpu_ns = 3201456,
					    .init_wall_ns = -1 };
	struct policies *other = NULL;
	char error[POLICY_ERROR_LEN];

	(void)state;
	billing_apply(set, &record);
	assert_int_equal(record.billed_count, 3);
	assert_string_equal(record.billed[0].policy, "aws-lambda-2018");
	assert_int_equal(record.billed[0].billed_ns, 100 * MS);
	assert_string_equal(record.billed[1].policy, "aws-lambda");
	assert_int_equal(record.billed[1].billed_ns, 52 * MS);
	assert_string_equal(record.billed[2].policy, "on-cpu");
	assert_int_equal(record.billed[2].billed_ns, 3201456);
	assert_null(policies_find(set, "aws"));
	/* the host's own policy is kept, too */
	assert_int_equal(policies_parse(NULL, NULL, 0, "azure-flex", &other, error), 0);
	billing_apply(other, &record);
	assert_int_equal(record.billed_count, 4);
	assert_string_equal(record.billed[3].policy, "azure-flex");
	assert_int_equal(record.billed[3].version, 1);
	assert_int_equal(record.billed[3].billed_ns, 1000 * MS);
	policies_free(&other);
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
	const struct policy *policy = policies_find(set, "aws-lambda-2020");
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
		int64_t init_ns = printed_ms(init);
		struct invocation_record low = { .wall_ns = printed - 5000,
						 .init_wall_ns = init_ns,
						 .cold_start = init_ns >= 0 };
		struct invocation_record high = low;

		high.wall_ns = printed + 5000;
		assert_true(memory && rest && printed > 0 && charged > 0);
		if (billing_billed_ns(set, policy, &low) > charged ||
		    billing_billed_ns(set, policy, &high) < charged)
			fail_msg("line %d: %s ms billed %s ms", lines + 2, duration, bill);
		exact += bill_round(rule_of("aws-lambda-2020"), printed) == charged;
		cold += *init != '\0';
		lines++;
	}
	print_message("%d lines, %d of them equal without the tolerance, %d cold\n", lines, exact,
		      cold);
	assert_int_equal(lines, AWS_LINES);
	assert_int_equal(cold, 6);
}

/* Peaks in classes: exact MB, 16 MB, 128 MB; each class ends where Azure's steps of 128 MB do. */
static void test_billing_memory_classes(void **state)
{
	(void)state;
	assert_int_equal(bill_memory_class(-1), -1);
	assert_int_equal(bill_memory_class(0), 0);
	assert_int_equal(bill_memory_class(1), 1);
	assert_int_equal(bill_memory_class(1 << 20), 1);
	assert_int_equal(bill_memory_class((1 << 20) + 1), 2);
	assert_int_equal(bill_memory_class(128ll << 20), 128);
	assert_int_equal(bill_memory_class((128ll << 20) + 1), 144);
	assert_int_equal(bill_memory_class(2048ll << 20), 2048);
	assert_int_equal(bill_memory_class((2048ll << 20) + 1), 2176);
	for (int64_t mb = 0; mb < 5000; mb++) {
		int64_t class = bill_memory_class(mb << 20), steps = (mb + 127) / 128;

		assert_true(class >= mb);
		assert_int_equal((class + 127) / 128, steps);
	}
	assert_true(bill_memory_class(INT64_MAX) > 0);
}

static int load(void **state)
{
	(void)state;
	set = policies_embedded();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_billing_worked_examples),
		cmocka_unit_test(test_billing_restore),
		cmocka_unit_test(test_billing_after_response),
		cmocka_unit_test(test_billing_life),
		cmocka_unit_test(test_billing_floor),
		cmocka_unit_test(test_billing_init_only_of_a_cold_start),
		cmocka_unit_test(test_billing_of_what_was_awake),
		cmocka_unit_test(test_billing_properties),
		cmocka_unit_test(test_billing_of_records),
		cmocka_unit_test(test_billing_apply_and_find),
		cmocka_unit_test(test_billing_real_aws_lines),
		cmocka_unit_test(test_billing_memory_classes),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
