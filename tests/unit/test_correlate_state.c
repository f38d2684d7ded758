// SPDX-License-Identifier: GPL-2.0
/* The correlator's durable state: interrupted at every event, damaged at every byte, fed again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/correlate.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define LIVES 3
#define LIFE_MOST 24
#define STEPS_MOST (LIVES * LIFE_MOST * 3)
#define BLOB_MOST 40000

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13; /* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t n)
{
	return random_next() % n;
}

/* ---- the records of a run, one after the other ---- */

struct log {
	struct record {
		bool is_instance;
		union {
			struct invocation_record invocation;
			struct instance_record instance;
		};
	} records[STEPS_MOST + LIVES];
	size_t count;
};

static void log_invocation(void *user, const struct invocation_record *r)
{
	struct log *log = user;

	assert_true(log->count < sizeof(log->records) / sizeof(log->records[0]));
	memset(&log->records[log->count], 0, sizeof(log->records[0]));
	memcpy(&log->records[log->count++].invocation, r, sizeof(*r));
}

static void log_instance(void *user, const struct instance_record *r)
{
	struct log *log = user;

	assert_true(log->count < sizeof(log->records) / sizeof(log->records[0]));
	memset(&log->records[log->count], 0, sizeof(log->records[0]));
	log->records[log->count].is_instance = true;
	memcpy(&log->records[log->count++].instance, r, sizeof(*r));
}

static void assert_same(const struct log *a, const struct log *b)
{
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->records, b->records, a->count * sizeof(a->records[0]));
}

static struct correlator *new_correlator(struct log *log, uint32_t max_instances)
{
	struct correlator_config config = { .host = "box",
					    .boot_id = BOOT,
					    .realtime_offset_ns = 1700000000000000000ll,
					    .reorder_ns = 1000,
					    .max_instances = max_instances,
					    .user = log,
					    .on_invocation = log_invocation,
					    .on_instance = log_instance };
	struct correlator *c;

	assert_int_equal(correlator_new(&config, &c), 0);
	return c;
}

/* ---- rows, as the ledger keeps them ---- */

struct rows {
	uint64_t sequence;
	struct row {
		size_t size;
		char blob[BLOB_MOST];
	} of[LIVES + 1]; /* by uid */
};

static int put_row(void *user, uint64_t uid, const void *blob, size_t size)
{
	struct rows *rows = user;

	assert_true(uid >= 1 && uid <= LIVES && size <= BLOB_MOST);
	rows->of[uid].size = size;
	if (size)
		memcpy(rows->of[uid].blob, blob, size);
	else
		assert_null(blob);
	return 0;
}

static void save(struct correlator *c, struct rows *rows)
{
	memset(rows, 0, sizeof(*rows));
	assert_int_equal(correlator_all(c, put_row, rows), 0);
	rows->sequence = correlator_sequence(c);
}

static struct correlator *restored(const struct rows *rows, struct log *log)
{
	struct correlator *c = new_correlator(log, LIVES);

	for (uint64_t uid = 1; uid <= LIVES; uid++)
		if (rows->of[uid].size)
			assert_int_equal(
				correlator_restore(c, uid, rows->of[uid].blob, rows->of[uid].size),
				0);
	correlator_set_sequence(c, rows->sequence);
	return c;
}

static void assert_rows_equal(const struct rows *a, const struct rows *b)
{
	for (uint64_t uid = 1; uid <= LIVES; uid++) {
		assert_int_equal(a->of[uid].size, b->of[uid].size);
		assert_memory_equal(a->of[uid].blob, b->of[uid].blob, a->of[uid].size);
	}
}

/* ---- what happens: events late, twice or never, and ticks (kind NONE, at time_ns) ---- */

struct happening {
	uint64_t at;
	struct oncpu_event e;
};

static int by_time(const void *a, const void *b)
{
	const struct happening *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->e.uid != y->e.uid ? (x->e.uid < y->e.uid ? -1 : 1)
				    : (x->e.n > y->e.n) - (x->e.n < y->e.n);
}

