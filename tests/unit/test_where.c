/* SPDX-License-Identifier: GPL-2.0 */
/* The pure steps of where wall time goes (bpf/integral.h): the same text that runs in the kernel.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "../bpf/integral.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_state_of_a_word(void **state)
{
	static const struct {
		uint64_t word;
		uint32_t where;
	} table[] = {
		{ 0, ONCPU_WHERE_IDLE },
		{ WHERE_RUNNING, ONCPU_WHERE_RUNNING },
		{ 512 * WHERE_RUNNING + WHERE_READY + WHERE_BLOCKED, ONCPU_WHERE_RUNNING },
		{ WHERE_READY, ONCPU_WHERE_RUN_QUEUE },
		{ WHERE_READY + 7 * WHERE_BLOCKED, ONCPU_WHERE_RUN_QUEUE },
		{ 4194303 * WHERE_READY, ONCPU_WHERE_RUN_QUEUE },
		{ WHERE_READY | WHERE_QUOTA, ONCPU_WHERE_THROTTLED },
		{ WHERE_BLOCKED | WHERE_QUOTA, ONCPU_WHERE_BLOCKED_IO }, /* what is left of it */
		{ WHERE_RUNNING | WHERE_QUOTA, ONCPU_WHERE_RUNNING },
		{ WHERE_QUOTA, ONCPU_WHERE_IDLE },
		{ WHERE_BLOCKED, ONCPU_WHERE_BLOCKED_IO },
		{ 4194303 * WHERE_BLOCKED, ONCPU_WHERE_BLOCKED_IO },
		{ WHERE_FROZEN, ONCPU_WHERE_FROZEN },
		{ WHERE_FROZEN + WHERE_BLOCKED + WHERE_READY, ONCPU_WHERE_FROZEN },
		/* "frozen" is said while the last one may still be on a CPU */
		{ WHERE_FROZEN + WHERE_RUNNING, ONCPU_WHERE_RUNNING },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++)
		if (where_of(table[i].word) != table[i].where)
			fail_msg("row %zu: %u, not %u", i, where_of(table[i].word), table[i].where);
	/* the fields hold the most that there can be, side by side */
	assert_int_equal(
		where_of(512 * WHERE_RUNNING + 4194303 * WHERE_READY + 4194303 * WHERE_BLOCKED),
		ONCPU_WHERE_RUNNING);
	assert_int_equal(where_of(4194303 * WHERE_READY + 4194303 * WHERE_BLOCKED),
			 ONCPU_WHERE_RUN_QUEUE);
	assert_int_equal(WHERE_RUNNING_MASK & WHERE_READY_MASK, 0);
	assert_int_equal(WHERE_READY_MASK & WHERE_BLOCKED_MASK, 0);
	assert_int_equal((WHERE_QUOTA | WHERE_FROZEN) & WHERE_BLOCKED_MASK, 0);
}

/* A thread that waits since 1000 was brought to its CPU unseen at 1040 and leaves at 1100. */
static void test_running_that_was_taken_for_waiting(void **state)
{
	uint64_t parts[ONCPU_WHERE_COUNT];
	struct oncpu_where w;

	(void)state;
	where_begin(&w, 900);
	where_change(&w, WHERE_READY, 1000);
	assert_int_equal(where_unseen_since(&w, 1100, 60), 1040);
	assert_int_equal(where_unseen_since(&w, 1100, 500), 1000); /* it has not waited longer */
	where_change(&w, WHERE_RUNNING - WHERE_READY, where_unseen_since(&w, 1100, 60));
	assert_int_equal(where_unseen_since(&w, 1100, 60), 1100); /* another one runs already */
	where_change(&w, 0 - WHERE_RUNNING, 1100);
	assert_true(where_read(&w, 1100, 1100, parts));
	assert_int_equal(parts[ONCPU_WHERE_IDLE], 100);
	assert_int_equal(parts[ONCPU_WHERE_RUN_QUEUE], 40);
	assert_int_equal(parts[ONCPU_WHERE_RUNNING], 60);
	where_change(&w, WHERE_READY | WHERE_QUOTA, 1200);
	assert_int_equal(where_unseen_since(&w, 1300, 60), 1300);
}

