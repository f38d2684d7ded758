// SPDX-License-Identifier: GPL-2.0
/*
 * Sums per function, and what policies bill for them. Whole minutes come from the roll-ups, the
 * rest of a range from its rows; a query by id or for the last N is summed from rows alone.
 * Functions are visited by name. Both kinds of sums are read in one transaction of a segment: they
 * are of the same records.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ledger/bills.h"
#include "ledger/doubts.h"
#include "ledger/internal.h"

struct sum_entry {
	char function[ONCPU_NAME_LEN];
	uint32_t number; /* of the function in the table of bills */
	int64_t values[TALLY_COLUMNS];
	struct record_billed billed[RECORD_MAX_BILLED];
	uint32_t billed_count;
};

struct sums {
	struct sum_entry *entries;
	size_t count, room;
	uint32_t *slots; /* hash by function: index + 1 into entries, 0 = free */
	size_t slot_count;

	struct bill_table *bills; /* NULL = sums alone */
	bool needed[POLICIES_MAX_RULES];
};

static void sums_free(struct sums *sums)
{
	free(sums->entries);
	free(sums->slots);
}

static size_t slot_of(const struct sums *sums, const char *function)
{
	uint32_t hash = 2166136261u;
	size_t at;

	for (const char *c = function; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (at = hash % sums->slot_count; sums->slots[at]; at = (at + 1) % sums->slot_count)
		if (strcmp(sums->entries[sums->slots[at] - 1].function, function) == 0)
			break;
	return at;
}

static int grow(struct sums *sums)
{
	size_t room = sums->room ? 2 * sums->room : 64;
	void *entries = reallocarray(sums->entries, room, sizeof(*sums->entries));
	uint32_t *slots;

	if (!entries)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	sums->entries = entries;
	sums->room = room;
	slots = calloc(2 * room, sizeof(*slots));
	if (!slots)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	free(sums->slots);
	sums->slots = slots;
	sums->slot_count = 2 * room;
	for (size_t i = 0; i < sums->count; i++)
		slots[slot_of(sums, sums->entries[i].function)] = (uint32_t)i + 1;
	return 0;
}

static int find(struct sums *sums, const char *function, struct sum_entry **ret_entry)
{
	size_t slot;
	int r;

	if (sums->count == sums->room) {
		r = grow(sums);
		if (r < 0)
			return r;
	}
	slot = slot_of(sums, function);
	if (!sums->slots[slot]) {
		struct sum_entry *entry = &sums->entries[sums->count++];

		memset(entry, 0, sizeof(*entry));
		snprintf(entry->function, sizeof(entry->function), "%s", function);
		entry->number = (uint32_t)sums->count - 1;
		sums->slots[slot] = (uint32_t)sums->count;
	}
	*ret_entry = &sums->entries[sums->slots[slot] - 1];
	return 0;
}

/* A version of its own keeps its own sum while there is room, then goes to its policy's. */
static void add_billed(struct sum_entry *entry, const char *policy, uint32_t version,
		       int64_t billed_ns)
{
	struct record_billed *into = NULL;

	for (uint32_t i = 0; i < entry->billed_count; i++) {
		struct record_billed *billed = &entry->billed[i];

		if (strcmp(billed->policy, policy) != 0)
			continue;
		if (!into || billed->version == version)
			into = billed;
	}
	if ((!into || into->version != version) && entry->billed_count < RECORD_MAX_BILLED) {
		into = &entry->billed[entry->billed_count++];
		snprintf(into->policy, sizeof(into->policy), "%s", policy);
		into->version = version;
		into->billed_ns = 0;
	}
	if (into)
		into->billed_ns = tally_add(into->billed_ns, billed_ns);
}

static int number_of(void *user, const char *function, uint32_t *ret_number)
{
	struct sum_entry *entry;
	int r = find(user, function, &entry);

	if (r == 0)
		*ret_number = entry->number;
	return r;
}

static int add_instance(void *user, const struct instance_record *record)
{
	struct sums *sums = user;
	struct sum_entry *entry;
	int r = find(sums, record->function, &entry);

	if (r == 0)
		r = bill_table_add_close(sums->bills, entry->number, record);
	return r;
}

static int add_record(void *user, const struct invocation_record *record)
{
	struct sums *sums = user;
	int64_t values[TALLY_COLUMNS];
	struct sum_entry *entry;
	int r = find(sums, record->function, &entry);

	if (r < 0)
		return r;
	tally_of_record(record, values);
	tally_merge(entry->values, values);
	for (uint32_t i = 0; i < record->billed_count; i++)
		add_billed(entry, record->billed[i].policy, record->billed[i].version,
			   record->billed[i].billed_ns);
	return sums->bills ? bill_table_add_record(sums->bills, entry->number, record) : 0;
}

static int sums_statement(struct sums *sums, sqlite3_stmt *st)
{
	int rc, r = 0;

	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const unsigned char *function = sqlite3_column_text(st, 0);
		int64_t values[TALLY_COLUMNS];
		struct sum_entry *entry;

		r = find(sums, function ? (const char *)function : "", &entry);
		for (int i = 0; i < TALLY_COLUMNS; i++)
			values[i] = sqlite3_column_int64(st, i + 1);
		if (r == 0)
			tally_merge(entry->values, values);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = ledger_fail_db(sqlite3_db_handle(st), rc, "cannot read", NULL);
	return r;
}

static int billed_statement(struct sums *sums, sqlite3_stmt *st)
{
	int rc, r = 0;

	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const unsigned char *function = sqlite3_column_text(st, 0);
		const unsigned char *policy = sqlite3_column_text(st, 1);
		struct sum_entry *entry;

		r = find(sums, function ? (const char *)function : "", &entry);
		if (r == 0)
			add_billed(entry, policy ? (const char *)policy : "",
				   (uint32_t)sqlite3_column_int64(st, 2),
				   sqlite3_column_int64(st, 3));
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = ledger_fail_db(sqlite3_db_handle(st), rc, "cannot read", NULL);
	return r;
}

/* Minutes [from, to) of one table of one segment; function -1 = all. */
static int run_range(sqlite3 *db, const char *select, int64_t from, int64_t to, int64_t function,
		     int (*take)(struct sums *sums, sqlite3_stmt *st), struct sums *sums)
{
	sqlite3_stmt *st = NULL;
	char sql[1024];
	int r;

	snprintf(sql, sizeof(sql), "%s WHERE minute>=?1 AND minute<?2%s", select,
		 function >= 0 ? " AND r.function=?3" : "");
	r = database_prepare(db, sql, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, from);
	sqlite3_bind_int64(st, 2, to);
	if (function >= 0)
		sqlite3_bind_int64(st, 3, function);
	r = take(sums, st);
	sqlite3_finalize(st);
	return r;
}

#define FUNCTION_NAME "(SELECT text FROM texts WHERE text_key=r.function)"

/* Of the roll-up, what was flagged later is not known. */
static int add_flagged(void *user, const char *function, int64_t count)
{
	struct sum_entry *entry;
	int r = find(user, function, &entry);

	if (r == 0)
		entry->values[TALLY_FLAGGED] = tally_add(entry->values[TALLY_FLAGGED], count);
	return r;
}

/* All tables in one snapshot. */
static int sum_segment(struct ledger_reader *reader, struct doubts *doubts, sqlite3 *db,
		       const char *function, int64_t from, int64_t to, struct sums *sums)
{
	char select[768] = "SELECT " FUNCTION_NAME;
	size_t used = strlen(select);
	int64_t key = -1;
	int r = database_exec(db, "BEGIN");

	for (int i = 0; i < TALLY_COLUMNS; i++)
		used += (size_t)snprintf(select + used, sizeof(select) - used, ",%s",
					 tally_names[i]);
	snprintf(select + used, sizeof(select) - used, " FROM rollup AS r");
	if (r == 0 && function) {
		r = read_function_key(db, function, &key);
		if (r < 0 || key < 0)
			return r;
	}
	if (r == 0)
		r = run_range(db, select, from, to, key, sums_statement, sums);
	if (r == 0)
		r = run_range(db,
			      "SELECT " FUNCTION_NAME
			      ",p.name,p.version,billed_ns FROM rollup_billed AS r "
			      "CROSS JOIN policies AS p ON p.policy_key=r.policy",
			      from, to, key, billed_statement, sums);
	if (r == 0)
		r = doubts_count(doubts, reader, db, from, to, key, add_flagged, sums);
	if (r == 0 && sums->bills)
		r = bills_read_segment(db, key, from, to, sums->needed, sums->bills, number_of,
				       sums);
	return r;
}

static int sum_minutes(struct ledger_reader *reader, const char *function, int64_t from, int64_t to,
		       struct sums *sums)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct doubts doubts = { 0 };
	size_t count = 0;
	int r = segment_list(reader->directory, false, &files, &count);

	for (size_t i = 0; i < count && r == 0; i++) {
		char path[PATH_MAX];
		sqlite3 *db = NULL;

		r = path_join(path, sizeof(path), reader->directory, files[i].file);
		if (r == 0)
			r = database_open_read(path, &db);
		if (r == 0 && db)
			r = sum_segment(reader, &doubts, db, function, from, to, sums);
		sqlite3_close(db);
		r = reader_pass_over(reader, files[i].file, r);
	}
	doubts_close(&doubts);
	return r;
}

