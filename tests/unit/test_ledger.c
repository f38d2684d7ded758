// SPDX-License-Identifier: GPL-2.0
/* The ledger in good weather: what goes in comes out, once, in order, from any segment. */
#include "unit/ledger_fixture.h"

#include "ledger/internal.h"

static int copy_instance(void *user, const struct instance_record *record)
{
	struct instance_record *out = user;

	*out = *record;
	return 0;
}

static void test_ledger_every_field_returns(void **state)
{
	struct instance_record instance = { .sequence = 9,
					    .host = "node-7",
					    .boot_id = BOOT,
					    .function = "thumb",
					    .instance = "thumb-1",
					    .uid = UINT64_MAX,
					    .cgroup_id = 3,
					    .flags = 1ull << 63,
					    .start_realtime_ns = 5,
					    .end_realtime_ns = T0,
					    .total_cpu_ns = 6,
					    .init_cpu_ns = 7,
					    .invocations_cpu_ns = 8,
					    .freeze_cpu_ns = 9,
					    .between_cpu_ns = 10,
					    .last_between_wall_ns = 11,
					    .last_between_cpu_ns = 12,
					    .invocations = 13,
					    .unmatched = 14,
					    .events_lost = 15,
					    .marks_lost = 16,
					    .audits = 17,
					    .audit_mismatches = 18,
					    .audit_difference_ns = -19,
					    .audit_worst_ns = 20 };
	struct invocation_record records[3];
	struct instance_record out = { 0 };
	struct ledger_reader *reader = NULL;
	struct ledger_query all = { 0 };
	struct ledger_meta meta = { .boot_id = BOOT };
	struct ledger *l = open_ledger(*state, NULL);
	struct collected c;
	bool snapshot = false;

	for (uint64_t i = 0; i < 3; i++)
		records[i] = make_record(i + 1, "gr\xc3\xbc\xff\n'\"");
	memset(records[1].id, 0, sizeof(records[1].id));
	memcpy(records[1].id, "a\0b\xff", 4);
	records[1].id_len = 4;
	memset(records[2].id, 'x', ONCPU_ID_LEN);
	records[2].id_len = ONCPU_ID_LEN;
	memcpy(records[2].continues, "\0", 1);
	records[2].continues_len = 1;
	records[2].extension_count = 1;
	records[2].extensions[0] = (struct record_extension){ 77, "datadog", 7, 0 };
	records[2].segment_count = 2;
	records[2].segments[0] = (struct record_segment){ 1, INT64_MAX };
	records[2].segments[1] = (struct record_segment){ -3, 0 };
	records[2].status = -77;
	memset(records[0].id, 0, sizeof(records[0].id));
	records[0].id_len = 0;
	records[0].billed_count = 0;
	memset(records[0].billed, 0, sizeof(records[0].billed));

	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_true(snapshot);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ledger_put_invocation(l, &records[i]), 0);
	assert_int_equal(ledger_put_instance(l, &instance), 0);
	assert_int_equal(ledger_commit(l, &meta), 0);
	ledger_close(&l);
	assert_null(l);

	c = read_all(*state, NULL);
	assert_int_equal(c.count, 3);
	for (size_t i = 0; i < 3; i++) {
		/* padding is zero on both sides */
		assert_memory_equal(&c.records[i], &records[i], sizeof(records[i]));
	}
	free(c.records);
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_instances(reader, &all, copy_instance, &out), 0);
	assert_memory_equal(&out, &instance, sizeof(out));
	ledger_reader_close(&reader);
}

static int count_instance(void *user, const struct instance_record *record)
{
	uint64_t *seen = user;

	assert_int_equal(record->sequence, seen[1] + seen[0]++);
	return 0;
}

