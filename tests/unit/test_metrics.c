// SPDX-License-Identifier: GPL-2.0
/* What records add up to in the metrics, and that it is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"

#define MS 1000000ll

static int setup(void **state)
{
	struct metrics *m = malloc(sizeof(*m));

	metrics_init(m);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static struct invocation_record record_of(const char *function, int32_t status)
{
	struct invocation_record r = { .status = status,
				       .wall_ns = 5 * MS,
				       .cpu_ns = 3 * MS,
				       .init_wall_ns = -1,
				       .init_cpu_ns = -1,
				       .after_response_cpu_ns = 1 * MS,
				       .between_cpu_ns = 100,
				       .freeze_cpu_ns = 20,
				       .run_queue_ns = 7,
				       .max_memory_bytes = -1,
				       .where = { 4 * MS, 0, 0, 0, 1 * MS, 0 },
				       .billed_count = 1,
				       .billed = {
					       { .policy = "aws-lambda", .billed_ns = 5 * MS } } };

	snprintf(r.function, sizeof(r.function), "%s", function);
	return r;
}

static void add(struct metrics *m, const struct invocation_record *r)
{
	struct metrics_observation o;

	metrics_observe_invocation(r, &o);
	metrics_add(m, &o);
}

static uint64_t total_of(const struct metrics_histogram *h)
{
	uint64_t total = 0;

	for (int i = 0; i <= METRICS_BUCKETS; i++)
		total += h->count[i];
	return total;
}

/* Names, types and words, as Prometheus and its readers expect them. */
static void test_metrics_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *info = metric_info((enum metric)i);
		size_t n = strlen(info->name);
		bool total = n > 6 && strcmp(info->name + n - 6, "_total") == 0;

		assert_true(strncmp(info->name, "faas_", 5) == 0 ||
			    strncmp(info->name, "oncpu_", 6) == 0);
		assert_int_equal(total, info->type == METRIC_COUNTER);
		assert_int_equal(metrics_bounds_of((enum metric)i) != NULL,
				 info->type == METRIC_HISTOGRAM);
		assert_true(strlen(info->prose) > 10 && strlen(info->prose) < 200);
		assert_int_equal(info->prose[strlen(info->prose) - 1], '.');
		assert_int_equal(strncmp(info->labels, "function", 8) == 0,
				 i < METRIC_FIRST_OF_HOST);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(info->name, metric_info((enum metric)j)->name);
	}
	assert_null(metric_info(METRIC_COUNT));
	for (unsigned i = 1; i < metrics_fine_bounds.count; i++)
		assert_true(metrics_fine_bounds.bound[i] > metrics_fine_bounds.bound[i - 1]);
}

static void test_metrics_record(void **state)
{
	struct metrics *m = *state;
	struct invocation_record r = record_of("thumb", ONCPU_STATUS_OK);
	const struct metrics_function *f;

	add(m, &r);
	r.wall_ns++; /* the bound of 5 ms is behind it now */
	r.init_wall_ns = 2 * MS;
	r.init_cpu_ns = 1 * MS;
	r.cold_start = true;
	r.flags = 1;
	r.max_memory_bytes = 8 << 20;
	add(m, &r);
	f = metrics_function(m, "thumb");
	assert_int_equal(m->functions, 1);
	assert_int_equal(f->wall_faas.count[0], 1);
	assert_int_equal(f->wall_faas.count[1], 1);
	assert_true(f->wall_faas.sum == 10 * MS + 1);
	assert_int_equal(total_of(&f->wall), 2);
	assert_int_equal(total_of(&f->cpu_faas), 2);
	assert_int_equal(total_of(&f->init_faas), 1);
	assert_int_equal(f->memory.count[0], 1);
	assert_int_equal(f->status[ONCPU_STATUS_OK], 2);
	assert_int_equal(f->cold_starts, 1);
	assert_int_equal(f->flagged, 1);
	/* init, invocation, after_response, freeze, between: all that was charged */
	assert_true(f->account_ns[0] == MS && f->account_ns[1] == 4 * MS &&
		    f->account_ns[2] == 2 * MS && f->account_ns[3] == 40 &&
		    f->account_ns[4] == 200);
	assert_true(f->where_ns[0] == 8 * MS && f->where_ns[4] == 2 * MS);
	assert_int_equal(f->run_queue_ns, 14);
	assert_string_equal(m->policy[0], "aws-lambda");
	assert_true(f->billed_ns[0] == 10 * MS);
}

