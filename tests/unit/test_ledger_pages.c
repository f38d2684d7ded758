// SPDX-License-Identifier: GPL-2.0
/* Pages, single records, following, and the newest record of each function, over three segments. */
#include "ledger_fixture.h"

#define HOUR (3600 * SECOND)
#define EACH 40 /* records a segment */
#define ALL (3 * EACH)

static const char *function_of(uint64_t sequence)
{
	return sequence % 3 ? "thumb" : "fetch";
}

/* Sequences 1 … ALL; every fourth is an instance's closing record besides, under the next number,
 * which no invocation has. */
static bool is_instance(uint64_t sequence)
{
	return sequence % 5 == 0;
}

static void put(struct ledger *l, uint64_t sequence)
{
	struct invocation_record record = make_record(sequence, function_of(sequence));
	struct instance_record instance = { .sequence = sequence,
					    .host = "node-7",
					    .boot_id = BOOT,
					    .uid = sequence,
					    .end_realtime_ns = T0 };

	/* two of them end in the same instant */
	record.end_realtime_ns = T0 + (int64_t)(sequence / 2) * SECOND;
	if (!is_instance(sequence)) {
		assert_int_equal(ledger_put_invocation(l, &record), 0);
		return;
	}
	snprintf(instance.function, sizeof(instance.function), "%s", function_of(sequence));
	assert_int_equal(ledger_put_instance(l, &instance), 0);
}

static void commit(struct ledger *l, int64_t now, uint64_t first, uint64_t last)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = last };
	bool snapshot;

	assert_int_equal(ledger_begin(l, now, &snapshot), 0);
	for (uint64_t s = first; s <= last; s++)
		put(l, s);
	assert_int_equal(ledger_commit(l, &meta), 0);
}

static struct ledger *fill(const char *directory)
{
	struct ledger *l = open_ledger(directory, NULL);

	for (int i = 0; i < 3; i++)
		commit(l, T0 + i * HOUR, (uint64_t)(i * EACH) + 1, (uint64_t)(i + 1) * EACH);
	return l;
}

static struct ledger_reader *reader_of(const char *directory)
{
	struct ledger_reader *reader = NULL;

	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	return reader;
}

/* Page by page is the same as all at once, from behind. */
static void expect_pages(const char *directory, const struct ledger_query *query, uint64_t limit)
{
	struct collected whole = read_all(directory, query), pages = { 0 };
	struct ledger_reader *reader = reader_of(directory);
	struct ledger_place place = { .hour = INT64_MAX };
	bool more = true;
	size_t count = 0;

	while (more) {
		assert_int_equal(
			ledger_read_page(reader, query, limit, &place, &more, collect, &pages), 0);
		assert_true(pages.count - count <= limit);
		assert_true(!more || pages.count - count == limit);
		count = pages.count;
	}
	assert_int_equal(pages.count, whole.count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pages.records[i].sequence, whole.records[count - 1 - i].sequence);
	ledger_reader_close(&reader);
	free(whole.records);
	free(pages.records);
}

static void test_pages(void **state)
{
	struct ledger *l = fill(*state);
	const uint64_t limits[] = { 1, 2, 7, EACH, ALL, 1000 };
	struct ledger_query all = { 0 }, thumb = { .function = "thumb" };
	struct ledger_query failed = { .statuses = 1u << ONCPU_STATUS_ERROR |
						   1u << ONCPU_STATUS_CRASHED };
	struct ledger_query both = { .function = "fetch", .statuses = 1u << ONCPU_STATUS_TIMEOUT };
	struct ledger_query range = { .function = "thumb",
				      .since_realtime_ns = T0 + 7 * SECOND,
				      .until_realtime_ns = T0 + 47 * SECOND };
	struct ledger_query nobody = { .function = "nobody" };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		expect_pages(*state, &all, limits[i]);
		expect_pages(*state, &thumb, limits[i]);
		expect_pages(*state, &failed, limits[i]);
		expect_pages(*state, &both, limits[i]);
		expect_pages(*state, &range, limits[i]);
		expect_pages(*state, &nobody, limits[i]);
	}
	ledger_close(&l);
}