static void test_ledger_instances(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_meta meta = { .boot_id = BOOT };
	struct ledger_reader *reader = NULL;
	struct ledger_query query = { 0 };
	struct instance_record r, out;
	uint64_t seen[2] = { 0, 1 };
	bool snapshot;

	memset(&r, 0, sizeof(r));
	snprintf(r.host, sizeof(r.host), "h");
	snprintf(r.boot_id, sizeof(r.boot_id), BOOT);
	r.uid = UINT64_MAX;
	r.flags = 1ull << 63;
	r.total_cpu_ns = INT64_MIN;
	r.end_realtime_ns = T0;
	for (int hour = 0; hour < 2; hour++) {
		assert_int_equal(ledger_begin(l, T0 + hour * NS_PER_HOUR, &snapshot), 0);
		for (int i = 0; i < 5; i++) {
			r.sequence++;
			snprintf(r.function, sizeof(r.function), "f%d", i);
			assert_int_equal(ledger_put_instance(l, &r), 0);
			assert_int_equal(ledger_put_instance(l, &r), 0); /* again: ignored */
		}
		assert_int_equal(ledger_commit(l, &meta), 0);
	}
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_instances(reader, &query, count_instance, seen), 0);
	assert_int_equal(seen[0], 10);
	query.last = 7;
	seen[0] = 0;
	seen[1] = 4;
	assert_int_equal(ledger_read_instances(reader, &query, count_instance, seen), 0);
	assert_int_equal(seen[0], 7);
	query = (struct ledger_query){ .function = "f4", .last = 1 };
	assert_int_equal(ledger_read_instances(reader, &query, copy_instance, &out), 0);
	assert_memory_equal(&out, &r, sizeof(r));
	ledger_reader_close(&reader);
	ledger_close(&l);
}

/* 300 records over three hours in batches of ten, two functions in turn. */
static void fill_three_hours(struct ledger *l)
{
	for (uint64_t first = 1; first <= 291; first += 10) {
		struct ledger_meta meta = { .boot_id = BOOT, .sequence = first + 9 };
		int64_t now = T0 + (int64_t)(first / 100) * NS_PER_HOUR;
		bool snapshot;

		assert_int_equal(ledger_begin(l, now, &snapshot), 0);
		for (uint64_t s = first; s < first + 10; s++) {
			struct invocation_record record = make_record(s, s % 2 ? "odd" : "even");

			assert_int_equal(ledger_put_invocation(l, &record), 0);
		}
		assert_int_equal(ledger_commit(l, &meta), 0);
	}
}

static void check_last(const char *directory, uint64_t last, const char *function, uint64_t newest,
		       uint64_t step)
{
	struct ledger_query query = { .function = function, .last = last };
	struct collected c = read_all(directory, &query);
	uint64_t all = 300 / step, expected = last < all ? last : all;

	assert_int_equal(c.count, expected);
	for (size_t i = 0; i < c.count; i++)
		assert_int_equal(c.records[i].sequence, newest - (expected - 1 - i) * step);
	free(c.records);
}

static void test_ledger_queries(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_query query = { 0 };
	struct collected c;

	fill_three_hours(l);
	assert_int_equal(count_files(*state, ".db"), 5); /* three, and the open one's -wal, -shm */
	for (int open = 1; open >= 0; open--) {
		assert_sequences(*state, NULL, 1, 300);
		for (uint64_t last = 1; last < 310; last += 17) {
			check_last(*state, last, NULL, 300, 1);
			check_last(*state, last, "odd", 299, 2);
			check_last(*state, last, "even", 300, 2);
		}
		check_last(*state, UINT64_MAX, NULL, 300, 1);
		query = (struct ledger_query){ .since_realtime_ns = T0 + 95 * SECOND,
					       .until_realtime_ns = T0 + 205 * SECOND };
		assert_sequences(*state, &query, 95, 204);
		query.last = 4;
		assert_sequences(*state, &query, 201, 204);
		query = (struct ledger_query){ .id = "id-123", .id_len = 6 };
		assert_sequences(*state, &query, 123, 123);
		query.function = "odd";
		assert_sequences(*state, &query, 123, 123);
		query.function = "even";
		c = read_all(*state, &query);
		assert_int_equal(c.count, 0);
		query = (struct ledger_query){ .function = "nobody", .last = 3 };
		c = read_all(*state, &query);
		assert_int_equal(c.count, 0);
		if (open)
			ledger_close(&l);
	}
}

