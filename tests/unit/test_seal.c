// SPDX-License-Identifier: GPL-2.0
/*
 * The seals: one canonical form whatever tool has written the record; the chain through segments,
 * restarts, rollbacks, retention, damage and a key; and each way to tamper with it, found and
 * named.
 */
#include "tests/unit/ledger_fixture.h"

#include <fcntl.h>

#include "base/digest.h"
#include "core/record_json.h"
#include "core/seal.h"

/* ---- the canonical form ---- */

static void expect_canonical(const char *line, const char *wanted)
{
	char text[RECORD_JSON_MAX];
	int n = seal_canonical_line(line, strlen(line), text, sizeof(text));

	if (!wanted) {
		assert_int_equal(n, -EINVAL);
		return;
	}
	assert_true(n > 0);
	assert_string_equal(text, wanted);
}

static void test_canonical(void **state)
{
	(void)state;
	expect_canonical("{}", "{}");
	expect_canonical("{\"b\":1,\"a\":null,\"c\":{\"z\":[1,null,true],\"a\":{\"x\":null}}}",
			 "{\"b\":1,\"c\":{\"a\":{},\"z\":[1,null,true]}}");
	expect_canonical(" { \"b\" : -5 , \"a\" : \"x\" } ", "{\"a\":\"x\",\"b\":-5}");
	expect_canonical("{\"a\":1,\"integrity\":{\"position\":7}}", "{\"a\":1}");
	/* only at the top: a record within is not the record */
	expect_canonical("{\"a\":{\"integrity\":1}}", "{\"a\":{\"integrity\":1}}");
	expect_canonical("{\"billed\":{\"p\":{\"billed_ms\":52,\"version\":1}}}",
			 "{\"billed\":{\"p\":{\"billed_ns\":52000000,\"version\":1}}}");
	expect_canonical("{\"a\":\"\\u00e9\\n\\u0085\\\"\\\\\\/\"}",
			 "{\"a\":\"\xc3\xa9\\u000a\\u0085\\\"\\\\/\"}");
	expect_canonical("{\"a\":9223372036854775807}", "{\"a\":9223372036854775807}");
	expect_canonical("{\"a\":1.5}", NULL); /* a tool has lost digits */
	expect_canonical("{\"a\":9223372036854775808}", NULL);
	expect_canonical("{\"a\":1,\"a\":2}", NULL);
	expect_canonical("{\"a\":1", NULL);
	expect_canonical("[]", NULL);
	expect_canonical("{\"billed_ms\":9223372036854775807}", NULL);
}

/* What is null in a record of today was not there in one of yesterday. */
static void test_canonical_of_records(void **state)
{
	struct invocation_record r = make_record(3, "thumb");
	char json[RECORD_JSON_MAX], before[RECORD_JSON_MAX], after[RECORD_JSON_MAX];
	int n = invocation_record_json(&r, json, sizeof(json));

	(void)state;
	assert_true(seal_canonical_line(json, (size_t)n, before, sizeof(before)) > 0);
	r.seal.position = 9; /* no part of itself */
	n = invocation_record_json(&r, json, sizeof(json));
	assert_non_null(strstr(json, "\"integrity\":{\"position\":9,"));
	assert_true(seal_canonical_line(json, (size_t)n, after, sizeof(after)) > 0);
	assert_string_equal(before, after);
	assert_null(strstr(before, "null"));
	assert_non_null(strstr(before, "\"cpu_ns\":3201459"));
	r.cpu_ns++;
	n = invocation_record_json(&r, json, sizeof(json));
	assert_true(seal_canonical_line(json, (size_t)n, after, sizeof(after)) > 0);
	assert_string_not_equal(before, after);
}

static void test_seal_fields(void **state)
{
	struct record_seal seal = { .position = 0x0102030405060708 }, again = { 0 };
	uint8_t packed[SEAL_BYTES];
	json_t *record;

	(void)state;
	memset(seal.previous, 0xab, sizeof(seal.previous));
	memset(seal.hash, 0x01, sizeof(seal.hash));
	seal_pack(&seal, packed);
	assert_int_equal(packed[0], 1); /* the most significant first: it sorts */
	seal_unpack(packed, &again);
	assert_memory_equal(&seal, &again, sizeof(seal));
	record = json_pack("{s:{s:I,s:s,s:s}}", "integrity", "position", (json_int_t)5, "previous",
			   "abababababababababababababababababababababababababababababababab",
			   "hash",
			   "0101010101010101010101010101010101010101010101010101010101010101");
	assert_int_equal(seal_of(record, &again), 0);
	assert_int_equal(again.position, 5);
	assert_memory_equal(again.previous, seal.previous, 32);
	assert_memory_equal(again.hash, seal.hash, 32);
	json_object_set_new(json_object_get(record, "integrity"), "hash", json_string("01"));
	assert_int_equal(seal_of(record, &again), -EINVAL);
	json_decref(record);
	record = json_object();
	assert_int_equal(seal_of(record, &again), 0);
	assert_int_equal(again.position, 0);
	json_decref(record);
}

