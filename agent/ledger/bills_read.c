// SPDX-License-Identifier: GPL-2.0
/*
 * Reading the roll-up of billed times. A segment's part of a query comes from the roll-up if every
 * invocation in it was summed under all the rules that are asked for; otherwise (a rule that the
 * agent did not have then, or an older segment) all of it comes from its rows, and that is counted.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/bills.h"

void bills_needed(const struct policies *set, const struct compare_choice *choice,
		  bool ret_needed[POLICIES_MAX_RULES])
{
	memset(ret_needed, 0, POLICIES_MAX_RULES * sizeof(*ret_needed));
	for (unsigned i = 0; i < choice->count; i++) {
		const struct policy *p = &set->list[choice->shown[i]];

		ret_needed[p->time] = ret_needed[set->twins[p->time]] = true;
		ret_needed[p->memory_time] = ret_needed[set->twins[p->memory_time]] = true;
	}
}

/* ---- a segment ---- */

#define NAME_SLOTS 256u

/* What a segment's numbers mean to the caller. */
struct reading {
	sqlite3 *db;
	struct bill_table *table;
	const bool *needed; /* per rule of the table's set */
	bills_number_fn number;
	void *user;
	sqlite3_stmt *text;
	struct {
		bool used;
		int64_t key;
		uint32_t number;
	} names[NAME_SLOTS]; /* a cache */
	int64_t function, from, to;
};

static int fail_step(sqlite3 *db, int rc)
{
	return ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
}

static int oom(int error)
{
	return error ? ledger_fail(error, "ledger: out of memory") : 0;
}

static int number_of(struct reading *r, int64_t key, uint32_t *ret_number)
{
	unsigned slot = (unsigned)((uint64_t)key % NAME_SLOTS);
	const unsigned char *text;
	int rc, error = 0;

	if (r->names[slot].used && r->names[slot].key == key) {
		*ret_number = r->names[slot].number;
		return 0;
	}
	if (!r->text)
		error = database_prepare(r->db, "SELECT text FROM texts WHERE text_key=?1",
					 &r->text);
	if (error < 0)
		return error;
	sqlite3_bind_int64(r->text, 1, key);
	rc = sqlite3_step(r->text);
	text = rc == SQLITE_ROW ? sqlite3_column_text(r->text, 0) : NULL;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		error = fail_step(r->db, rc);
	else
		error = r->number(r->user, text ? (const char *)text : "", ret_number);
	sqlite3_reset(r->text);
	if (error == 0) {
		r->names[slot].used = true;
		r->names[slot].key = key;
		r->names[slot].number = *ret_number;
	}
	return error;
}

/* Per rule of the reader's set the column of a stored one, -1 = it has none. */
struct mapping {
	int64_t key;
	bool usable; /* it has all that are needed */
	int8_t column[POLICIES_MAX_RULES];
};
#define MAPPINGS_MAX 16

static void map_rules(const struct reading *r, const char *stored, struct mapping *m)
{
	m->usable = true;
	for (unsigned i = 0; i < r->table->set->rule_count; i++) {
		char text[BILL_RULE_TEXT_LEN];
		int column = 0;

		m->column[i] = -1;
		if (!r->needed[i])
			continue;
		bill_rule_text(&r->table->set->rules[i], text, sizeof(text));
		for (const char *at = stored; *at && column < BILLS_RULES; column++) {
			size_t n = strcspn(at, "\n");

			if (strlen(text) == n && memcmp(text, at, n) == 0)
				m->column[i] = (int8_t)column;
			at += n + (at[n] == '\n');
		}
		m->usable &= m->column[i] >= 0;
	}
}

static int load_mappings(const struct reading *r, struct mapping mappings[MAPPINGS_MAX],
			 unsigned *ret_count)
{
	sqlite3_stmt *st = NULL;
	unsigned count = 0;
	int error =
		database_prepare(r->db, "SELECT set_key,rules FROM rule_sets ORDER BY 1 DESC", &st);
	int rc = SQLITE_DONE;

	while (error == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW && count < MAPPINGS_MAX) {
		const unsigned char *text = sqlite3_column_text(st, 1);

		mappings[count].key = sqlite3_column_int64(st, 0);
		map_rules(r, text ? (const char *)text : "", &mappings[count++]);
	}
	if (error == 0 && rc != SQLITE_DONE && rc != SQLITE_ROW)
		error = fail_step(r->db, rc);
	sqlite3_finalize(st);
	if (error == 0)
		*ret_count = count;
	return error;
}

static const struct mapping *mapping_of(const struct mapping *mappings, unsigned count, int64_t key)
{
	for (unsigned i = 0; i < count; i++)
		if (mappings[i].key == key && mappings[i].usable)
			return &mappings[i];
	return NULL;
}

