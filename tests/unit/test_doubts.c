// SPDX-License-Identifier: GPL-2.0
/*
 * Records in doubt: what an audit found out when they were stored already shows to every reader, in
 * every segment, and nothing that is stored or sealed has changed for it.
 */
#include "tests/unit/ledger_fixture.h"

#include "core/record_json.h"
#include "core/seal.h"
#include "ledger/chain.h"

#define HOUR (3600 * SECOND)
#define FLAG (1ull << RECORD_FLAG_AUDIT_MISMATCH)

static struct ledger_doubt doubt_of(const char *instance, uint64_t after, uint64_t through)
{
	struct ledger_doubt d = {
		.boot_id = BOOT, .after = after, .through = through, .difference_ns = -2000000
	};

	snprintf(d.instance, sizeof(d.instance), "%s", instance);
	snprintf(d.cause, sizeof(d.cause), "why");
	return d;
}

/* Alone in a transaction of its own. */
static void put(struct ledger *l, int64_t now, const char *instance, uint64_t after,
		uint64_t through)
{
	struct ledger_doubt d = doubt_of(instance, after, through);
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = through };
	bool snapshot;

	assert_int_equal(ledger_begin(l, now, &snapshot), 0);
	assert_int_equal(ledger_put_doubt(l, &d), 0);
	assert_int_equal(ledger_commit(l, &meta), 0);
}

static struct ledger *open_sealing(const char *directory)
{
	struct ledger_config config = { .directory = directory, .seal = true };
	struct ledger *l = NULL;
	bool set_aside;

	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	return l;
}

/* Sequences, each with a blank behind it. */
struct doubted {
	char text[512];
	uint64_t seen;
};

static int note(void *user, const struct invocation_record *r)
{
	struct doubted *d = user;
	size_t used = strlen(d->text);

	d->seen++;
	assert_int_equal(!!(r->flags & FLAG), r->doubt.cause[0] != 0);
	if (r->flags & FLAG) {
		assert_string_equal(r->doubt.cause, "why");
		snprintf(d->text + used, sizeof(d->text) - used, "%llu ",
			 (unsigned long long)r->sequence);
	}
	return 0;
}

static int pass(void *user, const struct instance_record *r)
{
	(void)user, (void)r;
	return 0;
}

static int add_flagged(void *user, const struct ledger_sum *sum)
{
	*(uint64_t *)user += sum->flagged;
	return 0;
}

static uint64_t flagged(const char *directory, const struct ledger_query *query)
{
	struct ledger_reader *reader = NULL;
	uint64_t count = 0;

	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	assert_int_equal(ledger_read_sums(reader, query, add_flagged, &count), 0);
	ledger_reader_close(&reader);
	return count;
}

/* By each way of reading, oldest first: the sequences in doubt. Newest first, the other way round.
 */
static void expect(const char *directory, const char *sequences, const char *backwards)
{
	struct ledger_query all = { 0 }, of_one = { .function = "thumb" }, last = { .last = 1000 };
	const struct ledger_query *queries[] = { &all, &of_one, &last };
	struct ledger_place place = { .hour = INT64_MAX }, begin = { .hour = INT64_MIN };
	struct ledger_reader *reader = NULL;
	struct doubted page = { 0 }, followed = { 0 };
	bool more;

	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct doubted d = { 0 };

		assert_int_equal(ledger_read_invocations(reader, queries[i], note, &d), 0);
		assert_string_equal(d.text, sequences);
	}
	assert_int_equal(ledger_read_page(reader, &all, 1000, &place, &more, note, &page), 0);
	assert_string_equal(page.text, backwards);
	assert_true(ledger_follow(reader, &begin, NULL, 1000, note, pass, &followed) > 0);
	assert_string_equal(followed.text, sequences);
	assert_null(ledger_reader_damage(reader));
	ledger_reader_close(&reader);
}