/* ---- the digest ---- */

static void expect_digest(const struct digest_key *key, const char *a, const char *b,
			  const char *wanted)
{
	struct digest *digest = NULL;
	uint8_t bytes[DIGEST_BYTES];
	char text[65] = "";

	assert_int_equal(digest_new(key, &digest), 0);
	for (int twice = 0; twice < 2; twice++) { /* a context is used again */
		assert_int_equal(digest_of(digest, a, strlen(a), b, strlen(b), bytes), 0);
		for (size_t i = 0; i < DIGEST_BYTES; i++)
			snprintf(text + 2 * i, 3, "%02x", bytes[i]);
		assert_string_equal(text, wanted);
	}
	digest_free(&digest);
}

static void test_digest(void **state)
{
	struct digest_key key = { .length = 20 };

	(void)state;
	/* FIPS 180-2's example, and RFC 4231's first case */
	expect_digest(NULL, "a", "bc",
		      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	memset(key.bytes, 0x0b, 20);
	expect_digest(&key, "Hi ", "There",
		      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

static void write_file(const char *path, const void *bytes, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && fchmod(fd, mode) == 0);
	close(fd);
}

static void test_key_file(void **state)
{
	char path[128], error[DIGEST_ERROR_LEN], long_one[300];
	struct digest_key key = { 0 };

	snprintf(path, sizeof(path), "%s/key", (char *)*state);
	write_file(path, "0123456789abcdef\n", 17, 0600);
	assert_int_equal(digest_key_read(path, &key, error), 0);
	assert_int_equal(key.length, 16);
	write_file(path, "0123456789abcde\n", 16, 0600);
	assert_int_equal(digest_key_read(path, &key, error), -EINVAL);
	memset(long_one, 'x', sizeof(long_one));
	write_file(path, long_one, 256, 0600);
	assert_int_equal(digest_key_read(path, &key, error), 0);
	write_file(path, long_one, 257, 0600);
	assert_int_equal(digest_key_read(path, &key, error), -EINVAL);
	write_file(path, long_one, 32, 0644);
	assert_int_equal(digest_key_read(path, &key, error), -EPERM);
	assert_non_null(strstr(error, "chmod 600"));
	assert_int_equal(digest_key_read("/nonexistent", &key, error), -ENOENT);
	assert_int_equal(key.length, 256); /* untouched by what failed */
}

/* ---- the chain ---- */

static struct ledger *open_sealed(const char *directory, const struct digest_key *key)
{
	struct ledger_config config = { .directory = directory, .seal = true, .seal_key = key };
	struct ledger *l = NULL;
	bool set_aside;

	if (ledger_open(&config, &l, &set_aside) < 0)
		fail_msg("ledger_open: %s", ledger_error());
	return l;
}

static void store(const char *directory, int64_t now, uint64_t first, uint64_t last)
{
	struct ledger *l = open_sealed(directory, NULL);

	assert_int_equal(commit_records(l, now, first, last, "thumb"), 0);
	ledger_close(&l);
}

static struct ledger_verified verified(const char *directory, const struct digest_key *key)
{
	struct ledger_verified v;

	if (ledger_verify(directory, key, NULL, &v) < 0)
		fail_msg("verify: %s", ledger_error());
	return v;
}

static void expect_good(const char *directory, uint64_t records, uint64_t first, uint64_t last)
{
	struct ledger_verified v = verified(directory, NULL);

	assert_string_equal(v.bad, "");
	assert_int_equal(v.records, records);
	assert_int_equal(v.first_position, first);
	assert_int_equal(v.last_position, last);
}

static void expect_bad(const char *directory, const char *why)
{
	struct ledger_verified v = verified(directory, NULL);

	if (!strstr(v.bad, why))
		fail_msg("\"%s\" does not say \"%s\"", v.bad, why);
}

/* SQL on the newest (0) or an older segment. */
static void tamper(const char *directory, size_t back, const char *sql)
{
	struct segment_file *files = NULL;
	size_t count = 0;
	char path[PATH_MAX];
	sqlite3 *db = NULL;

	assert_int_equal(segment_list(directory, false, &files, &count), 0);
	assert_true(back < count);
	snprintf(path, sizeof(path), "%s/%s", directory, files[count - 1 - back].file);
	free(files);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_true(sqlite3_total_changes(db) > 0);
	sqlite3_close(db);
}

static void put_instances(struct ledger *l, int64_t now, uint64_t first, uint64_t last)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = last };
	bool snapshot;

	assert_int_equal(ledger_begin(l, now, &snapshot), 0);
	for (uint64_t s = first; s <= last; s++) {
		struct instance_record r = { .sequence = s,
					     .host = "node-7",
					     .boot_id = BOOT,
					     .function = "thumb",
					     .uid = s,
					     .audits = 1,
					     .total_cpu_ns = (int64_t)s };

		assert_int_equal(ledger_put_instance(l, &r), 0);
	}
	assert_int_equal(ledger_put_state(l, 1, &last, sizeof(last)), 0);
	assert_int_equal(ledger_commit(l, &meta), 0);
}