static int stop_at_three(void *user, const struct invocation_record *record)
{
	++*(int *)user;
	return record->sequence == 3 ? -ECANCELED : 0;
}

static void test_ledger_visitor_stops(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_query query = { 0 };
	struct ledger_reader *reader = NULL;
	int calls = 0;

	assert_int_equal(commit_records(l, T0, 1, 10, "f"), 0);
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, &query, stop_at_three, &calls),
			 -ECANCELED);
	assert_int_equal(calls, 3);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

/* The sums must be those of the rows, whatever part of them came from the roll-up. */
struct expected_sums {
	uint64_t functions;
	struct ledger_sum sums[3];
	const char *directory;
	struct ledger_query query;
};

static int check_sum(void *user, const struct ledger_sum *sum)
{
	struct expected_sums *e = user;
	struct ledger_query query = e->query;
	struct ledger_sum want = { 0 };
	struct collected c;

	query.function = sum->function;
	c = read_all(e->directory, &query);
	for (size_t i = 0; i < c.count; i++) {
		const struct invocation_record *r = &c.records[i];

		want.count++;
		want.cold_starts += r->cold_start;
		want.errors += r->status == ONCPU_STATUS_ERROR;
		want.timeouts += r->status == ONCPU_STATUS_TIMEOUT;
		want.crashed += r->status == ONCPU_STATUS_CRASHED;
		want.flagged += r->flags != 0;
		want.wall_ns += r->wall_ns;
		want.cpu_ns += r->cpu_ns;
		want.init_wall_ns += r->init_wall_ns == -1 ? 0 : r->init_wall_ns;
		want.init_cpu_ns += r->init_wall_ns == -1 ? 0 : r->init_cpu_ns;
		want.after_response_cpu_ns += r->after_response_cpu_ns;
		want.between_cpu_ns += r->between_cpu_ns;
		want.run_queue_ns += r->run_queue_ns;
		if (r->cpu_error_bound_ns > want.max_error_bound_ns)
			want.max_error_bound_ns = r->cpu_error_bound_ns;
		want.billed_count = r->billed_count;
		for (uint32_t k = 0; k < r->billed_count; k++) {
			int64_t before = want.billed[k].billed_ns;

			want.billed[k] = r->billed[k];
			want.billed[k].billed_ns += before;
		}
	}
	assert_true(c.count > 0);
	free(c.records);
	memcpy(want.function, sum->function, sizeof(want.function));
	assert_memory_equal(sum, &want, sizeof(want));
	e->functions++;
	return 0;
}

static void test_ledger_sums_are_the_rows(void **state)
{
	static const int64_t bounds[][2] = { { 0, 0 },	   { 60, 240 }, { 61, 239 }, { 0, 130 },
					     { 130, 0 },   { 61, 70 },	{ 59, 61 },  { 60, 120 },
					     { 119, 180 }, { 2, 299 } };
	struct ledger *l = open_ledger(*state, NULL);

	fill_three_hours(l);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct expected_sums e = { .directory = *state };
		struct ledger_reader *reader = NULL;

		if (bounds[i][0])
			e.query.since_realtime_ns = T0 + bounds[i][0] * SECOND;
		if (bounds[i][1])
			e.query.until_realtime_ns = T0 + bounds[i][1] * SECOND;
		assert_int_equal(ledger_reader_open(*state, &reader), 0);
		assert_int_equal(ledger_read_sums(reader, &e.query, check_sum, &e), 0);
		assert_int_equal(e.functions, 2);
		e.query.function = "odd";
		assert_int_equal(ledger_read_sums(reader, &e.query, check_sum, &e), 0);
		assert_int_equal(e.functions, 3);
		ledger_reader_close(&reader);
	}
	ledger_close(&l);
}

