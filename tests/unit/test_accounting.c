/* SPDX-License-Identifier: GPL-2.0 */
/* The pure steps of the kernel side, on the host: latch, clock offset, slice, bound, pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/accounting.h"

static void test_glob_matches_cgroup_paths(void **state)
{
	static const struct {
		const char *pattern, *path;
		int takes;
	} cases[] = {
		{ "/a", "/a", 1 },
		{ "/a", "/b", 0 },
		{ "/a", "/ab", 0 },
		{ "/a*", "/a", 1 },
		{ "/a*", "/abc", 1 },
		{ "/a*", "/abc/d", 0 },
		{ "/f/thumb-?", "/f/thumb-1", 1 },
		{ "/f/thumb-?", "/f/thumb-12", 0 },
		{ "/f/?", "/f//", 0 },
		{ "/*/x", "/abc/x", 1 },
		{ "/*/x", "/a/b/x", 0 },
		{ "/*a*b", "/xaxxab", 1 },
		{ "/*a*b", "/xaxxabc", 0 },
		{ "*", "", 1 },
		{ "", "", 1 },
		{ "", "/", 0 },
		{ "/**", "/abc", 1 },
		{ "/*-*-*", "/a-b-c", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char pattern[ONCPU_PATTERN_LEN] = "", path[ONCPU_PATTERN_LEN] = "";
		struct glob_walk w;
		int steps = 0;

		strcpy(pattern, cases[i].pattern);
		strcpy(path, cases[i].path);
		glob_begin(&w);
		while (w.result < 0 && ++steps < 1 << 16)
			glob_step(&w, pattern, path);
		if (w.result != cases[i].takes)
			fail_msg("%s on %s: %d", pattern, path, w.result);
	}
}

static void test_glob_ends_on_the_longest_hostile_path(void **state)
{
	char pattern[ONCPU_PATTERN_LEN], path[ONCPU_PATTERN_LEN];
	struct glob_walk w;
	int steps = 0;

	(void)state;
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = 0;
	memset(pattern, 'a', sizeof(pattern));
	for (size_t i = 0; i < 120; i += 2)
		pattern[i] = '*';
	pattern[126] = 'b';
	pattern[127] = 0;
	glob_begin(&w);
	while (w.result < 0 && ++steps < 1 << 16)
		glob_step(&w, pattern, path);
	assert_int_equal(w.result, 0); /* within the number of steps that the kernel side allows */
}

/* Trap 1: a reader that comes in at any store of the writer finds one whole copy. */
static void test_latch_is_whole_at_each_step_of_the_writer(void **state)
{
	struct oncpu_slot slot = {};
	struct oncpu_slot_copy old = { .base_ns = 1, .start_ns = 1, .instance = 1 };
	struct oncpu_slot_copy new = { .base_ns = 2, .start_ns = 2, .instance = 2 };

	(void)state;
	slot_publish(&slot, &old);
	/* the writer's four steps, stopped after each */
	for (int steps = 0; steps <= 4; steps++) {
		struct oncpu_slot s = slot;
		const struct oncpu_slot_copy *seen;

		if (steps > 0)
			s.seq++;
		if (steps > 1)
			s.copy[0] = new;
		if (steps > 2)
			s.seq++;
		if (steps > 3)
			s.copy[1] = new;
		seen = &s.copy[s.seq & 1];
		assert_int_equal(seen->base_ns, seen->start_ns);
		assert_int_equal(seen->base_ns, seen->instance);
		assert_int_equal(seen->base_ns, steps > 2 ? 2 : 1);
	}
	slot_publish(&slot, &new);
	assert_memory_equal(&slot.copy[0], &slot.copy[1], sizeof(new));
	assert_int_equal(slot.seq % 2, 0);
}

