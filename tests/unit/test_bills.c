// SPDX-License-Identifier: GPL-2.0
/* The roll-up of billed times: it is the sum over the rows, whatever the policies, range or age. */
#include "ledger_fixture.h"

#include <jansson.h>

#include "core/bill_table.h"
#include "ledger/bills.h"
#include "ledger/compare.h"

#define MINUTE (60 * SECOND)

static const char acme[] =
	"{\"schema\":\"oncpu.policies/1\",\"policies\":[{\"name\":\"acme\",\"version\":1,"
	"\"title\":\"A\",\"currency\":\"EUR\",\"rule\":{\"text\":\"t\",\"date\":\"2026-01-31\","
	"\"source\":\"s\",\"verified\":true},\"time\":{\"basis\":\"wall\",\"granularity_ns\":7777,"
	"\"minimum_ns\":0,\"init\":true,\"restore\":false,\"after_response\":false,"
	"\"between\":true},\"memory\":{\"size\":\"max\",\"default_mb\":128,\"price\":{\"e12\":7,"
	"\"per\":1,\"date\":\"2026-01-31\",\"source\":\"s\",\"verified\":false}}}]}";

/* Sizes and quotas of many kinds, and times that every rule rounds differently. */
static struct invocation_record bill_record(uint64_t sequence)
{
	char function[16];
	struct invocation_record r;

	snprintf(function, sizeof(function), "f%llu", (unsigned long long)(sequence % 7));
	r = make_record(sequence, function);
	r.wall_ns = (int64_t)(sequence * 7919 % 3000) * 1000001;
	r.cpu_ns = r.wall_ns / 3;
	r.init_wall_ns = r.cold_start ? (int64_t)(sequence % 900) * 1234567 : -1;
	r.init_cpu_ns = r.cold_start ? r.init_wall_ns / 2 : -1;
	r.after_response_wall_ns = r.wall_ns / 5;
	r.after_response_cpu_ns = r.wall_ns / 11;
	r.memory_mb = sequence % 3 ? 128 << sequence % 4 : -1;
	r.max_memory_bytes = (int64_t)(sequence * 104729 % (2048ull << 20)) - 1;
	r.quota_us = sequence % 2 ? 50000 : -1;
	r.period_us = 100000;
	billing_apply(policies_embedded(), &r);
	return r;
}

static struct instance_record bill_instance(uint64_t sequence)
{
	struct instance_record r = { .sequence = sequence, .host = "node-7", .boot_id = BOOT };

	snprintf(r.function, sizeof(r.function), "f%llu", (unsigned long long)(sequence % 7));
	snprintf(r.instance, sizeof(r.instance), "i%llu", (unsigned long long)sequence);
	r.start_realtime_ns = T0 - 5 * MINUTE;
	r.end_realtime_ns = T0 + (int64_t)sequence * SECOND;
	r.last_between_wall_ns = (int64_t)sequence * 333333;
	return r;
}

static void fill(struct ledger *l, int64_t now, uint64_t first, uint64_t last)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = last };
	bool snapshot;

	for (uint64_t at = first; at <= last; at += 100) {
		assert_int_equal(ledger_begin(l, now, &snapshot), 0);
		for (uint64_t s = at; s < at + 100 && s <= last; s++) {
			struct invocation_record record = bill_record(s);
			struct instance_record instance = bill_instance(s);

			assert_int_equal(ledger_put_invocation(l, &record), 0);
			assert_int_equal(ledger_put_invocation(l, &record), 0); /* ignored */
			if (s % 13 == 0)
				assert_int_equal(ledger_put_instance(l, &instance), 0);
		}
		assert_int_equal(ledger_commit(l, &meta), 0);
	}
}

/* What one record after the other, all in memory, comes to. */
struct expected {
	struct bill_table table;
	const struct ledger_query *query;
};

static bool within(const struct ledger_query *q, int64_t end)
{
	return end >= q->since_realtime_ns && (!q->until_realtime_ns || end < q->until_realtime_ns);
}

static struct bill_table expect(const struct policies *set, const struct ledger_query *q,
				int64_t bucket_minutes, uint64_t first, uint64_t last)
{
	struct bill_table t;

	bill_table_init(&t, set, bucket_minutes);
	for (uint64_t s = first; s <= last; s++) {
		struct invocation_record record = bill_record(s);
		struct instance_record instance = bill_instance(s);

		if (q->function && strcmp(q->function, record.function) != 0)
			continue;
		if (within(q, record.end_realtime_ns))
			assert_int_equal(bill_table_add_record(&t, (uint32_t)(s % 7), &record), 0);
		if (s % 13 == 0 && within(q, instance.end_realtime_ns))
			assert_int_equal(bill_table_add_close(&t, (uint32_t)(s % 7), &instance), 0);
	}
	bill_table_sort(&t);
	return t;
}

struct checking {
	const struct bill_table *expected;
	const bool *needed;
	size_t at;
	uint64_t recomputed, invocations, summed;
};