/* More functions and policies in one batch than the roll-up keeps in memory. */
static void test_ledger_rollup_overflows_to_disk(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_meta meta = { .boot_id = BOOT };
	struct ledger_reader *reader = NULL;
	struct ledger_query query = { 0 };
	uint64_t count = 0;
	bool snapshot;

	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	for (uint64_t s = 1; s <= 5000; s++) {
		struct invocation_record record = make_record(s, "");

		snprintf(record.function, sizeof(record.function), "f%llu",
			 (unsigned long long)(s * 7919 % 2500));
		record.end_realtime_ns = T0;
		record.billed[0].version = (uint32_t)(s > 2500);
		record.billed[1].version = (uint32_t)(s > 2500);
		assert_int_equal(ledger_put_invocation(l, &record), 0);
	}
	assert_int_equal(ledger_commit(l, &meta), 0);
	ledger_close(&l);
	assert_int_equal(summed_count(*state), 5000);
	query.function = "f77";
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_sums(reader, &query, add_count, &count), 0);
	assert_int_equal(count, 2);
	ledger_reader_close(&reader);
}

static void test_ledger_same_record_again_is_ignored(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct invocation_record other = make_record(5, "f");
	struct ledger_meta meta = { .boot_id = "ffffffffffffffffffffffffffffffff" };
	struct collected c;
	bool snapshot;

	assert_int_equal(commit_records(l, T0, 1, 10, "f"), 0);
	assert_int_equal(commit_records(l, T0, 5, 20, "f"), 0);
	ledger_close(&l);
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0, 11, 30, "f"), 0);
	/* an hour later, and after a restart in that hour, and two hours later */
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 21, 40, "f"), 0);
	ledger_close(&l);
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 21, 50, "f"), 0);
	assert_int_equal(commit_records(l, T0 + 2 * NS_PER_HOUR, 1, 60, "f"), 0);
	assert_sequences(*state, NULL, 1, 60);
	assert_int_equal(summed_count(*state), 60);

	/* the same sequence of another boot is another record */
	memcpy(other.boot_id, meta.boot_id, sizeof(other.boot_id));
	assert_int_equal(ledger_begin(l, T0 + 2 * NS_PER_HOUR, &snapshot), 0);
	assert_int_equal(ledger_put_invocation(l, &other), 0);
	assert_int_equal(ledger_put_invocation(l, &other), 0);
	assert_int_equal(ledger_commit(l, &meta), 0);
	c = read_all(*state, NULL);
	assert_int_equal(c.count, 61);
	assert_string_equal(c.records[60].boot_id, meta.boot_id);
	assert_int_equal(c.records[60].sequence, 5);
	free(c.records);
	ledger_close(&l);
}

static int collect_state(void *user, uint64_t uid, const void *blob, size_t size)
{
	char *out = user;

	sprintf(out + strlen(out), "%llu=%.*s;", (unsigned long long)uid, (int)size,
		(const char *)blob);
	return 0;
}

static void assert_restores(struct ledger *l, const char *boot, uint64_t sequence,
			    uint64_t position, const char *blobs)
{
	struct ledger_meta meta;
	char seen[256] = "";

	assert_int_equal(ledger_restore(l, &meta, collect_state, seen), 0);
	assert_string_equal(meta.boot_id, boot);
	assert_int_equal(meta.sequence, sequence);
	assert_int_equal(meta.ring_position, position);
	assert_string_equal(seen, blobs);
}