static void test_statuses(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_query failed = { .statuses = 1u << ONCPU_STATUS_ERROR, .last = 3 };
	struct collected c = read_all(*state, &failed);

	assert_int_equal(c.count, 3);
	for (size_t i = 0; i < c.count; i++)
		assert_int_equal(c.records[i].status, ONCPU_STATUS_ERROR);
	assert_int_equal(c.records[2].sequence, 116);
	free(c.records);
	ledger_close(&l);
}

/* What comes while one pages through does not shift the pages. */
static void test_pages_while_written(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	struct ledger_place place = { .hour = INT64_MAX };
	struct ledger_query all = { 0 };
	struct collected c = { 0 };
	bool more;

	assert_int_equal(ledger_read_page(reader, &all, 4, &place, &more, collect, &c), 0);
	commit(l, T0 + 2 * HOUR, ALL + 1, ALL + 4);
	commit(l, T0 + 3 * HOUR, ALL + 6, ALL + 9);
	assert_int_equal(ledger_read_page(reader, &all, 4, &place, &more, collect, &c), 0);
	assert_int_equal(c.count, 8);
	assert_int_equal(c.records[3].sequence, 116);
	assert_int_equal(c.records[4].sequence, 114);
	ledger_reader_close(&reader);
	free(c.records);
	ledger_close(&l);
}