static int prepare_range(const struct reading *r, const char *select, bool minutes,
			 const char *tail, sqlite3_stmt **ret_st)
{
	char sql[2048];
	int64_t unit = minutes ? 1 : NS_PER_MINUTE;
	int error;

	snprintf(sql, sizeof(sql), "%s WHERE %s>=?1 AND %s<?2%s%s", select,
		 minutes ? "minute" : "end_realtime_ns", minutes ? "minute" : "end_realtime_ns",
		 r->function >= 0 ? " AND function=?3" : "", tail);
	error = database_prepare(r->db, sql, ret_st);
	if (error < 0)
		return error;
	sqlite3_bind_int64(*ret_st, 1, r->from > INT64_MIN / unit ? r->from * unit : INT64_MIN);
	sqlite3_bind_int64(*ret_st, 2, r->to < INT64_MAX / unit ? r->to * unit : INT64_MAX);
	if (r->function >= 0)
		sqlite3_bind_int64(*ret_st, 3, r->function);
	return 0;
}

/* Invocations of the range: in all, and in the roll-up under rules that can be used. */
static int count_covered(const struct reading *r, const struct mapping *mappings, unsigned count,
			 int64_t *ret_all, int64_t *ret_covered)
{
	sqlite3_stmt *st = NULL;
	int64_t all = 0, covered = 0;
	int error = prepare_range(r, "SELECT coalesce(sum(count),0) FROM rollup", true, "", &st);
	int rc = SQLITE_DONE;

	if (error == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		all = sqlite3_column_int64(st, 0);
	else if (error == 0)
		error = fail_step(r->db, rc);
	sqlite3_finalize(st);
	st = NULL;
	if (error == 0 && count) {
		error = prepare_range(r, "SELECT rule_set,sum(count) FROM bills", true,
				      " GROUP BY rule_set", &st);
		while (error == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
			if (mapping_of(mappings, count, sqlite3_column_int64(st, 0)))
				covered += sqlite3_column_int64(st, 1);
		if (error == 0 && rc != SQLITE_DONE)
			error = fail_step(r->db, rc);
		sqlite3_finalize(st);
	}
	if (error == 0) {
		*ret_all = all;
		*ret_covered = covered;
	}
	return error;
}

#define FIXED 9

static int add_row(struct reading *r, sqlite3_stmt *st, const struct mapping *m)
{
	struct bill_key key = { .memory_mb = sqlite3_column_int64(st, 3),
				.used_mb = sqlite3_column_int64(st, 4),
				.vcpu_milli = sqlite3_column_int64(st, 5) };
	struct bill_group *group, row;
	uint32_t number;
	int error = number_of(r, sqlite3_column_int64(st, 1), &number);

	if (error == 0)
		error = oom(bill_table_find(
			r->table, number, bill_table_bucket(r->table, sqlite3_column_int64(st, 0)),
			&key, &group));
	if (error < 0)
		return error;
	row.recomputed = 0;
	row.count = (uint64_t)sqlite3_column_int64(st, 6);
	row.first_ns = sqlite3_column_int64(st, 7);
	row.last_ns = sqlite3_column_int64(st, 8);
	for (int i = 0; i < BILL_TIMES; i++)
		row.times[i] = sqlite3_column_int64(st, FIXED + i);
	for (unsigned i = 0; i < r->table->set->rule_count; i++)
		row.billed[i] =
			m->column[i] < 0
				? 0
				: sqlite3_column_int64(st, FIXED + BILL_TIMES + m->column[i]);
	bill_group_merge(group, &row, r->table->set->rule_count);
	return 0;
}

static int read_rollup(struct reading *r, const struct mapping *mappings, unsigned count)
{
	char select[1536] = "SELECT minute,function,rule_set,memory_mb,used_mb,vcpu_milli,count,"
			    "first_ns,last_ns";
	size_t used = strlen(select);
	sqlite3_stmt *st = NULL;
	int error, rc = SQLITE_DONE;

	for (int i = 0; i < BILL_TIMES; i++)
		used += (size_t)snprintf(select + used, sizeof(select) - used, ",%s",
					 bill_time_columns[i]);
	for (int i = 0; i < BILLS_RULES; i++)
		used += (size_t)snprintf(select + used, sizeof(select) - used, ",billed%d_ns", i);
	snprintf(select + used, sizeof(select) - used, " FROM bills");
	error = prepare_range(r, select, true, "", &st);
	while (error == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const struct mapping *m = mapping_of(mappings, count, sqlite3_column_int64(st, 2));

		if (m)
			error = add_row(r, st, m);
	}
	if (error == 0 && rc != SQLITE_DONE)
		error = fail_step(r->db, rc);
	sqlite3_finalize(st);
	return error;
}

/* ---- from rows ---- */

static void read_segments(sqlite3_stmt *st, int at, struct invocation_record *record)
{
	const void *bytes = sqlite3_column_blob(st, at);
	size_t count = (size_t)sqlite3_column_bytes(st, at) / sizeof(record->segments[0]);

	if (!bytes)
		return;
	record->segment_count = count < RECORD_MAX_SEGMENTS ? (uint32_t)count : RECORD_MAX_SEGMENTS;
	memcpy(record->segments, bytes, record->segment_count * sizeof(record->segments[0]));
}

static int add_to_table(struct reading *r, uint32_t number, const struct invocation_record *record)
{
	struct bill_key key = bill_key_of_record(record);
	struct bill_group *group;
	int error = oom(bill_table_find(
		r->table, number, bill_table_bucket(r->table, bill_minute(record->end_realtime_ns)),
		&key, &group));

	if (error == 0) {
		bill_group_add_record(group, r->table->set, record);
		group->recomputed++;
	}
	return error;
}

static int add_invocation(struct reading *r, sqlite3_stmt *st)
{
	struct invocation_record record;
	uint32_t number;
	int error = number_of(r, sqlite3_column_int64(st, 0), &number), at = 1;

	memset(&record, 0, offsetof(struct invocation_record, billed_count));
	record.segment_count = 0;
	read_segments(st, at++, &record);
	record.cold_start = sqlite3_column_int(st, at++) != 0;
	record.start_realtime_ns = sqlite3_column_int64(st, at++);
	record.end_realtime_ns = sqlite3_column_int64(st, at++);
	record.wall_ns = sqlite3_column_int64(st, at++);
	record.cpu_ns = sqlite3_column_int64(st, at++);
	record.init_wall_ns = sqlite3_column_int64(st, at++);
	record.init_cpu_ns = sqlite3_column_int64(st, at++);
	record.after_response_wall_ns = sqlite3_column_int64(st, at++);
	record.after_response_cpu_ns = sqlite3_column_int64(st, at++);
	record.between_wall_ns = sqlite3_column_int64(st, at++);
	record.between_cpu_ns = sqlite3_column_int64(st, at++);
	record.freeze_wall_ns = sqlite3_column_int64(st, at++);
	record.memory_mb = sqlite3_column_int64(st, at++);
	record.max_memory_bytes = sqlite3_column_int64(st, at++);
	record.quota_us = sqlite3_column_int64(st, at++);
	record.period_us = sqlite3_column_int64(st, at++);
	return error ? error : add_to_table(r, number, &record);
}

static int add_instance(struct reading *r, sqlite3_stmt *st)
{
	struct instance_record record = { .start_realtime_ns = sqlite3_column_int64(st, 1),
					  .end_realtime_ns = sqlite3_column_int64(st, 2),
					  .last_between_wall_ns = sqlite3_column_int64(st, 3) };
	uint32_t number;
	int error = number_of(r, sqlite3_column_int64(st, 0), &number);

	return error ? error : oom(bill_table_add_close(r->table, number, &record));
}

static int each_row(struct reading *r, const char *select,
		    int (*add)(struct reading *r, sqlite3_stmt *st))
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE, error = prepare_range(r, select, false, "", &st);

	while (error == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		error = add(r, st);
	if (error == 0 && rc != SQLITE_DONE)
		error = fail_step(r->db, rc);
	sqlite3_finalize(st);
	return error;
}

static int read_rows(struct reading *r)
{
	int error = each_row(r,
			     "SELECT function,segments,cold_start,start_realtime_ns,"
			     "end_realtime_ns,wall_ns,cpu_ns,init_wall_ns,init_cpu_ns,"
			     "after_response_wall_ns,after_response_cpu_ns,between_wall_ns,"
			     "between_cpu_ns,freeze_wall_ns,memory_mb,max_memory_bytes,quota_us,"
			     "period_us FROM invocations",
			     add_invocation);

	if (error == 0)
		error = each_row(r,
				 "SELECT function,start_realtime_ns,end_realtime_ns,"
				 "last_between_wall_ns FROM instances",
				 add_instance);
	return error;
}

int bills_read_segment(sqlite3 *db, int64_t function, int64_t from, int64_t to,
		       const bool needed[POLICIES_MAX_RULES], struct bill_table *table,
		       bills_number_fn number, void *user)
{
	struct reading r = { .db = db,
			     .table = table,
			     .needed = needed,
			     .number = number,
			     .user = user,
			     .function = function,
			     .from = from,
			     .to = to };
	struct mapping mappings[MAPPINGS_MAX];
	int64_t all = 0, covered = 0;
	unsigned count = 0;
	int version = 0, error = schema_version(db, &version);

	if (error == 0 && version >= BILLS_SCHEMA)
		error = load_mappings(&r, mappings, &count);
	if (error == 0)
		error = count_covered(&r, mappings, count, &all, &covered);
	if (error == 0 && count && covered == all)
		error = read_rollup(&r, mappings, count);
	else if (error == 0)
		error = read_rows(&r);
	sqlite3_finalize(r.text);
	return error;
}