static void test_clock_offset_is_the_least_of_two_windows(void **state)
{
	struct oncpu_slot slot = { .hook_lag_ns = 100 };

	(void)state;
	slot_clock_sample(&slot, 10000, 9000);
	assert_int_equal(slot_clock_offset(&slot), 900);
	slot_clock_sample(&slot, 20000, 19400);
	assert_int_equal(slot_clock_offset(&slot), 500);
	slot_clock_sample(&slot, 30000, 29000);
	assert_int_equal(slot_clock_offset(&slot),
			 500); /* a later, larger sample changes nothing */
	slot_clock_sample(&slot, 30000 + CLOCK_WINDOW_MAX_NS, 30000 + CLOCK_WINDOW_MAX_NS - 800);
	assert_int_equal(slot_clock_offset(&slot), 500); /* the window before still counts */
	slot_clock_sample(&slot, 40000 + 2 * CLOCK_WINDOW_MAX_NS,
			  40000 + 2 * CLOCK_WINDOW_MAX_NS - 900);
	assert_int_equal(slot_clock_offset(&slot), 700); /* and then no longer: drift is followed */
}

/* Trap 2: what the hypervisor took since the slice began is no running time. */
static void test_live_steal_moves_the_offset(void **state)
{
	(void)state;
	assert_int_equal(offset_with_live_steal(1000, 1000, 500, 500), 1000);
	assert_int_equal(offset_with_live_steal(1000, 1000, 18700500, 500), 1000 + 18700000);
	/* two clocks read on both sides of an update: not believed beyond a second */
	assert_int_equal(offset_with_live_steal(1000, 1000, 5000000000u, 500), 1000);
	assert_int_equal(offset_with_live_steal(1000, 1000, 500, 600), 1000);
}

/* Trap 2 again: what was stolen since the clock's last update is booked by the next one, and never
 * more than the time between the two. */
static void test_unbooked_steal_is_bounded_by_the_clock(void **state)
{
	(void)state;
	assert_int_equal(steal_to_book(0, 10000, 1000, 5000), 0);
	assert_int_equal(steal_to_book(700, 10000, 1000, 5000), 700);
	assert_int_equal(steal_to_book(70000, 10000, 1000, 5000), 4000);
	assert_int_equal(steal_to_book(700, 5500, 1000, 5000), 0); /* the clock is not behind */
}

static void test_slice_is_never_negative(void **state)
{
	(void)state;
	assert_int_equal(slice_ns(1000, 100, 500), 400);
	assert_int_equal(slice_ns(1000, 100, 950), 0);
	assert_int_equal(slice_ns(1000, -100, 500), 600);
}

static void test_switch_bound_is_the_age_of_the_clock_or_nothing(void **state)
{
	(void)state;
	assert_int_equal(switch_bound(10000, 0, 7000, 60000), 4000);
	assert_int_equal(switch_bound(10000000, 0, 7000, 60000), 0);
	assert_int_equal(switch_bound(7000, 500, 7000, 60000), 1000); /* a clock that is ahead */
}

static void test_wakeup_bound_is_the_age_of_the_clock(void **state)
{
	(void)state;
	assert_int_equal(wakeup_bound_ns(100000, 0, 7000), 94000);
	assert_int_equal(wakeup_bound_ns(100000000, 0, 7000), WAKEUP_CAP_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob_matches_cgroup_paths),
		cmocka_unit_test(test_glob_ends_on_the_longest_hostile_path),
		cmocka_unit_test(test_latch_is_whole_at_each_step_of_the_writer),
		cmocka_unit_test(test_clock_offset_is_the_least_of_two_windows),
		cmocka_unit_test(test_live_steal_moves_the_offset),
		cmocka_unit_test(test_unbooked_steal_is_bounded_by_the_clock),
		cmocka_unit_test(test_slice_is_never_negative),
		cmocka_unit_test(test_switch_bound_is_the_age_of_the_clock_or_nothing),
		cmocka_unit_test(test_wakeup_bound_is_the_age_of_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