static void test_metrics_statuses(void **state)
{
	struct metrics *m = *state;
	const struct metrics_function *f;

	for (int32_t status = -1; status <= ONCPU_STATUS_COUNT; status++) {
		struct invocation_record r = record_of("thumb", status);

		add(m, &r);
	}
	f = metrics_function(m, "thumb");
	for (int i = 0; i < ONCPU_STATUS_COUNT; i++)
		assert_int_equal(f->status[i], 1);
	assert_int_equal(f->status[ONCPU_STATUS_COUNT], 2);
}

static void test_metrics_unmeasured(void **state)
{
	struct metrics *m = *state;
	struct invocation_record r = record_of("thumb", ONCPU_STATUS_OK);

	r.where = (struct record_where){ -1, -1, -1, -1, -1, -1 };
	r.run_queue_ns = -1;
	add(m, &r);
	assert_int_equal(metrics_function(m, "thumb")->where_ns[0], 0);
	assert_int_equal(metrics_function(m, "thumb")->run_queue_ns, 0);
}

/* A counter that falls would be taken for a restart. */
static void test_metrics_never_fall(void **state)
{
	struct metrics *m = *state;
	struct invocation_record r = record_of("thumb", ONCPU_STATUS_OK);
	const struct metrics_function *f = metrics_function(m, "thumb");

	add(m, &r);
	r.between_cpu_ns = -150; /* a negative split */
	r.cpu_ns = -5;
	r.after_response_cpu_ns = 0;
	add(m, &r);
	assert_int_equal(f->account_ns[4], -50);
	assert_int_equal(f->account_shown_ns[4], 100);
	assert_true(f->cpu.sum == 3 * MS);
	r.between_cpu_ns = 170;
	add(m, &r);
	assert_int_equal(f->account_shown_ns[4], 120);
}

static void test_metrics_bounded(void **state)
{
	struct metrics *m = *state;
	char name[32];

	for (int i = 0; i < 3 * METRICS_FUNCTIONS; i++) {
		struct invocation_record r;

		snprintf(name, sizeof(name), "made-up-%d", i);
		r = record_of(name, ONCPU_STATUS_OK);
		add(m, &r);
		add(m, &r);
	}
	assert_int_equal(m->functions, METRICS_FUNCTIONS);
	assert_int_equal(m->folded, 4 * METRICS_FUNCTIONS);
	assert_int_equal(metrics_function(m, METRICS_OTHER)->status[0], 4 * METRICS_FUNCTIONS);
	assert_ptr_equal(metrics_function(m, "one more"), metrics_function(m, METRICS_OTHER));
	/* who was there keeps his own */
	assert_int_equal(metrics_function(m, "made-up-0")->status[0], 2);
	assert_int_equal(metrics_function(m, "made-up-199")->status[0], 2);
	for (int i = 0; i < 2 * METRICS_POLICIES; i++) {
		struct invocation_record r = record_of("made-up-0", ONCPU_STATUS_OK);

		snprintf(r.billed[0].policy, sizeof(r.billed[0].policy), "policy-%d", i);
		add(m, &r);
	}
	assert_int_equal(m->policies, METRICS_POLICIES);
}

static void test_metrics_instance(void **state)
{
	struct metrics *m = *state;
	struct instance_record r = { .function = "thumb",
				     .invocations = 1,
				     .init_cpu_ns = 50,
				     .last_between_cpu_ns = 9,
				     .audits = 3,
				     .audit_mismatches = 1,
				     .audit_difference_ns = -4 };
	struct metrics_observation o;
	const struct metrics_function *f = metrics_function(m, "thumb");

	metrics_observe_instance(&r, &o);
	metrics_add(m, &o);
	assert_int_equal(f->instances_closed, 1);
	assert_int_equal(f->account_ns[4], 9);
	assert_int_equal(f->account_ns[0], 0); /* its first record has it */
	assert_int_equal(f->audits, 3);
	assert_int_equal(f->audit_mismatches, 1);
	assert_int_equal(f->audit_difference_ns, -4);
	assert_int_equal(total_of(&f->wall), 0);
	r.invocations = 0;
	r.audits = 0;
	r.audit_difference_ns = 0;
	metrics_observe_instance(&r, &o);
	metrics_add(m, &o);
	assert_int_equal(f->account_ns[0], 50);
	assert_int_equal(f->audit_difference_ns, -4); /* it was not compared */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_metrics_table),	    T(test_metrics_record),	T(test_metrics_statuses),
		T(test_metrics_unmeasured), T(test_metrics_never_fall), T(test_metrics_bounded),
		T(test_metrics_instance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