static void test_one_record(void **state)
{
	static const char *const wrong[] = { "",
					     "x",
					     "node-7-01234567-",
					     "node-7-01234567-0",
					     "node-7-01234567-01",
					     "node-7-01234567--1",
					     "node-7-01234567-1x",
					     "-01234567-1x",
					     "node-7-01234567-1099511627776",
					     "7-1",
					     "01234567-1" };
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	struct collected c = { 0 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (ledger_read_record(reader, wrong[i], collect, &c) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
	assert_int_equal(ledger_read_record(reader, "node-7-01234567-1", collect, &c), 0);
	assert_int_equal(ledger_read_record(reader, "node-7-01234567-119", collect, &c), 0);
	assert_int_equal(ledger_read_record(reader, "node-7-01234567-121", collect, &c), -ENOENT);
	assert_int_equal(ledger_read_record(reader, "node-8-01234567-1", collect, &c), -ENOENT);
	assert_int_equal(ledger_read_record(reader, "node-7-01234568-1", collect, &c), -ENOENT);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.records[0].sequence, 1);
	assert_int_equal(c.records[1].sequence, 119);
	ledger_reader_close(&reader);
	free(c.records);
	ledger_close(&l);
}

struct trail {
	uint64_t sequence[2 * ALL];
	size_t count;
	size_t stop_at; /* refuses the one after so many; 0 = none */
};

static int leave(struct trail *trail, uint64_t sequence)
{
	if (trail->stop_at && trail->count == trail->stop_at)
		return -EPIPE;
	trail->sequence[trail->count++] = sequence;
	return 0;
}

static int on_invocation(void *user, const struct invocation_record *record)
{
	assert_false(is_instance(record->sequence));
	return leave(user, record->sequence);
}

static int on_instance(void *user, const struct instance_record *record)
{
	assert_true(is_instance(record->sequence));
	return leave(user, record->sequence);
}

static int follow(struct ledger_reader *reader, struct ledger_place *place, const char *function,
		  uint64_t limit, struct trail *trail)
{
	return ledger_follow(reader, place, function, limit, on_invocation, on_instance, trail);
}

static void test_follow(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	struct ledger_place place = { .hour = INT64_MIN };
	struct trail trail = { 0 };

	while (follow(reader, &place, NULL, 7, &trail) == 7)
		;
	assert_int_equal(trail.count, ALL);
	for (size_t i = 0; i < ALL; i++)
		assert_int_equal(trail.sequence[i], i + 1);
	assert_int_equal(follow(reader, &place, NULL, 7, &trail), 0);
	commit(l, T0 + 2 * HOUR, ALL + 1, ALL + 3);
	commit(l, T0 + 3 * HOUR, ALL + 4, ALL + 5);
	assert_int_equal(follow(reader, &place, NULL, 100, &trail), 5);
	assert_int_equal(trail.sequence[ALL + 4], ALL + 5);
	assert_int_equal(follow(reader, &place, NULL, 100, &trail), 0);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

static void test_follow_one_function(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	struct ledger_place place = { .hour = INT64_MIN };
	struct trail trail = { 0 };

	while (follow(reader, &place, "fetch", 4, &trail) == 4)
		;
	assert_int_equal(trail.count, ALL / 3);
	for (size_t i = 0; i < trail.count; i++)
		assert_int_equal(trail.sequence[i], 3 * (i + 1));
	assert_int_equal(follow(reader, &place, "nobody", 4, &trail), 0);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

/* The one that was refused comes again, and none is passed over. */
static void test_follow_refused(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	struct ledger_place place = { .hour = INT64_MIN };
	struct trail trail = { .stop_at = 4 };

	assert_int_equal(follow(reader, &place, NULL, 100, &trail), -EPIPE);
	trail.stop_at = 0;
	assert_int_equal(follow(reader, &place, NULL, 2, &trail), 2);
	assert_int_equal(trail.sequence[4], 5);
	assert_int_equal(trail.sequence[5], 6);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

static void test_places(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	struct ledger_place place;
	struct trail trail = { 0 };
	char first[64];

	assert_int_equal(ledger_place_end(reader, &place), 0);
	assert_int_equal(follow(reader, &place, NULL, 100, &trail), 0);
	/* of either kind */
	assert_int_equal(ledger_place_of(reader, "node-7-01234567-79", &place), 0);
	assert_int_equal(follow(reader, &place, NULL, 1, &trail), 1);
	assert_int_equal(ledger_place_of(reader, "node-7-01234567-80", &place), 0);
	assert_int_equal(follow(reader, &place, NULL, 1, &trail), 1);
	assert_int_equal(trail.sequence[0], 80);
	assert_int_equal(trail.sequence[1], 81);
	assert_int_equal(ledger_place_of(reader, "nonsense", &place), -EINVAL);
	/* its segment is gone: what is left of its boot */
	snprintf(first, sizeof(first), "%s/ledger-20260131T12.db", (char *)*state);
	assert_int_equal(unlink(first), 0);
	assert_int_equal(ledger_place_of(reader, "node-7-01234567-7", &place), -ENOENT);
	assert_int_equal(follow(reader, &place, NULL, 1, &trail), 1);
	assert_int_equal(trail.sequence[2], EACH + 1);
	/* nobody knows it: from now on */
	assert_int_equal(ledger_place_of(reader, "node-9-01234567-7", &place), -ENOENT);
	assert_int_equal(follow(reader, &place, NULL, 100, &trail), 0);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

static int on_newest(void *user, const struct ledger_newest *newest)
{
	int64_t *ends = user;

	ends[strcmp(newest->function, "thumb") == 0] = newest->end_realtime_ns;
	assert_true(newest->memory_mb >= 128);
	ends[2]++;
	return 0;
}

static void test_newest(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_reader *reader = reader_of(*state);
	int64_t ends[3] = { 0 };

	assert_int_equal(ledger_read_newest(reader, 0, on_newest, ends), 0);
	assert_int_equal(ends[2], 2);
	assert_true(ends[1] == T0 + 59 * SECOND && ends[0] == T0 + 58 * SECOND);
	ends[2] = 0;
	assert_int_equal(ledger_read_newest(reader, T0 + 59 * SECOND, on_newest, ends), 0);
	assert_int_equal(ends[2], 1);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pages),		T(test_statuses), T(test_pages_while_written),
		T(test_one_record),	T(test_follow),	  T(test_follow_one_function),
		T(test_follow_refused), T(test_places),	  T(test_newest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
