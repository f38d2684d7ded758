// SPDX-License-Identifier: GPL-2.0
/* The quota law, against a simulation of it, nanosecond by nanosecond, and at its edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/forecast.h"

#define MS 1000000ll

/* One tick after the other: runs while the period's quota lasts, waits for the next period. */
static int64_t simulate(int64_t need, int64_t quota, int64_t period)
{
	int64_t wall = 0, left = quota;

	while (need > 0) {
		if (left > 0) {
			need--;
			left--;
		}
		wall++;
		if (wall % period == 0)
			left = quota;
	}
	return wall;
}

static void test_forecast_law_is_the_simulation(void **state)
{
	(void)state;
	for (int64_t period = 1; period <= 12; period++)
		for (int64_t quota = 1; quota <= period; quota++)
			for (int64_t need = 0; need <= 60; need++)
				assert_int_equal(forecast_wall_ns(need, quota, period, 1000),
						 simulate(need, quota, period));
}

static void test_forecast_law_by_hand(void **state)
{
	(void)state;
	/* 1/8 vCPU of 20 ms: 10 ms of CPU are 4 quotas; the last one's period is not waited for */
	assert_int_equal(forecast_wall_ns(10 * MS, 5 * MS / 2, 20 * MS, 1000), 62500000);
	assert_int_equal(forecast_wall_ns(10 * MS + 1, 5 * MS / 2, 20 * MS, 1000), 80 * MS + 1);
	/* a whole vCPU and more: nothing is throttled */
	assert_int_equal(forecast_wall_ns(10 * MS, 20 * MS, 20 * MS, 1000), 10 * MS);
	assert_int_equal(forecast_wall_ns(10 * MS, 200 * MS, 20 * MS, 1000), 10 * MS);
	/* two threads: half the wall at two vCPUs; at one, a period's quota lasts half of it */
	assert_int_equal(forecast_wall_ns(100 * MS, 40 * MS, 20 * MS, 2000), 50 * MS);
	assert_int_equal(forecast_wall_ns(100 * MS, 20 * MS, 20 * MS, 2000), 90 * MS);
	assert_int_equal(forecast_wall_ns(0, 1, 20 * MS, 1000), 0);
	assert_int_equal(forecast_wall_ns(INT64_MAX, 1, INT64_MAX, 1000), INT64_MAX);
	assert_int_equal(forecast_quota_ns(1769, 20 * MS), 20 * MS);
	assert_int_equal(forecast_quota_ns(128, 20 * MS), 1447145);
	assert_int_equal(forecast_quota_ns(10240, 20 * MS), 115771622);
	assert_int_equal(forecast_quota_ns(1, 1), 1);
}

/* More quota never takes longer, more need never less. */
static void test_forecast_is_monotone(void **state)
{
	(void)state;
	for (int64_t parallel = 1000; parallel <= 4000; parallel += 700) {
		for (int64_t mb = 64; mb < 8000; mb += 61) {
			int64_t small = forecast_quota_ns(mb, 20 * MS);
			int64_t large = forecast_quota_ns(mb + 61, 20 * MS);

			for (int64_t need = 1; need < 500 * MS; need = need * 3 + 7) {
				int64_t wall = forecast_wall_ns(need, small, 20 * MS, parallel);

				assert_true(forecast_wall_ns(need, large, 20 * MS, parallel) <=
					    wall);
				assert_true(forecast_wall_ns(need + 1, small, 20 * MS, parallel) >=
					    wall);
				/* never faster than its threads, nor than its quota in the long run
				 */
				assert_true(wall >= need * 1000 / parallel);
			}
		}
	}
}

static void test_forecast_of_a_record(void **state)
{
	struct forecast_record r = { .wall_ns = 50 * MS,
				     .cpu_ns = 10 * MS,
				     .quota_us = -1,
				     .period_us = -1,
				     .running_ns = -1,
				     .run_queue_ns = -1,
				     .waiting_ns = -1,
				     .used_mb = -1,
				     .no_init = true };
	int64_t t[BILL_TIMES];

	(void)state;
	/* 40 ms of waiting stay; 10 ms of CPU at 1/8 vCPU */
	forecast_times(&r, 1769 / 8 + 1, 20 * MS, t);
	assert_in_range(t[BILL_AWAKE], 40 * MS + 62000000, 40 * MS + 63000000);
	assert_int_equal(t[BILL_USED_CPU], 10 * MS);
	assert_int_equal(t[BILL_INIT_WALL], 0);
	/* at its own size it is what it was */
	forecast_times(&r, 1769, 20 * MS, t);
	assert_int_equal(t[BILL_AWAKE], 50 * MS);
	/* it ran under half a vCPU and waited for nothing else: 10 ms of 50 ms quotas */
	r.wall_ns = 10 * MS, r.quota_us = 50000, r.period_us = 100000;
	forecast_times(&r, 1769, 20 * MS, t);
	assert_int_equal(t[BILL_AWAKE], 10 * MS);
	/* 12 ms on the run queue are no waiting, either */
	r.wall_ns = 50 * MS, r.quota_us = -1, r.run_queue_ns = 12 * MS;
	forecast_times(&r, 1769, 20 * MS, t);
	assert_int_equal(t[BILL_AWAKE], 38 * MS);
	/* `where` knows better than the difference: 3 ms blocked, the rest was the run queue */
	r.wall_ns = 50 * MS, r.running_ns = 10 * MS, r.waiting_ns = 3 * MS;
	forecast_times(&r, 1769, 20 * MS, t);
	assert_int_equal(t[BILL_AWAKE], 13 * MS);
	/* four threads at once for 2.5 ms: at four vCPUs they are again */
	r.running_ns = 10 * MS / 4;
	forecast_times(&r, 4 * 1769, 20 * MS, t);
	assert_int_equal(t[BILL_AWAKE], 3 * MS + 10 * MS / 4);
	/* a cold start's init: 30 ms of 80 were CPU */
	r.no_init = false, r.init_wall_ns = 80 * MS, r.init_cpu_ns = 30 * MS, r.quota_us = -1;
	forecast_times(&r, 1769, 20 * MS, t);
	assert_int_equal(t[BILL_INIT_WALL], 80 * MS);
	assert_int_equal(t[BILL_INIT_CPU], 30 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forecast_law_is_the_simulation),
		cmocka_unit_test(test_forecast_law_by_hand),
		cmocka_unit_test(test_forecast_is_monotone),
		cmocka_unit_test(test_forecast_of_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
