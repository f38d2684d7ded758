/* SPDX-License-Identifier: GPL-2.0 */
/* The pure steps of the kernel side, on the host: latch, clock offset, slice, bound, pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* ---- trap 1: a reader that finds the writer in the middle ---- */

typedef void publish_fn(struct oncpu_slot *slot, const struct oncpu_slot_copy *copy);

static __attribute__((noinline)) void publish_latch(struct oncpu_slot *slot,
						    const struct oncpu_slot_copy *copy)
{
	*slot_next_picture(slot) = *copy;
	slot_publish(slot);
}

/* The trap left open: a plain sequence lock. While it is odd there is nothing to read. */
static __attribute__((noinline)) void publish_lock(struct oncpu_slot *slot,
						   const struct oncpu_slot_copy *copy)
{
	slot->seq++;
	COMPILER_BARRIER();
	slot->copy[0] = slot->copy[1] = *copy;
	COMPILER_BARRIER();
	slot->seq++;
}

static void fill(struct oncpu_slot_copy *copy, uint64_t value)
{
	uint64_t *words = (uint64_t *)copy;

	for (size_t i = 0; i < sizeof(*copy) / sizeof(*words); i++)
		words[i] = value;
}

static bool whole(const struct oncpu_slot_copy *copy)
{
	const uint64_t *words = (const uint64_t *)copy;

	for (size_t i = 1; i < sizeof(*copy) / sizeof(*words); i++)
		if (words[i] != words[0])
			return false;
	return words[0] == 1 || words[0] == 2;
}

static void writer(struct oncpu_slot *slot, publish_fn *publish)
{
	struct oncpu_slot_copy copy;

	fill(&copy, 2);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	publish(slot, &copy);
	raise(SIGSTOP);
	_exit(0);
}

/* A writer that is stopped after each of its instructions, as a hypervisor can: at how many of them
 * a reader that does not wait finds no whole copy. */
static int torn_at(publish_fn *publish, int *ret_steps)
{
	struct oncpu_slot *slot =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int torn = 0, steps = 0, status;
	struct oncpu_slot_copy old;
	pid_t pid;

	assert_ptr_not_equal(slot, MAP_FAILED);
	fill(&old, 1);
	publish_latch(slot, &old);
	pid = fork();
	if (!pid)
		writer(slot, publish);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	do {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		steps++;
		torn += !whole(slot_picture(slot));
	} while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	assert_int_equal(slot_picture(slot)->base_ns, 2);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	munmap(slot, 4096);
	*ret_steps = steps;
	return torn;
}

static void test_trap_1_the_latch_is_whole_at_each_instruction_of_the_writer(void **state)
{
	int steps;

	(void)state;
	assert_int_equal(torn_at(publish_latch, &steps), 0);
	assert_true(steps > 20);
}