static int sum_rows(struct ledger_reader *reader, const struct ledger_query *query, int64_t since,
		    int64_t until, struct sums *sums)
{
	struct ledger_query part = *query;

	int r;

	part.since_realtime_ns = since;
	part.until_realtime_ns = until;
	r = ledger_read_invocations(reader, &part, add_record, sums);
	/* instances that ended: not for a choice of invocations */
	if (r == 0 && sums->bills && !part.id && !part.last)
		r = ledger_read_instances(reader, &part, add_instance, sums);
	return r;
}

/* [since, until) = rows up to the first whole minute, whole minutes, rows after the last one. */
static int sum_range(struct ledger_reader *reader, const struct ledger_query *query,
		     struct sums *sums)
{
	int64_t since = query->since_realtime_ns, until = query->until_realtime_ns;
	int64_t from = since ? since / NS_PER_MINUTE + (since % NS_PER_MINUTE > 0) : INT64_MIN;
	int64_t to = until ? until / NS_PER_MINUTE : INT64_MAX;
	int r = 0;

	if (query->id || query->last || since < 0 || until < 0 || from >= to)
		return sum_rows(reader, query, since, until, sums);
	if (since && since % NS_PER_MINUTE)
		r = sum_rows(reader, query, since, from * NS_PER_MINUTE, sums);
	if (r == 0)
		r = sum_minutes(reader, query->function, from, to, sums);
	if (r == 0 && until && until % NS_PER_MINUTE)
		r = sum_rows(reader, query, to * NS_PER_MINUTE, until, sums);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	const struct sum_entry *left = a, *right = b;