static void test_doubts_show_to_every_reader(void **state)
{
	const char *directory = *state;
	struct ledger_query all = { 0 }, part = { .until_realtime_ns = T0 + 59 * SECOND + 1 };
	struct ledger_reader *reader = NULL;
	struct ledger *l = open_ledger(directory, NULL);
	struct doubted one = { 0 };
	uint64_t before, before_part;

	assert_int_equal(commit_records(l, T0, 1, 100, "thumb"), 0);
	expect(directory, "", "");
	before = flagged(directory, &all);
	before_part = flagged(directory, &part);
	put(l, T0, "thumb-3", 3, 43);
	expect(directory, "13 23 33 43 ", "43 33 23 13 ");
	put(l, T0, "thumb-4", 70, 90); /* 74, and 84, which has a flag already */
	expect(directory, "13 23 33 43 74 84 ", "84 74 43 33 23 13 ");
	assert_int_equal(flagged(directory, &all), before + 5);
	assert_int_equal(flagged(directory, &part),
			 before_part + 4); /* its rows: less than a minute */
	part.until_realtime_ns = T0 + 60 * SECOND;
	assert_int_equal(flagged(directory, &part), before_part + 4); /* from the roll-up */
	part.function = "another";
	assert_int_equal(flagged(directory, &part), 0);
	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	assert_int_equal(ledger_read_record(reader, "node-7-01234567-33", note, &one), 0);
	assert_int_equal(ledger_read_record(reader, "node-7-01234567-53", note, &one), 0);
	assert_string_equal(one.text, "33 ");
	ledger_reader_close(&reader);
	ledger_close(&l);
}

static size_t slurp(const char *directory, const char *file, char **ret_bytes)
{
	char path[PATH_MAX];
	struct stat info;
	FILE *f;

	assert_int_equal(path_join(path, sizeof(path), directory, file), 0);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &info), 0);
	*ret_bytes = malloc((size_t)info.st_size);
	assert_int_equal(fread(*ret_bytes, 1, (size_t)info.st_size, f), info.st_size);
	fclose(f);
	return (size_t)info.st_size;
}

/* Found out hours later, and carried on from segment to segment: the closed ones do not change. */
static void test_doubts_of_closed_segments(void **state)
{
	const char *directory = *state, *first = "ledger-20260131T12.db";
	struct ledger *l = open_ledger(directory, NULL);
	struct ledger_query all = { 0 };
	char *before, *after;
	uint64_t count;
	size_t size;

	assert_int_equal(commit_records(l, T0, 1, 30, "thumb"), 0);
	assert_int_equal(commit_records(l, T0 + HOUR, 31, 60, "thumb"), 0);
	size = slurp(directory, first, &before);
	count = flagged(directory, &all);
	put(l, T0 + 2 * HOUR, "thumb-1", 1, 41);
	expect(directory, "11 21 31 41 ", "41 31 21 11 ");
	assert_int_equal(flagged(directory, &all), count + 4);
	assert_int_equal(commit_records(l, T0 + 3 * HOUR, 61, 90, "thumb"), 0);
	ledger_close(&l);
	l = open_ledger(directory, NULL);
	assert_int_equal(commit_records(l, T0 + 5 * HOUR, 91, 99, "thumb"), 0);
	expect(directory, "11 21 31 41 ", "41 31 21 11 ");
	assert_int_equal(flagged(directory, &all),
			 count + 4 + 9); /* and 64, 68 … 96 of their own */
	assert_int_equal(slurp(directory, first, &after), size);
	assert_memory_equal(before, after, size);
	ledger_close(&l);
	free(before);
	free(after);
}

static int64_t rows(struct ledger *l, const char *what)
{
	sqlite3_stmt *st = NULL;
	char sql[128];
	int64_t value;

	snprintf(sql, sizeof(sql), "SELECT %s FROM doubts", what);
	assert_int_equal(database_prepare(l->db, sql, &st), 0);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	value = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return value;
}

/* What goes on and on makes one row, and rows go with the segments that they are of. */
static void test_doubts_are_bounded(void **state)
{
	const char *directory = *state;
	struct ledger_config config = { .directory = directory, .retain_seconds = 7200 };
	struct ledger *l = NULL;
	bool set_aside;

	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	assert_int_equal(commit_records(l, T0, 1, 100, "thumb"), 0);
	for (uint64_t i = 0; i < 50; i++)
		put(l, T0, "thumb-1", i, i + 1);
	put(l, T0, "thumb-2", 10, 20);
	put(l, T0, "thumb-1", 90, 95);
	assert_int_equal(rows(l, "count(*)"), 3);
	assert_int_equal(rows(l, "max(mismatches)"), 50);
	assert_int_equal(rows(l, "min(difference_ns)"), -100000000);
	expect(directory, "1 11 12 21 31 41 91 ", "91 41 31 21 12 11 1 ");
	assert_int_equal(commit_records(l, T0 + 4 * HOUR, 101, 130, "thumb"), 0);
	assert_int_equal(rows(l, "count(*)"), 3); /* their segment was still there when it began */
	assert_true(ledger_retain(l, T0 + 6 * HOUR) > 0);
	assert_int_equal(commit_records(l, T0 + 6 * HOUR, 131, 140, "thumb"), 0);
	assert_int_equal(rows(l, "count(*)"), 0);
	ledger_close(&l);
}