/* A life as a list of changes at instants; what each state must have got up to the last of them. */
static void test_integrals_of_a_life(void **state)
{
	static const struct {
		uint64_t at;
		uint64_t add; /* to the word */
		uint64_t bit; /* or a bit to set; ~0 = clear both */
	} life[] = {
		{ 1000, WHERE_READY, 0 },		    /* idle 1000 − 900 = 100 */
		{ 1010, WHERE_RUNNING - WHERE_READY, 0 },   /* run queue 10 */
		{ 1110, WHERE_READY, 0 },		    /* a second one waits */
		{ 1120, WHERE_BLOCKED - WHERE_RUNNING, 0 }, /* running 110 */
		{ 1125, WHERE_RUNNING - WHERE_READY, 0 },   /* run queue 5 */
		{ 1200, 0 - WHERE_RUNNING, 0 },		    /* running 75 */
		{ 1300, WHERE_READY - WHERE_BLOCKED, 0 },   /* blocked 100 */
		{ 1301, WHERE_RUNNING - WHERE_READY, 0 },   /* run queue 1 */
		{ 1400, 0, WHERE_QUOTA },
		{ 1400, WHERE_READY - WHERE_RUNNING, 0 }, /* running 99 */
		{ 1460, WHERE_RUNNING - WHERE_READY, 0 }, /* throttled 60 */
		{ 1500, 0, WHERE_FROZEN },		  /* still on its CPU */
		{ 1507, 0 - WHERE_RUNNING, 0 },		  /* running 47 */
		{ 1700, WHERE_READY, 0 },		  /* frozen goes on */
		{ 1800, 0, ~0ull },			  /* frozen 293 */
		{ 1850, 0, 0 },				  /* run queue 50 */
	};
	static const uint64_t want[ONCPU_WHERE_COUNT] = {
		110 + 75 + 99 + 47, 10 + 5 + 1 + 50, 60, 100, 100, 293
	};
	struct oncpu_where w;
	uint64_t got[ONCPU_WHERE_COUNT];

	(void)state;
	where_begin(&w, 900);
	for (size_t i = 0; i < COUNT(life); i++) {
		uint64_t sum = 0;

		if (life[i].bit == ~0ull) {
			where_set(&w, WHERE_QUOTA, 0, life[i].at);
			where_set(&w, WHERE_FROZEN, 0, life[i].at);
		} else if (life[i].bit) {
			where_set(&w, life[i].bit, 1, life[i].at);
			where_set(&w, life[i].bit, 1, life[i].at); /* again: nothing */
		} else {
			where_change(&w, life[i].add, life[i].at);
		}
		/* at every instant and a little later the parts add up to the life so far */
		for (uint64_t later = 0; later < 3; later++) {
			assert_true(where_read(&w, life[i].at + later, life[i].at + later, got));
			sum = 0;
			for (int k = 0; k < ONCPU_WHERE_COUNT; k++)
				sum += got[k];
			assert_int_equal(sum, life[i].at + later - 900);
		}
	}
	assert_true(where_read(&w, 1850, 1850, got));
	for (int k = 0; k < ONCPU_WHERE_COUNT; k++)
		if (got[k] != want[k])
			fail_msg("state %d: %llu, not %llu", k, (unsigned long long)got[k],
				 (unsigned long long)want[k]);
	/* read now, but for an instant a moment ago */
	assert_true(where_read(&w, 1850, 1845, got));
	assert_int_equal(got[ONCPU_WHERE_RUN_QUEUE], want[ONCPU_WHERE_RUN_QUEUE] - 5);
}