	return strcmp(left->function, right->function);
}

static void fill_sum(const struct sum_entry *entry, struct ledger_sum *ret_sum)
{
	const int64_t *v = entry->values;

	*ret_sum = (struct ledger_sum){
		.count = (uint64_t)v[TALLY_COUNT],
		.cold_starts = (uint64_t)v[TALLY_COLD_STARTS],
		.errors = (uint64_t)v[TALLY_ERRORS],
		.timeouts = (uint64_t)v[TALLY_TIMEOUTS],
		.crashed = (uint64_t)v[TALLY_CRASHED],
		.flagged = (uint64_t)v[TALLY_FLAGGED],
		.wall_ns = v[TALLY_WALL],
		.cpu_ns = v[TALLY_CPU],
		.init_wall_ns = v[TALLY_INIT_WALL],
		.init_cpu_ns = v[TALLY_INIT_CPU],
		.after_response_cpu_ns = v[TALLY_AFTER_CPU],
		.between_cpu_ns = v[TALLY_BETWEEN_CPU],
		.run_queue_ns = v[TALLY_RUN_QUEUE],
		.max_error_bound_ns = v[TALLY_MAX_BOUND],
		.billed_count = entry->billed_count,
	};
	memcpy(ret_sum->function, entry->function, sizeof(ret_sum->function));
	memcpy(ret_sum->billed, entry->billed, sizeof(ret_sum->billed));
}

int ledger_read_sums(struct ledger_reader *r, const struct ledger_query *query, ledger_sum_fn visit,
		     void *user)
{
	_cleanup_(sums_free) struct sums sums = { 0 };
	int result = sum_range(r, query, &sums);

	if (result < 0)
		return ledger_edge(result);
	if (sums.count)
		qsort(sums.entries, sums.count, sizeof(*sums.entries), compare_names);
	for (size_t i = 0; i < sums.count && result == 0; i++) {
		struct ledger_sum sum;

		fill_sum(&sums.entries[i], &sum);
		result = visit(user, &sum);
	}
	return result;
}

static int visit_bills(const struct sums *sums, const struct sum_entry *entry, const size_t *begins,
		       ledger_bill_fn visit, void *user)
{
	const struct bill_table *t = sums->bills;
	struct ledger_sum sum;
	int result = 0;

	fill_sum(entry, &sum);
	for (size_t at = begins[entry->number]; result == 0 && at < t->count;) {
		size_t run = bill_table_run(t, at);

		if (t->owners[at].function != entry->number)
			break;
		result = visit(user, &sum, t->owners[at].bucket, &t->groups[at], run);
		at += run;
	}
	return result;
}

/* Where each function's groups begin in the sorted table. */
static size_t *find_begins(const struct sums *sums)
{
	size_t *begins = calloc(sums->count + 1, sizeof(*begins));

	for (size_t i = sums->bills->count; begins && i-- > 0;)
		begins[sums->bills->owners[i].function] = i;
	return begins;
}

int ledger_read_bills(struct ledger_reader *r, const struct ledger_query *query,
		      const struct policies *set, const struct compare_choice *choice,
		      int64_t bucket_minutes, ledger_bill_fn visit, void *user)
{
	_cleanup_(bill_table_free) struct bill_table table;
	_cleanup_(sums_free) struct sums sums = { .bills = &table };
	_cleanup_free_ size_t *begins = NULL;
	int result;

	bill_table_init(&table, set, bucket_minutes);
	bills_needed(set, choice, sums.needed);
	result = sum_range(r, query, &sums);
	if (result < 0)
		return ledger_edge(result);
	bill_table_sort(&table);
	begins = find_begins(&sums);
	if (!begins)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	if (sums.count)
		qsort(sums.entries, sums.count, sizeof(*sums.entries), compare_names);
	for (size_t i = 0; i < sums.count && result == 0; i++)
		result = visit_bills(&sums, &sums.entries[i], begins, visit, user);
	return result;
}