static void test_chain_goes_on(void **state)
{
	const int64_t hour = NS_PER_HOUR;
	struct ledger *l;

	store(*state, T0, 1, 10);
	expect_good(*state, 10, 1, 10);
	store(*state, T0, 11, 20); /* after a restart */
	expect_good(*state, 20, 1, 20);
	store(*state, T0 + hour, 21, 30); /* and in the next segment */
	l = open_sealed(*state, NULL);
	put_instances(l, T0 + hour, 31, 35); /* both kinds are in one chain */
	assert_int_equal(commit_records(l, T0 + hour, 36, 40, "other"), 0);
	assert_int_equal(commit_records(l, T0 + 2 * hour, 41, 41, "other"), 0);
	ledger_close(&l);
	expect_good(*state, 41, 1, 41);
	assert_int_equal(verified(*state, NULL).segments, 3);
}

/* The same records again, as after a crash: they are not sealed twice. A rollback takes back. */
static void test_chain_of_repeated_and_taken_back(void **state)
{
	struct ledger *l = open_sealed(*state, NULL);
	struct invocation_record r = make_record(100, "thumb");
	bool snapshot;

	assert_int_equal(commit_records(l, T0, 1, 10, "thumb"), 0);
	assert_int_equal(commit_records(l, T0, 5, 15, "thumb"), 0);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_int_equal(ledger_put_invocation(l, &r), 0);
	ledger_rollback(l);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 10, 20, "thumb"), 0);
	ledger_close(&l);
	expect_good(*state, 20, 1, 20);
}

static void test_chain_after_retention(void **state)
{
	struct ledger_config config = { .directory = *state, .seal = true, .retain_seconds = 3600 };
	struct ledger_through through = { .position = 10 };
	struct ledger_verified v;
	struct ledger *l = NULL;
	bool set_aside;

	store(*state, T0, 1, 10);
	v = verified(*state, NULL);
	memcpy(through.hash, v.last_hash, sizeof(through.hash));
	store(*state, T0 + NS_PER_HOUR, 11, 20);
	store(*state, T0 + 9 * NS_PER_HOUR, 21, 30);
	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	assert_int_equal(ledger_retain(l, T0 + 9 * NS_PER_HOUR), 2);
	ledger_close(&l);
	expect_good(*state, 10, 21, 30);
	v = verified(*state, NULL);
	assert_int_equal(v.anchor_position, 20);
	/* an end that was kept is found while it is there, and missed afterwards */
	assert_int_equal(ledger_verify(*state, NULL, &through, &v), 0);
	assert_false(through.found);
	through.position = 30;
	memcpy(through.hash, v.last_hash, sizeof(through.hash));
	assert_int_equal(ledger_verify(*state, NULL, &through, &v), 0);
	assert_true(through.found);
}

static void test_chain_is_handed_on_unsealed(void **state)
{
	struct ledger *l;

	store(*state, T0, 1, 10);
	l = open_ledger(*state, NULL); /* integrity = none, over a whole segment */
	assert_int_equal(commit_records(l, T0, 11, 12, "thumb"), 0);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 13, 15, "thumb"), 0);
	ledger_close(&l);
	store(*state, T0 + 2 * NS_PER_HOUR, 16, 20);
	expect_good(*state, 15, 1, 15);
	assert_int_equal(verified(*state, NULL).unsealed, 5);
}