static void test_ledger_state_and_restore(void **state)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = 7, .ring_position = 1ull << 63 };
	struct ledger *l = open_ledger(*state, NULL);
	bool snapshot;

	assert_restores(l, "", 0, 0, "");
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_true(snapshot);
	assert_int_equal(ledger_put_state(l, 1, "one", 3), 0);
	assert_int_equal(ledger_put_state(l, 2, "two", 3), 0);
	assert_int_equal(ledger_commit(l, &meta), 0);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_false(snapshot);
	assert_int_equal(ledger_put_state(l, 1, NULL, 0), 0);
	assert_int_equal(ledger_put_state(l, 2, "zwei", 4), 0);
	meta.sequence = 8;
	assert_int_equal(ledger_commit(l, &meta), 0);
	assert_restores(l, BOOT, 8, 1ull << 63, "2=zwei;");

	/* a transaction taken back leaves nothing */
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_int_equal(ledger_put_state(l, 2, NULL, 0), 0);
	ledger_rollback(l);
	assert_restores(l, BOOT, 8, 1ull << 63, "2=zwei;");

	/* a new hour whose first transaction never came: the older segment still counts */
	assert_int_equal(ledger_begin(l, T0 + NS_PER_HOUR, &snapshot), 0);
	assert_true(snapshot);
	assert_int_equal(ledger_put_state(l, 3, "three", 5), 0);
	ledger_rollback(l);
	assert_restores(l, BOOT, 8, 1ull << 63, "2=zwei;");
	ledger_close(&l);
	l = open_ledger(*state, NULL);
	assert_restores(l, BOOT, 8, 1ull << 63, "2=zwei;");
	assert_int_equal(ledger_begin(l, T0 + NS_PER_HOUR, &snapshot), 0);
	assert_true(snapshot);
	assert_int_equal(ledger_put_state(l, 3, "three", 5), 0);
	meta.sequence = 9;
	assert_int_equal(ledger_commit(l, &meta), 0);
	assert_restores(l, BOOT, 9, 1ull << 63, "3=three;");
	ledger_close(&l);
	l = open_ledger(*state, NULL);
	assert_restores(l, BOOT, 9, 1ull << 63, "3=three;");
	ledger_close(&l);
}

/* Names first seen in a transaction that was taken back must not be remembered by their keys. */
static void test_ledger_rollback_forgets_names(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct invocation_record record = make_record(1, "gone");
	struct ledger_query query = { .function = "other" };
	bool snapshot;

	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_int_equal(ledger_put_invocation(l, &record), 0);
	ledger_rollback(l);
	assert_int_equal(commit_records(l, T0, 1, 3, "other"), 0);
	assert_sequences(*state, &query, 1, 3);
	assert_int_equal(summed_count(*state), 3);
	ledger_close(&l);
}

static void test_ledger_clock_going_back(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);

	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 1, 10, "f"), 0);
	assert_int_equal(commit_records(l, T0, 11, 20, "f"), 0);
	assert_int_equal(commit_records(l, T0 + 2 * NS_PER_HOUR, 21, 30, "f"), 0);
	ledger_close(&l);
	assert_int_equal(count_files(*state, ".db"), 2);
	assert_sequences(*state, NULL, 1, 30);
}

static void test_ledger_second_writer_is_refused(void **state)
{
	struct ledger_config config = { .directory = *state };
	struct ledger *l = open_ledger(*state, NULL), *second = (void *)1;
	bool set_aside = true;

	assert_int_equal(ledger_open(&config, &second, &set_aside), -EBUSY);
	assert_ptr_equal(second, (void *)1);
	assert_true(set_aside);
	assert_non_null(strstr(ledger_error(), "another writer"));
	ledger_close(&l);
	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	ledger_close(&l);
}

static void test_ledger_retention(void **state)
{
	struct ledger_config config = { .directory = *state, .retain_seconds = 2 * 3600 };
	struct ledger *l = NULL;
	bool set_aside;

	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	for (int64_t hour = 0; hour < 5; hour++)
		assert_int_equal(commit_records(l, T0 + hour * NS_PER_HOUR, (uint64_t)hour * 10 + 1,
						(uint64_t)hour * 10 + 10, "f"),
				 0);
	/* 16:59:59: the segment of 13h ended at 14:00, not yet three hours ago */
	assert_int_equal(ledger_retain(l, T0 + 4 * NS_PER_HOUR - SECOND), 1);
	assert_sequences(*state, NULL, 11, 50);
	assert_int_equal(ledger_retain(l, T0 + 4 * NS_PER_HOUR), 1);
	assert_sequences(*state, NULL, 21, 50);
	/* whatever the clock says, the one being written stays */
	assert_int_equal(ledger_retain(l, T0 + 1000 * NS_PER_HOUR), 2);
	assert_sequences(*state, NULL, 41, 50);
	ledger_close(&l);

	config.retain_seconds = 0;
	config.retain_bytes = 1;
	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	assert_int_equal(ledger_retain(l, T0), 0);
	assert_int_equal(commit_records(l, T0 + 9 * NS_PER_HOUR, 51, 60, "f"), 0);
	assert_int_equal(ledger_retain(l, T0), 1);
	assert_sequences(*state, NULL, 51, 60);
	assert_int_equal(count_files(*state, ".db"), 3);
	ledger_close(&l);
}