static size_t make_life(uint64_t uid, struct happening *out)
{
	uint64_t count = 2 + below(LIFE_MOST - 1), window = 1 + below(30), total = below(1000);
	uint64_t time = 1000, mark = 0, last = 0;
	size_t used = 0;

	for (uint64_t n = 1; n <= count; n++) {
		struct oncpu_event e = { .uid = uid, .n = n, .tgid = 7, .tid = 7 };

		e.kind = (uint32_t)(n == 1 && below(6) ? ONCPU_EV_INIT
				    : n == count       ? ONCPU_EV_EXIT
				    : below(2)	       ? ONCPU_EV_INVOKE + 2 * below(2)
						       : 1 + below(ONCPU_EV_EXIT - 1));
		e.time_ns = time += below(500);
		e.total_ns = total += below(8) ? below(1000) : -below(500);
		e.flags = below(3) ? 0 : 1u << below(13);
		e.bound_ns = below(100);
		e.steal_ns = below(1000);
		e.run_delay_ns = below(100);
		e.mark_number = mark += below(3);
		e.tgid += (uint32_t)below(3);
		e.id_len = (uint32_t)below(3);
		e.id[0] = (char)('a' + below(8));
		e.id[1] = (char)below(256);
		e.function[0] = (char)(below(6) ? 0 : 'f' + below(2));
		if (n < count && !below(15))
			continue;
		for (int copies = n == count || below(10) ? 1 : 2; copies; copies--) {
			out[used].at = n * 8 + below(window * 4);
			last = out[used].at > last ? out[used].at : last;
			out[used++].e = e;
		}
	}
	out[used - 1].at = last + 1; /* nobody speaks after the exit */
	if (below(2)) {
		out[used].at = below(count * 8);
		out[used++].e = (struct oncpu_event){ .time_ns = 1000 + below(time) };
	}
	return used;
}

static size_t make_happenings(uint64_t seed, struct happening *out)
{
	size_t used = 0;

	random_state = seed * 0x9e3779b97f4a7c15ull;
	for (uint64_t uid = 1; uid <= LIVES; uid++)
		used += make_life(uid, out + used);
	qsort(out, used, sizeof(*out), by_time);
	return used;
}

static void happen(struct correlator *c, const struct happening *h)
{
	if (h->e.kind == ONCPU_EV_NONE)
		assert_int_equal(correlator_tick(c, h->e.time_ns), 0);
	else
		assert_int_equal(correlator_feed(c, &h->e), 0);
}

static struct happening happenings[STEPS_MOST];
static struct log whole, broken;
static struct rows kept, again;

static void run_whole(size_t count)
{
	struct correlator *c = new_correlator(&whole, LIVES);

	whole.count = 0;
	for (size_t i = 0; i < count; i++)
		happen(c, &happenings[i]);
	correlator_flush(c);
	correlator_free(&c);
}

/* Stopped after every event, each time for good. */
static void test_state_interrupted_once_at_every_event(void **state)
{
	size_t closed = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		size_t count = make_happenings(seed, happenings);

		run_whole(count);
		for (size_t stop = 0; stop <= count; stop++) {
			struct correlator *c = new_correlator(&broken, LIVES);

			broken.count = 0;
			for (size_t i = 0; i < stop; i++)
				happen(c, &happenings[i]);
			save(c, &kept);
			correlator_free(&c);
			c = restored(&kept, &broken);
			save(c, &again);
			assert_rows_equal(&kept, &again);
			for (size_t i = stop; i < count; i++)
				happen(c, &happenings[i]);
			correlator_flush(c);
			assert_int_equal(correlator_counters(c)->instances_open, 0);
			correlator_free(&c);
			assert_same(&whole, &broken);
		}
		for (size_t i = 0; i < whole.count; i++)
			closed += whole.records[i].is_instance;
	}
	assert_int_equal(closed, 150 * LIVES);
}