static void test_trap_1_left_open_a_stopped_writer_hides_the_slot(void **state)
{
	int steps;

	(void)state;
	assert_true(torn_at(publish_lock, &steps) > 0);
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

/* Trap 2: a slice of 30 ms, of which the hypervisor took 18.7: all booked, none of it yet, or a
 * part. */
static void test_trap_2_stolen_time_is_no_running_time(void **state)
{
	const oncpu_u64 begun = 5000000, now = begun + 30000000, stolen = 18700000,
			clock = now - 1000;
	const oncpu_s64 d = 1000, at_switch = d; /* nothing was stolen before */

	(void)state;
	for (oncpu_u64 booked = 0; booked <= stolen; booked += stolen / 2) {
		oncpu_s64 live = task_clock_offset(d, clock, clock - booked, stolen - booked);

		assert_int_equal(slice_ns(now, live, begun - d), 30000000 - stolen);
	}
	/* left open: the offset of the switch, as it was */
	assert_int_equal(slice_ns(now, at_switch, begun - d), 30000000);
}

/* Trap 2: what was stolen since the clock's last update is booked by the next one, and never
 * more than the time between the two. */
static void test_trap_2_unbooked_steal_is_bounded_by_the_clock(void **state)
{
	(void)state;
	assert_int_equal(steal_to_book(0, 10000, 1000, 5000), 0);
	assert_int_equal(steal_to_book(700, 10000, 1000, 5000), 700);
	assert_int_equal(steal_to_book(70000, 10000, 1000, 5000), 4000);
	assert_int_equal(steal_to_book(700, 5500, 1000, 5000), 0); /* the clock is not behind */
}

/* ---- trap 10: ktime is slewed, the scheduler's clock is not ---- */

enum { SWITCH_EVERY_NS = 5000000, RUN_NS = 400000000 };

/* ktime of the scheduler's clock, under a slew since 0. */
static oncpu_u64 ktime_of(oncpu_u64 clock, int ppm)
{
	return clock + 7000 + (oncpu_u64)((oncpu_s64)(clock / 1000) * ppm / 1000);
}

/* Ten seconds of switches under a slew, then a slice of run_ns: by how much it is read wrong at its
 * end, and how much of that the bound does not cover. */
static void slewed(int ppm, oncpu_u64 begun, oncpu_u64 run_ns, oncpu_s64 *ret_error,
		   oncpu_s64 *ret_beyond)
{
	oncpu_u64 clock = 10000000000u, now = ktime_of(begun + run_ns, ppm);
	struct oncpu_slot slot = { 0 };
	oncpu_s64 error;

	for (; clock <= begun; clock += SWITCH_EVERY_NS)
		slot_clock_sample(&slot, ktime_of(clock, ppm), clock);
	error = (oncpu_s64)(now - begun - run_ns) - slot_clock_offset(&slot);
	*ret_error = error;
	*ret_beyond = (error < 0 ? -error : error) - (oncpu_s64)slot_clock_error(&slot, now);
}

static void test_trap_10_the_bound_covers_what_the_slew_moves(void **state)
{
	static const int slews[] = { -500, -100, -20, -1, 1, 20, 100, 500 };

	(void)state;
	for (size_t i = 0; i < 40 * sizeof(slews) / sizeof(slews[0]); i++) {
		oncpu_u64 begun = 20000000000u + i % 20 * 50000000; /* anywhere in the window */
		int ppm = slews[i / 40];
		oncpu_s64 error, beyond;

		slewed(ppm, begun, i / 20 % 2 ? RUN_NS : 0, &error, &beyond);
		if (beyond > 0)
			fail_msg("%d ppm: %ld ns, %ld beyond the bound", ppm, (long)error,
				 (long)beyond);
		/* left open, that is with no such bound, it is simply wrong */
		if (ppm >= 20 && error < 5000)
			fail_msg("%d ppm do nothing: %ld ns", ppm, (long)error);
	}
}

static void test_trap_10_clocks_that_run_alike_cost_no_bound(void **state)
{
	oncpu_s64 error, beyond;

	(void)state;
	slewed(0, 20000000000u, RUN_NS, &error, &beyond);
	assert_int_equal(error, 0);
	assert_int_equal(beyond, 0);
}

static void test_trap_10_slew_is_by_the_window(void **state)
{
	(void)state;
	assert_int_equal(clock_slew(1000, 2999, 1u << 29, 2000), 0); /* noise */
	assert_int_equal(clock_slew(1000, 11000, 1u << 29, 2000), 10000);
	assert_int_equal(clock_slew(11000, 1000, 1u << 29, 2000), 10000);
	assert_int_equal(clock_slew(0, 10000, 4ull << 29, 2000), 2500); /* in 2 s */
	assert_int_equal(clock_slew(0, INT64_MAX, 1, 2000), UINT32_MAX);
}

/* What a busy host does to the least of a window is not taken for a drift. */
static void test_trap_10_a_late_hook_is_no_slew(void **state)
{
	struct oncpu_slot slot = { 0 };

	(void)state;
	for (oncpu_u64 i = 0, clock = 1000000000; i < 20000; i++, clock += SWITCH_EVERY_NS)
		slot_clock_sample(&slot, clock + 7000 + i / 150 % 7 * 250, clock);
	assert_int_equal(slot.d_slew, 0);
}

/* Nor what it does to a whole window, nor a window of one late sample. */
static void test_trap_10_a_late_window_is_no_slew(void **state)
{
	struct oncpu_slot slot = { 0 };
	oncpu_u64 clock = 1000000000;

	(void)state;
	for (oncpu_u64 i = 0; i < 5000; i++, clock += SWITCH_EVERY_NS) {
		oncpu_u64 late = i / 100 == 7 || i / 100 == 20 ? 100000 : 0;

		slot_clock_sample(&slot, clock + 7000 + late, clock);
		assert_int_equal(slot.d_slew, 0);
	}
	slot_clock_sample(&slot, clock + 9000000000u + 300000, clock + 9000000000u);
	clock += 18000000000u;
	for (oncpu_u64 i = 0; i < 5000; i++, clock += SWITCH_EVERY_NS) {
		slot_clock_sample(&slot, clock + 7000, clock);
		assert_int_equal(slot.d_slew, 0);
	}
}

static void test_slice_is_never_negative(void **state)
{
	(void)state;
	assert_int_equal(slice_ns(1000, 100, 500), 400);
	assert_int_equal(slice_ns(1000, 100, 950), 0);
	assert_int_equal(slice_ns(1000, -100, 500), 600);
}

static void test_the_lowest_bit_of_a_word(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(lowest_bit(1ull << i), i);
		assert_int_equal(lowest_bit(~0ull << i), i);
		assert_int_equal(lowest_bit(1ull << i | 1ull << 63), i);
	}
}

static void test_trap_3_a_switch_in_progress_is_bounded_by_the_clocks_age(void **state)
{
	(void)state;
	assert_int_equal(switch_bound(10000, 0, 7000, 60000), 4000);
	assert_int_equal(switch_bound(10000000, 0, 7000, 60000), 0);
	assert_int_equal(switch_bound(7000, 500, 7000, 60000), 1000); /* a clock that is ahead */
}

static void test_trap_3_a_wake_up_is_bounded_by_the_clocks_age(void **state)
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
		cmocka_unit_test(test_trap_1_the_latch_is_whole_at_each_instruction_of_the_writer),
		cmocka_unit_test(test_trap_1_left_open_a_stopped_writer_hides_the_slot),
		cmocka_unit_test(test_clock_offset_is_the_least_of_two_windows),
		cmocka_unit_test(test_trap_2_stolen_time_is_no_running_time),
		cmocka_unit_test(test_trap_2_unbooked_steal_is_bounded_by_the_clock),
		cmocka_unit_test(test_trap_10_the_bound_covers_what_the_slew_moves),
		cmocka_unit_test(test_trap_10_clocks_that_run_alike_cost_no_bound),
		cmocka_unit_test(test_trap_10_slew_is_by_the_window),
		cmocka_unit_test(test_trap_10_a_late_hook_is_no_slew),
		cmocka_unit_test(test_trap_10_a_late_window_is_no_slew),
		cmocka_unit_test(test_the_lowest_bit_of_a_word),
		cmocka_unit_test(test_slice_is_never_negative),
		cmocka_unit_test(test_trap_3_a_switch_in_progress_is_bounded_by_the_clocks_age),
		cmocka_unit_test(test_trap_3_a_wake_up_is_bounded_by_the_clocks_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