/* Each half of a change, seen alone, is no whole picture. */
static void test_a_change_in_progress_is_seen(void **state)
{
	struct oncpu_where w;
	uint64_t got[ONCPU_WHERE_COUNT];

	(void)state;
	where_begin(&w, 900);
	where_change(&w, WHERE_RUNNING, 1000);
	w.word += WHERE_READY - WHERE_RUNNING; /* the word has changed … */
	assert_false(where_read(&w, 1101, 1101, got));
	where_book(&w, ONCPU_WHERE_RUNNING, 1100); /* … one integral … */
	assert_false(where_read(&w, 1101, 1101, got));
	where_book(&w, ONCPU_WHERE_RUN_QUEUE, 0 - 1100ull); /* … and the other */
	assert_true(where_read(&w, 1101, 1101, got));
	assert_int_equal(got[ONCPU_WHERE_RUN_QUEUE], 1);
	/* two changes of which only the second is booked: the sum is right, the times are not */
	w.word += WHERE_RUNNING - WHERE_READY;
	where_change(&w, 0 - WHERE_RUNNING, 1200);
	assert_false(where_read(&w, 1201, 1201, got));
	where_cross(&w, WHERE_READY, WHERE_RUNNING, 1150);
	assert_true(where_read(&w, 1201, 1201, got));
	assert_int_equal(got[ONCPU_WHERE_RUNNING], 150);
	assert_int_equal(got[ONCPU_WHERE_RUN_QUEUE], 50);
	assert_int_equal(got[ONCPU_WHERE_IDLE], 101);
}

static void test_a_thread_moves_once(void **state)
{
	uint32_t doing = DOING_UNKNOWN;
	uint64_t delta = 0;

	(void)state;
	assert_true(where_move(&doing, DOING_READY, &delta));
	assert_int_equal(delta, WHERE_READY);
	assert_false(where_move(&doing, DOING_READY, &delta));
	assert_true(where_move(&doing, DOING_RUN, &delta));
	assert_int_equal(delta, WHERE_RUNNING); /* both steps together */
	delta = 0;
	assert_true(where_move(&doing, DOING_GONE, &delta));
	assert_int_equal(delta + WHERE_RUNNING, 0);
	assert_false(where_move(&doing, DOING_RUN, &delta)); /* a late hook */
	assert_int_equal(doing, DOING_GONE);
}

/* ---- all at once ---- */

enum { THREADS = 4, CHANGES = 300000 };
static struct oncpu_where shared;
static atomic_int left;

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *live(void *seed)
{
	uint64_t random = 88172645463325252u + (uintptr_t)seed;
	uint32_t doing = DOING_SLEEP;

	for (int i = 0; i < CHANGES; i++) {
		uint64_t delta = 0;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		if (random % 16 == 0)
			where_set(&shared, random & 32 ? WHERE_QUOTA : WHERE_FROZEN,
				  random & 64 ? 1 : 0, clock_ns());
		where_move(&doing, DOING_RUN + random % 4, &delta);
		where_change(&shared, delta, clock_ns());
	}
	where_change(&shared, 0 - where_weight(doing), clock_ns());
	left--;
	return NULL;
}

/* Whatever crosses: what is read adds up, is within the life, and nothing is
 * left behind. */
static void test_changes_from_all_sides(void **state)
{
	uint64_t born = clock_ns(), got[ONCPU_WHERE_COUNT];
	uint64_t whole = 0, sum, now;
	pthread_t threads[THREADS];

	(void)state;
	where_begin(&shared, born);
	left = THREADS;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, live, (void *)(i + 1)), 0);
	while (left) {
		now = clock_ns();
		if (!where_read(&shared, now, now, got))
			continue;
		whole++;
		sum = 0;
		for (int k = 0; k < ONCPU_WHERE_COUNT; k++) {
			sum += got[k];
			assert_true(got[k] <= now - born);
		}
		assert_int_equal(sum, now - born);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(whole > 0);
	assert_int_equal(shared.word & ~(WHERE_QUOTA | WHERE_FROZEN), 0);
	/* A thread that was stopped between its look at the clock and its change, as a hook cannot
	 * be, has put one state's part off by that: but never what all of them add up to. */
	now = clock_ns();
	sum = now; /* of the state that it is in */
	for (int k = 0; k < ONCPU_WHERE_COUNT; k++)
		sum += shared.integral[k];
	assert_int_equal(sum, now - born);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_of_a_word),
		cmocka_unit_test(test_running_that_was_taken_for_waiting),
		cmocka_unit_test(test_integrals_of_a_life),
		cmocka_unit_test(test_a_change_in_progress_is_seen),
		cmocka_unit_test(test_a_thread_moves_once),
		cmocka_unit_test(test_changes_from_all_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