/* A new agent for every event, from rows that only the changed instances were written to. */
static void test_state_interrupted_always(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		size_t count = make_happenings(seed, happenings);
		struct correlator *c = new_correlator(&broken, LIVES);

		run_whole(count);
		broken.count = 0;
		memset(&kept, 0, sizeof(kept.sequence) + sizeof(struct row));
		for (uint64_t uid = 1; uid <= LIVES; uid++)
			kept.of[uid].size = 0;
		for (size_t i = 0; i < count; i++) {
			happen(c, &happenings[i]);
			assert_int_equal(correlator_dirty(c, put_row, &kept), 0);
			correlator_clean(c);
			kept.sequence = correlator_sequence(c);
			if (below(2))
				continue;
			save(c, &again); /* what is not dirty has not changed */
			assert_rows_equal(&again, &kept);
			correlator_free(&c);
			c = restored(&kept, &broken);
		}
		correlator_flush(c);
		correlator_free(&c);
		assert_same(&whole, &broken);
	}
}

/* The ring was not freed when the agent died: what is in the state comes again. */
static void test_state_events_come_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		size_t count = make_happenings(seed, happenings), stop, before;
		struct correlator *c = new_correlator(&broken, LIVES);
		uint64_t fed = 0;

		run_whole(count);
		broken.count = 0;
		stop = below(count + 1);
		for (size_t i = 0; i < stop; i++)
			happen(c, &happenings[i]);
		save(c, &kept);
		/* in the same life of the agent … */
		before = broken.count;
		for (size_t i = 0; i < stop; i++)
			if (happenings[i].e.kind)
				happen(c, &happenings[i]);
		assert_int_equal(broken.count, before);
		save(c, &again);
		assert_rows_equal(&kept, &again);
		correlator_free(&c);
		/* … and in the next one, for every instance that is open */
		c = restored(&kept, &broken);
		for (size_t i = 0; i < stop; i++) {
			if (!happenings[i].e.kind || !kept.of[happenings[i].e.uid].size)
				continue;
			happen(c, &happenings[i]);
			fed++;
		}
		assert_int_equal(broken.count, before);
		assert_int_equal(correlator_counters(c)->duplicates, fed);
		assert_int_equal(correlator_sequence(c), kept.sequence);
		for (size_t i = stop; i < count; i++)
			happen(c, &happenings[i]);
		correlator_flush(c);
		correlator_free(&c);
		assert_same(&whole, &broken);
	}
}

/* ---- rows and flags of dirt ---- */

static struct oncpu_event event_at(uint64_t uid, uint64_t n, uint32_t kind)
{
	return (struct oncpu_event){
		.kind = kind, .uid = uid, .n = n, .time_ns = 1000 + 100 * n, .total_ns = 10 * n
	};
}

static void feed(struct correlator *c, uint64_t uid, uint64_t n, uint32_t kind)
{
	struct oncpu_event e = event_at(uid, n, kind);

	assert_int_equal(correlator_feed(c, &e), 0);
}

struct visits {
	size_t open, closed, fail_at;
};

static int count_visit(void *user, uint64_t uid, const void *blob, size_t size)
{
	struct visits *v = user;

	(void)uid, (void)blob;
	v->open += size > 0;
	v->closed += size == 0;
	return v->open + v->closed == v->fail_at ? -EIO : 0;
}

static void assert_visits(struct correlator *c, size_t open, size_t closed, size_t all)
{
	struct visits v = { 0 };

	assert_int_equal(correlator_dirty(c, count_visit, &v), 0);
	assert_int_equal(v.open, open);
	assert_int_equal(v.closed, closed);
	v = (struct visits){ 0 };
	assert_int_equal(correlator_all(c, count_visit, &v), 0);
	assert_int_equal(v.open, all);
}