static int check_groups(void *user, const struct ledger_sum *sum, int64_t bucket,
			const struct bill_group *groups, size_t count)
{
	struct checking *c = user;
	const struct bill_table *t = c->expected;

	assert_int_equal(sum->function[1] - '0', t->owners[c->at].function);
	c->summed += sum->count;
	for (size_t i = 0; i < count; i++, c->at++) {
		const struct bill_group *g = &t->groups[c->at];

		assert_true(c->at < t->count);
		assert_int_equal(t->owners[c->at].bucket, bucket);
		assert_true(bill_key_equal(&groups[i].key, &g->key));
		assert_int_equal(groups[i].count, g->count);
		assert_int_equal(groups[i].first_ns, g->first_ns);
		assert_int_equal(groups[i].last_ns, g->last_ns);
		assert_memory_equal(groups[i].times, g->times, sizeof(g->times));
		for (unsigned k = 0; k < t->set->rule_count; k++)
			if (c->needed[k])
				assert_int_equal(groups[i].billed[k], g->billed[k]);
		c->recomputed += groups[i].recomputed;
		c->invocations += g->count;
	}
	return 0;
}

/* The ledger's groups are the expected ones; how many of them came from rows of whole minutes. */
static uint64_t check(const char *directory, const struct policies *set, const char *policies,
		      const struct ledger_query *q, int64_t bucket_minutes, uint64_t last)
{
	struct bill_table expected = expect(set, q, bucket_minutes, 1, last);
	char error[POLICY_ERROR_LEN];
	struct compare_choice choice;
	bool needed[POLICIES_MAX_RULES];
	struct checking c = { .expected = &expected, .needed = needed };
	struct ledger_reader *reader;

	assert_int_equal(compare_choose(set, policies, &choice, error), 0);
	bills_needed(set, &choice, needed);
	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	assert_int_equal(
		ledger_read_bills(reader, q, set, &choice, bucket_minutes, check_groups, &c), 0);
	assert_int_equal(c.at, expected.count);
	if (!bucket_minutes)
		assert_true(c.invocations > 0);
	ledger_reader_close(&reader);
	bill_table_free(&expected);
	return c.recomputed;
}

static void test_bills_are_the_sum_of_the_rows(void **state)
{
	struct ledger_query all = { 0 }, part = { .since_realtime_ns = T0 + 90 * SECOND + 1,
						  .until_realtime_ns = T0 + 400 * SECOND };
	struct ledger_query one = { .function = "f3" }, none = { .since_realtime_ns = T0 - 1 };
	struct ledger *l = open_ledger(*state, NULL);

	fill(l, T0, 1, 1000);
	fill(l, T0 + 3600 * SECOND, 1001, 1500); /* another segment */
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 0, 1500), 0);
	assert_int_equal(check(*state, policies_embedded(), NULL, &all, 0, 1500), 0);
	assert_int_equal(check(*state, policies_embedded(), "all", &part, 0, 1500), 0);
	assert_int_equal(check(*state, policies_embedded(), "all", &one, 0, 1500), 0);
	assert_int_equal(check(*state, policies_embedded(), "all", &none, 0, 1500), 0);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 1, 1500), 0);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 60, 1500), 0);
	ledger_close(&l);
}

/* A rule that nobody rolled up: the same from the rows, and said. */
static void test_bills_of_a_new_rule(void **state)
{
	struct ledger_query all = { 0 };
	struct ledger *l = open_ledger(*state, NULL);
	char error[POLICY_ERROR_LEN];
	struct policies *set;

	fill(l, T0, 1, 500);
	assert_int_equal(policies_parse("acme.json", acme, strlen(acme), NULL, &set, error), 0);
	assert_int_equal(check(*state, set, "acme", &all, 0, 500), 500);
	assert_int_equal(check(*state, set, "aws-lambda", &all, 0, 500), 0);
	ledger_close(&l);
	policies_free(&set);
}

/* The agent starts anew with another file: both sets are in the segment, each is used. */
static void test_bills_after_a_change_of_policies(void **state)
{
	struct ledger_query all = { 0 };
	struct ledger_config config = { .directory = *state };
	char error[POLICY_ERROR_LEN];
	struct policies *set;
	struct ledger *l;
	bool set_aside;

	assert_int_equal(policies_parse("acme.json", acme, strlen(acme), NULL, &set, error), 0);
	l = open_ledger(*state, NULL);
	fill(l, T0, 1, 300);
	ledger_close(&l);
	config.policies = set;
	assert_int_equal(ledger_open(&config, &l, &set_aside), 0);
	fill(l, T0, 301, 600);
	ledger_close(&l);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 0, 600), 0);
	assert_int_equal(check(*state, set, "aws-lambda,huawei", &all, 0, 600), 0);
	/* half of the segment does not know it: all of it comes from rows */
	assert_int_equal(check(*state, set, "acme", &all, 0, 600), 600);
	policies_free(&set);
}