static void test_ledger_modes(void **state)
{
	struct ledger_config config = { 0 };
	char path[PATH_MAX], file[PATH_MAX + 64];
	struct ledger *l = NULL;
	bool set_aside;
	struct stat st;

	snprintf(path, sizeof(path), "%s/sub", (const char *)*state);
	config.directory = path;
	umask(0);
	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	umask(022);
	assert_int_equal(commit_records(l, T0, 1, 1, "f"), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "ledger-20260131T12.db",
						     "ledger-20260131T12.db-wal",
						     "ledger-20260131T12.db-shm", "ledger.lock" };

		snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		assert_int_equal(stat(file, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
	}
	ledger_close(&l);
	remove_directory(&(void *){ strdup(path) });
}

static void test_segment_names(void **state)
{
	static const char *const not_ours[] = { "ledger-20260131T24.db",
						"ledger-20261331T12.db",
						"ledger-2026131T12.db",
						"ledger-20260131T12.0.db",
						"ledger-20260131T12.01.db",
						"ledger-20260131T12.db-wal",
						"ledger-20260131T12.db.corrupt-x",
						"ledger-20260131T12.99999999999.db",
						"ledger.lock" };
	struct segment_file *files = NULL;
	char path[PATH_MAX];
	size_t count = 7;

	for (size_t i = 0; i < sizeof(not_ours) / sizeof(not_ours[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", (const char *)*state, not_ours[i]);
		fclose(fopen(path, "w"));
	}
	assert_int_equal(segment_list(*state, true, &files, &count), 0);
	assert_int_equal(count, 0);
	free(files);
	static const char *const ours[] = { "ledger-20260131T12.10.db", "ledger-20260131T12.9.db",
					    "ledger-20260131T12.db", "ledger-20251231T23.db",
					    "ledger-20260131T12.db.corrupt-1" };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", (const char *)*state, ours[i]);
		fclose(fopen(path, "w"));
	}
	assert_int_equal(segment_list(*state, false, &files, &count), 0);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(files[i].file, ours[3 - i]);
	free(files);
	assert_int_equal(segment_list(*state, true, &files, &count), 0);
	assert_int_equal(count, 5);
	free(files);
}

static void test_ledger_nothing_there(void **state)
{
	struct ledger_reader *reader = (void *)1;
	struct ledger *l;

	assert_int_equal(ledger_reader_open("/nonexistent", &reader), -ENOENT);
	assert_int_equal(ledger_reader_open(*state, &reader), -ENOENT);
	assert_ptr_equal(reader, (void *)1);
	l = open_ledger(*state, NULL);
	assert_int_equal(summed_count(*state), 0);
	assert_int_equal(ledger_commit(l, &(struct ledger_meta){ 0 }), -EINVAL);
	ledger_close(&l);
	ledger_close(&l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ledger_every_field_returns),
		TEST(test_ledger_instances),
		TEST(test_ledger_queries),
		TEST(test_ledger_visitor_stops),
		TEST(test_ledger_sums_are_the_rows),
		TEST(test_ledger_rollup_overflows_to_disk),
		TEST(test_ledger_same_record_again_is_ignored),
		TEST(test_ledger_state_and_restore),
		TEST(test_ledger_rollback_forgets_names),
		TEST(test_ledger_clock_going_back),
		TEST(test_ledger_second_writer_is_refused),
		TEST(test_ledger_retention),
		TEST(test_ledger_modes),
		TEST(test_segment_names),
		TEST(test_ledger_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