static void test_state_dirty_rows(void **state)
{
	struct correlator *c = new_correlator(&broken, LIVES);
	struct visits v = { .fail_at = 2 };

	(void)state;
	broken.count = 0;
	assert_visits(c, 0, 0, 0);
	feed(c, 1, 1, ONCPU_EV_INIT);
	feed(c, 2, 1, ONCPU_EV_INIT);
	feed(c, 3, 1, ONCPU_EV_INIT);
	assert_visits(c, 3, 0, 3);
	assert_int_equal(correlator_all(c, count_visit, &v),
			 -EIO); /* the visitor's error comes back */
	assert_int_equal(v.open, 2);
	correlator_clean(c);
	assert_visits(c, 0, 0, 3);
	feed(c, 1, 1, ONCPU_EV_INIT); /* a duplicate changes nothing */
	assert_visits(c, 0, 0, 3);
	feed(c, 1, 3, ONCPU_EV_EXIT); /* waiting is a change */
	assert_visits(c, 1, 0, 3);
	correlator_clean(c);
	correlator_tick(c, 1000000); /* so is giving up, and this one ends it */
	assert_visits(c, 0, 1, 2);
	correlator_clean(c);
	assert_visits(c, 0, 0, 2);
	/* born and gone within a batch: its row, which never was, is deleted */
	feed(c, 1, 1, ONCPU_EV_INIT);
	feed(c, 1, 2, ONCPU_EV_EXIT);
	assert_visits(c, 0, 1, 2);
	correlator_free(&c);
}

/* ---- damage ---- */

static void refuse(struct correlator *c, uint64_t uid, const void *blob, size_t size, int error)
{
	struct visits v = { 0 };

	assert_int_equal(correlator_restore(c, uid, blob, size), error);
	assert_int_equal(correlator_counters(c)->instances_open, 0);
	assert_int_equal(correlator_all(c, count_visit, &v), 0);
	assert_int_equal(v.open + v.closed, 0);
}

static void check_damage(struct row *row)
{
	struct correlator *c = new_correlator(&broken, LIVES);
	char *exact;

	for (size_t i = 0; i < row->size; i++) {
		char was = row->blob[i];

		row->blob[i] = (char)(was ^ (1 << (i & 7)));
		refuse(c, 1, row->blob, row->size, -EBADMSG);
		row->blob[i] = (char)~was;
		refuse(c, 1, row->blob, row->size, -EBADMSG);
		row->blob[i] = was;
	}
	/* cut anywhere, in a buffer that ends there for the sanitizer's sake */
	for (size_t size = 0; size < row->size; size++) {
		exact = malloc(size ? size : 1);
		assert_non_null(exact);
		memcpy(exact, row->blob, size);
		refuse(c, 1, exact, size, -EBADMSG);
		free(exact);
	}
	refuse(c, 1, row->blob, row->size + 1, -EBADMSG);
	refuse(c, 1, row->blob, row->size + sizeof(struct oncpu_event), -EBADMSG);
	refuse(c, 2, row->blob, row->size, -EBADMSG); /* somebody else's row */
	exact = malloc(row->size + 1);		      /* at an odd address */
	assert_non_null(exact);
	memcpy(exact + 1, row->blob, row->size);
	assert_int_equal(correlator_restore(c, 1, exact + 1, row->size), 0);
	free(exact);
	assert_int_equal(correlator_restore(c, 1, row->blob, row->size), -EEXIST);
	assert_int_equal(correlator_counters(c)->instances_open, 1);
	correlator_free(&c);
}

static void test_state_damaged(void **state)
{
	struct correlator *c = new_correlator(&broken, LIVES);

	(void)state;
	broken.count = 0;
	memset(&kept, 0, sizeof(kept));
	/* one that only waits, … */
	feed(c, 1, 3, ONCPU_EV_START);
	assert_int_equal(correlator_all(c, put_row, &kept), 0);
	check_damage(&kept.of[1]);
	/* … one in mid-invocation, … */
	feed(c, 1, 1, ONCPU_EV_INIT);
	feed(c, 1, 2, ONCPU_EV_START);
	assert_int_equal(correlator_all(c, put_row, &kept), 0);
	check_damage(&kept.of[1]);
	/* … and one with events that wait */
	feed(c, 1, 6, ONCPU_EV_INVOKE);
	feed(c, 1, 5, ONCPU_EV_END);
	assert_int_equal(correlator_all(c, put_row, &kept), 0);
	check_damage(&kept.of[1]);
	correlator_free(&c);
}