/* A segment from before there were bills, and one that was migrated in mid-hour. */
static void test_bills_of_an_older_segment(void **state)
{
	struct ledger_query all = { 0 };
	char path[PATH_MAX];
	struct ledger *l = open_ledger(*state, NULL);
	sqlite3 *db;

	fill(l, T0, 1, 200);
	ledger_close(&l);
	snprintf(path, sizeof(path), "%s/ledger-20260131T12.db", (char *)*state);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(
			db,
			"DROP TABLE bills;DROP TABLE rule_sets;DROP TABLE chain;DROP TABLE doubts;"
			"ALTER TABLE invocations DROP COLUMN seal;"
			"ALTER TABLE instances DROP COLUMN seal;"
			"PRAGMA user_version=2",
			NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 0, 200), 200);
	l = open_ledger(*state, NULL);
	fill(l, T0, 201, 300);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 0, 300), 300);
	fill(l, T0 + 3600 * SECOND, 301, 500);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 0, 500), 300);
	ledger_close(&l);
}

/* More keys in one transaction than the table in memory has room for; and a rollback. */
static void test_bills_of_many_keys(void **state)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = 3000 };
	struct ledger_query all = { 0 };
	struct ledger *l = open_ledger(*state, NULL);
	bool snapshot;

	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	for (uint64_t s = 1; s <= 3000; s++) {
		struct invocation_record record = bill_record(s);

		assert_int_equal(ledger_put_invocation(l, &record), 0);
	}
	ledger_rollback(l);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	for (uint64_t s = 1; s <= 3000; s++) {
		struct invocation_record record = bill_record(s);
		struct instance_record instance = bill_instance(s);

		assert_int_equal(ledger_put_invocation(l, &record), 0);
		if (s % 13 == 0)
			assert_int_equal(ledger_put_instance(l, &instance), 0);
	}
	assert_int_equal(ledger_commit(l, &meta), 0);
	assert_int_equal(check(*state, policies_embedded(), "all", &all, 0, 3000), 0);
	ledger_close(&l);
}

static int64_t number(const json_t *o, const char *name)
{
	assert_true(json_is_integer(json_object_get(o, name)));
	return json_integer_value(json_object_get(o, name));
}

static int check_line(void *user, const char *line, size_t length)
{
	static const char *const parts[] = { "waiting", "init", "after_response", "between",
					     "rounding" };
	json_t *o = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL), *p;
	unsigned *lines = user;
	size_t i;

	assert_non_null(o);
	assert_int_equal(number(o, "recomputed"), 0);
	/* asked an hour after the epoch of the test, without a beginning: since the first start */
	assert_true(number(o, "observed_ns") > 3590 * SECOND &&
		    number(o, "observed_ns") < 3600 * SECOND);
	json_array_foreach(json_object_get(o, "policies"), i, p)
	{
		json_t *waste = json_object_get(p, "waste");
		int64_t ns = 0, e12 = number(waste, "memory_e12");

		for (size_t k = 0; k < 5; k++) {
			char name[32];

			snprintf(name, sizeof(name), "%s_ns", parts[k]);
			ns += number(waste, name);
			snprintf(name, sizeof(name), "%s_e12", parts[k]);
			e12 += number(waste, name);
		}
		assert_int_equal(ns, number(p, "billed_ns") - number(o, "cpu_ns"));
		assert_int_equal(e12, number(waste, "total_e12"));
		e12 += number(p, "used_e12");
		if (!json_is_null(json_object_get(p, "request_e12")))
			e12 += number(p, "request_e12");
		assert_int_equal(e12, number(p, "cost_e12"));
		assert_int_equal(number(p, "cost_per_million_e12"),
				 bill_scale(number(p, "cost_e12"), 1000000, number(o, "count")));
	}
	assert_int_equal(i, policies_embedded()->count);
	/* the bill that was stored with the records is the one that is computed */
	p = json_array_get(json_object_get(o, "policies"), 0);
	assert_string_equal(json_string_value(json_object_get(p, "policy")), "aws-lambda");
	assert_int_equal(
		number(p, "billed_ns"),
		number(json_object_get(json_object_get(o, "billed"), "aws-lambda"), "billed_ns"));
	json_decref(o);
	(*lines)++;
	return 0;
}

static void test_bills_as_lines(void **state)
{
	struct comparison c = { .set = policies_embedded(), .now_realtime_ns = T0 + 3600 * SECOND };
	char error[POLICY_ERROR_LEN];
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_reader *reader;
	unsigned lines = 0;

	fill(l, T0, 1, 700);
	assert_int_equal(compare_choose(c.set, "all", &c.choice, error), 0);
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_compare(reader, &c, check_line, &lines), 0);
	assert_int_equal(lines, 7);
	ledger_reader_close(&reader);
	ledger_close(&l);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		EACH(test_bills_are_the_sum_of_the_rows),
		EACH(test_bills_of_a_new_rule),
		EACH(test_bills_after_a_change_of_policies),
		EACH(test_bills_of_an_older_segment),
		EACH(test_bills_of_many_keys),
		EACH(test_bills_as_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