static void test_chain_with_a_key(void **state)
{
	struct digest_key key = { .length = 16, .bytes = "0123456789abcde" }, other = key;
	struct ledger_config config = { .directory = *state, .seal = true };
	struct ledger *l = open_sealed(*state, &key);
	struct ledger_verified v;
	bool set_aside;

	other.bytes[0] = 'x';
	assert_int_equal(commit_records(l, T0, 1, 10, "thumb"), 0);
	ledger_close(&l);
	l = open_sealed(*state, &key);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 11, 20, "thumb"), 0);
	ledger_close(&l);
	v = verified(*state, &key);
	assert_string_equal(v.bad, "");
	assert_int_equal(v.records, 20);
	assert_int_equal(strncmp(v.method, "hmac-sha256:", 12), 0);
	assert_int_equal(ledger_verify(*state, NULL, NULL, &v), -EINVAL);
	assert_non_null(strstr(ledger_error(), "--key"));
	assert_int_equal(ledger_verify(*state, &other, NULL, &v), -EINVAL);
	/* one chain has one key */
	assert_int_equal(ledger_open(&config, &l, &set_aside), -EINVAL);
	config.seal_key = &other;
	assert_int_equal(ledger_open(&config, &l, &set_aside), -EINVAL);
	assert_non_null(strstr(ledger_error(), "integrity_key"));
	tamper(*state, 0, "UPDATE invocations SET cpu_ns=cpu_ns-1 WHERE record_key%10=5");
	assert_non_null(strstr(verified(*state, &key).bad, "is not as it was stored"));
}

static void three_segments(const char *directory)
{
	struct ledger *l;

	store(directory, T0, 1, 10);
	store(directory, T0 + NS_PER_HOUR, 11, 20);
	store(directory, T0 + 2 * NS_PER_HOUR, 21, 30);
	l = open_sealed(directory, NULL);
	put_instances(l, T0 + 2 * NS_PER_HOUR, 31, 33);
	ledger_close(&l);
}

static void test_each_way_to_tamper(void **state)
{
	static const struct {
		size_t back;
		const char *sql, *why;
	} ways[] = {
		{ 0, "UPDATE invocations SET cpu_ns=1 WHERE record_key=25",
		  "record node-7-01234567-25 (position 25) is not as it was stored" },
		{ 1, "UPDATE invocations SET id=x'00' WHERE record_key=13",
		  "record node-7-01234567-13 (position 13) is not as it was stored" },
		{ 0, "UPDATE instances SET total_cpu_ns=0 WHERE record_key=32",
		  "position 32) is not" },
		{ 0, "UPDATE texts SET text='crop' WHERE text='thumb'", "position 21) is not" },
		{ 0, "UPDATE boots SET host='node-8'", "position 21) is not" },
		{ 0, "UPDATE policies SET version=9", "position 21) is not" },
		{ 1, "DELETE FROM invocations WHERE record_key=15",
		  "node-7-01234567-16 has position 16 of the chain, where 15" },
		{ 1, "DELETE FROM invocations WHERE record_key=20", "records 20 to 20" },
		{ 0, "DELETE FROM instances WHERE record_key=33", "records 33 to 33" },
		{ 1, "UPDATE invocations SET seal=NULL WHERE record_key=15", "where 15 should" },
		/* swapped: each is good by itself */
		{ 1,
		  "CREATE TEMP TABLE s AS SELECT record_key k,seal FROM invocations WHERE "
		  "record_key "
		  "IN(14,15);UPDATE invocations SET seal=(SELECT seal FROM s WHERE "
		  "k=29-record_key) "
		  "WHERE record_key IN(14,15)",
		  "is not as it was stored" },
		{ 0, "UPDATE chain SET position=35", "records 34 to 35" },
		{ 0, "UPDATE chain SET anchor_hash=zeroblob(32)", "does not follow the segment" },
		{ 1, "UPDATE chain SET hash=zeroblob(32)", "not the one that it says" },
		{ 1, "DELETE FROM chain", "records 11 to 20 of the chain are missing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		void *directory;

		assert_int_equal(make_directory(&directory), 0);
		three_segments(directory);
		expect_good(directory, 33, 1, 33);
		tamper(directory, ways[i].back, ways[i].sql);
		expect_bad(directory, ways[i].why);
		remove_directory(&directory);
	}
}

/* Another history of the same records, sealed as well: one record of it, put into this one. */
static void test_a_record_of_another_history(void **state)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = 20 };
	struct ledger *l;
	char sql[PATH_MAX];
	void *other;
	bool snapshot;

	store(*state, T0, 1, 20);
	assert_int_equal(make_directory(&other), 0);
	l = open_sealed(other, NULL);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	for (uint64_t n = 1; n <= 20; n++) {
		struct invocation_record r = make_record(n, "thumb");

		r.cpu_ns += n == 12;
		assert_int_equal(ledger_put_invocation(l, &r), 0);
	}
	assert_int_equal(ledger_put_state(l, 1, "x", 1), 0);
	assert_int_equal(ledger_commit(l, &meta), 0);
	ledger_close(&l);
	expect_good(other, 20, 1, 20);
	snprintf(sql, sizeof(sql),
		 "ATTACH '%s/ledger-20260131T12.db' AS o;INSERT OR REPLACE INTO main.invocations "
		 "SELECT * FROM o.invocations WHERE record_key=15",
		 (char *)other);
	tamper(*state, 0, sql);
	expect_bad(*state, "(position 15) does not follow the one before it");
	remove_directory(&other);
}