/* A new segment whose first transaction fails, or that never had one, hides nothing. */
static void test_doubts_survive_failures(void **state)
{
	const char *directory = *state;
	struct ledger *l = open_ledger(directory, NULL);
	struct ledger_doubt d = doubt_of("thumb-2", 0, 20);
	bool snapshot;

	assert_int_equal(commit_records(l, T0, 1, 30, "thumb"), 0);
	put(l, T0, "thumb-1", 1, 11);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_int_equal(ledger_put_doubt(l, &d), 0);
	ledger_rollback(l);
	expect(directory, "11 ", "11 ");
	assert_int_equal(ledger_begin(l, T0 + HOUR, &snapshot), 0);
	assert_true(snapshot);
	ledger_rollback(l);
	expect(directory, "11 ", "11 ");
	ledger_close(&l);
	l = open_ledger(directory, NULL);
	assert_int_equal(commit_records(l, T0 + HOUR, 31, 40, "thumb"), 0);
	expect(directory, "11 ", "11 ");
	ledger_close(&l);
}

struct exported {
	struct digest *digest;
	unsigned checked, doubted;
};

/* As oncpu verify does with a line of an export. */
static int check_line(void *user, const struct invocation_record *r)
{
	struct exported *e = user;
	char json[RECORD_JSON_MAX];
	uint8_t hash[DIGEST_BYTES];
	int n = invocation_record_json(r, json, sizeof(json));

	assert_true(n > 0);
	assert_int_equal(strstr(json, "\"audit_mismatch\"") != NULL, r->doubt.cause[0] != 0);
	assert_int_equal(strstr(json, "\"doubt\":{\"difference_ns\":-2000000,\"cause\":\"why\"}") !=
				 NULL,
			 r->doubt.cause[0] != 0);
	assert_int_equal(chain_hash(e->digest, r->seal.previous, json, (size_t)n, hash), 0);
	assert_memory_equal(hash, r->seal.hash, DIGEST_BYTES);
	e->checked++;
	e->doubted += r->doubt.cause[0] != 0;
	return 0;
}

static void test_doubts_break_no_seal(void **state)
{
	const char *directory = *state;
	struct ledger *l = open_sealing(directory);
	struct ledger_reader *reader = NULL;
	struct ledger_query all = { 0 };
	struct ledger_verified v;
	struct exported e = { 0 };

	assert_int_equal(commit_records(l, T0, 1, 40, "thumb"), 0);
	put(l, T0 + HOUR, "thumb-4", 0, 24); /* 4 and 24 have a flag besides */
	assert_int_equal(commit_records(l, T0 + HOUR, 41, 50, "thumb"), 0);
	assert_int_equal(ledger_verify(directory, NULL, NULL, &v), 0);
	assert_string_equal(v.bad, "");
	assert_int_equal(v.records, 50);
	assert_int_equal(digest_new(NULL, &e.digest), 0);
	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, &all, check_line, &e), 0);
	assert_int_equal(e.checked, 50);
	assert_int_equal(e.doubted, 3);
	ledger_reader_close(&reader);
	digest_free(&e.digest);
	ledger_close(&l);
}

/* A flag that is sealed cannot be passed off as one that came later, nor the other way round. */
static void test_doubt_hides_no_sealed_flag(void **state)
{
	static const struct {
		const char *line, *canonical;
	} rows[] = {
		{ "{\"flags\":[\"moved\",\"audit_mismatch\"]}",
		  "{\"flags\":[\"moved\",\"audit_mismatch\"]}" },
		{ "{\"flags\":[\"moved\",\"audit_mismatch\"],\"doubt\":{\"cause\":\"x\"}}",
		  "{\"flags\":[\"moved\"]}" },
		{ "{\"flags\":[\"moved\",\"events_lost\"],\"doubt\":{}}",
		  "{\"flags\":[\"moved\",\"events_lost\"]}" },
		{ "{\"flags\":[\"audit_mismatch\"],\"doubt\":null}",
		  "{\"flags\":[\"audit_mismatch\"]}" },
		{ "{\"a\":{\"doubt\":{},\"flags\":[\"audit_mismatch\"]}}",
		  "{\"a\":{\"doubt\":{},\"flags\":[\"audit_mismatch\"]}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		int n = seal_canonical_line(rows[i].line, strlen(rows[i].line), text, sizeof(text));

		assert_true(n > 0);
		text[n] = 0;
		assert_string_equal(text, rows[i].canonical);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_doubts_show_to_every_reader),
		T(test_doubts_of_closed_segments),
		T(test_doubts_are_bounded),
		T(test_doubts_survive_failures),
		T(test_doubts_break_no_seal),
		cmocka_unit_test(test_doubt_hides_no_sealed_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