/* 64 waiting events are the most, and all are kept. */
static void test_state_full(void **state)
{
	struct correlator *c = new_correlator(&broken, 1), *next = new_correlator(&broken, 1);
	struct oncpu_event e;

	(void)state;
	broken.count = 0;
	memset(&kept, 0, sizeof(kept));
	feed(c, 1, 1, ONCPU_EV_INIT);
	for (uint64_t n = 3; n < 3 + 64; n++) {
		e = event_at(1, n, n & 1 ? ONCPU_EV_START : ONCPU_EV_END);
		e.time_ns = 1300;
		assert_int_equal(correlator_feed(c, &e), 0);
	}
	assert_int_equal(correlator_counters(c)->lost, 0);
	save(c, &kept);
	check_damage(&kept.of[1]);
	assert_int_equal(correlator_restore(next, 1, kept.of[1].blob, kept.of[1].size), 0);
	assert_int_equal(broken.count, 0);
	correlator_flush(c);
	assert_int_equal(broken.count, 32);
	whole = broken;
	broken.count = 0;
	correlator_flush(next);
	assert_same(&whole, &broken);
	/* no room for another */
	feed(c, 1, 67, ONCPU_EV_EXIT);
	feed(c, 2, 1, ONCPU_EV_INIT);
	correlator_clean(c);
	save(c, &kept);
	assert_int_equal(correlator_restore(next, 2, kept.of[2].blob, kept.of[2].size), -ENOSPC);
	correlator_free(&c);
	correlator_free(&next);
}

/* ---- many at once ---- */

#define MANY 600 /* enough to share buckets */

struct order {
	uint64_t uids[MANY];
	size_t count;
};

static void note_order(void *user, const struct instance_record *r)
{
	struct order *order = user;

	assert_true(order->count < MANY);
	assert_int_equal(r->sequence, order->count + 1);
	order->uids[order->count++] = r->uid;
}

static int restore_into(void *user, uint64_t uid, const void *blob, size_t size)
{
	return correlator_restore(user, uid, blob, size);
}

/* Gaps given up at once number their records alike, whatever order the instances came back in. */
static void test_state_restored_in_any_order(void **state)
{
	static struct order orders[2];
	struct correlator_config config = { .max_instances = MANY, .on_instance = note_order };
	struct correlator *c, *next;

	(void)state;
	memset(orders, 0, sizeof(orders));
	config.user = &orders[0];
	assert_int_equal(correlator_new(&config, &c), 0);
	config.user = &orders[1];
	assert_int_equal(correlator_new(&config, &next), 0);
	for (uint64_t i = 0; i < MANY; i++) {
		feed(c, 1 + i * 7 % MANY, 1, ONCPU_EV_INIT);
		feed(c, 1 + i * 7 % MANY, 3, ONCPU_EV_EXIT);
	}
	assert_int_equal(correlator_dirty(c, restore_into, next), 0);
	correlator_flush(c);
	correlator_flush(next);
	assert_int_equal(orders[0].count, MANY);
	assert_memory_equal(&orders[0], &orders[1], sizeof(orders[0]));
	correlator_free(&c);
	correlator_free(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_interrupted_once_at_every_event),
		cmocka_unit_test(test_state_interrupted_always),
		cmocka_unit_test(test_state_events_come_again),
		cmocka_unit_test(test_state_dirty_rows),
		cmocka_unit_test(test_state_damaged),
		cmocka_unit_test(test_state_full),
		cmocka_unit_test(test_state_restored_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