static void remove_segment(const char *directory, size_t back)
{
	struct segment_file *files = NULL;
	size_t count = 0;

	assert_int_equal(segment_list(directory, false, &files, &count), 0);
	assert_int_equal(segment_unlink(directory, files[count - 1 - back].file), 0);
	free(files);
}

static void test_a_segment_is_missing(void **state)
{
	three_segments(*state);
	remove_segment(*state, 1);
	expect_bad(*state, "records 11 to 20 of the chain are missing before it");
}

/* The newest segment is damaged while it is written: the records after it say what is missing. */
static void test_chain_after_damage(void **state)
{
	struct ledger_verified v;
	struct segment_file *files = NULL;
	size_t count = 0;

	three_segments(*state);
	assert_int_equal(segment_list(*state, false, &files, &count), 0);
	assert_int_equal(segment_set_aside(*state, files[2].file), 0);
	free(files);
	store(*state, T0 + 3 * NS_PER_HOUR, 41, 45); /* a restart knows the segment before */
	v = verified(*state, NULL);
	assert_string_equal(v.bad, "");
	assert_int_equal(v.set_aside, 1);
	assert_int_equal(v.last_position, 25);
}

/* A ledger of before: nothing is sealed, and the first sealed record begins the chain. */
static void test_migration(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	char path[PATH_MAX];
	sqlite3 *db = NULL;

	assert_int_equal(commit_records(l, T0, 1, 5, "thumb"), 0);
	ledger_close(&l);
	assert_int_equal(verified(*state, NULL).records, 0);
	assert_int_equal(verified(*state, NULL).unsealed, 5);
	snprintf(path, sizeof(path), "%s/ledger-20260131T12.db", (char *)*state);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(
			db,
			"ALTER TABLE invocations DROP COLUMN seal;"
			"ALTER TABLE instances DROP COLUMN seal;DROP TABLE chain;DROP TABLE doubts;"
			"PRAGMA user_version=3",
			NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(verified(*state, NULL).unsealed, 5); /* read as it is */
	assert_sequences(*state, NULL, 1, 5);
	store(*state, T0, 6, 10);
	expect_good(*state, 5, 1, 5);
	assert_sequences(*state, NULL, 1, 10);
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_canonical_of_records),
		cmocka_unit_test(test_seal_fields),
		cmocka_unit_test(test_digest),
		IN_DIRECTORY(test_key_file),
		IN_DIRECTORY(test_chain_goes_on),
		IN_DIRECTORY(test_chain_of_repeated_and_taken_back),
		IN_DIRECTORY(test_chain_after_retention),
		IN_DIRECTORY(test_chain_is_handed_on_unsealed),
		IN_DIRECTORY(test_chain_with_a_key),
		cmocka_unit_test(test_each_way_to_tamper),
		IN_DIRECTORY(test_a_record_of_another_history),
		IN_DIRECTORY(test_a_segment_is_missing),
		IN_DIRECTORY(test_chain_after_damage),
		IN_DIRECTORY(test_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
