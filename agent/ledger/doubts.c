// SPDX-License-Identifier: GPL-2.0
/* See doubts.h. */
#include "ledger/doubts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define DOUBTS_SCHEMA 5 /* that has the table */

static int fail_step(sqlite3 *db, int rc)
{
	return ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
}

static int open_segment(const char *directory, const char *file, sqlite3 **ret_db, int *ret_version)
{
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	int r = path_join(path, sizeof(path), directory, file);

	if (r == 0)
		r = database_open_read(path, &db);
	if (r == 0 && db)
		r = schema_version(db, ret_version);
	if (r < 0) {
		sqlite3_close(db);
		db = NULL;
	}
	*ret_db = db;
	return r;
}

/* ---- writing ---- */

int doubts_bind(sqlite3_stmt *st, const struct ledger_doubt *d, int64_t hour)
{
	sqlite3_bind_text(st, 1, d->boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, d->instance, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (int64_t)d->after);
	sqlite3_bind_int64(st, 4, (int64_t)d->through);
	sqlite3_bind_int64(st, 5, hour);
	sqlite3_bind_int64(st, 6, d->difference_ns);
	return sqlite3_bind_text(st, 7, d->cause, -1, SQLITE_STATIC);
}

static int carry_row(sqlite3_stmt *from, sqlite3_stmt *carry)
{
	int rc = SQLITE_OK;

	for (int i = 0; i < 8 && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_value(carry, i + 1, sqlite3_column_value(from, i));
	if (rc == SQLITE_OK)
		rc = sqlite3_step(carry);
	sqlite3_reset(carry);
	return rc == SQLITE_DONE ? 0
				 : ledger_edge(ledger_fail_db(sqlite3_db_handle(carry), rc,
							      "cannot write the doubts in", NULL));
}

int doubts_carry(sqlite3_stmt *carry, const char *directory, const char *file, int64_t oldest_hour)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	int rc = SQLITE_DONE, version = 0, r = open_segment(directory, file, &db, &version);

	if (r == 0 && db && version >= DOUBTS_SCHEMA)
		r = database_prepare(db,
				     "SELECT boot_id,instance,after_sequence,through_sequence,hour,"
				     "difference_ns,cause,mismatches FROM doubts WHERE hour>=?1",
				     &st);
	if (r == 0 && st) {
		sqlite3_bind_int64(st, 1, oldest_hour);
		while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
			r = carry_row(st, carry);
		if (r == 0 && rc != SQLITE_DONE)
			r = fail_step(db, rc);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return r;
}

/* ---- reading ---- */

static int prepare_find(sqlite3 *db, sqlite3_stmt **ret_statement)
{
	return database_prepare(db,
				"SELECT through_sequence,difference_ns,cause FROM doubts WHERE "
				"boot_id=?1 AND instance=?2 AND after_sequence<?3 "
				"ORDER BY after_sequence DESC LIMIT 1",
				ret_statement);
}

/* *ret_complete: it had its first transaction, which took the doubts over. */
static int has_any(sqlite3 *db, bool *ret_complete, bool *ret_any)
{
	sqlite3_stmt *st = NULL;
	int rc, r = database_prepare(
			db, "SELECT EXISTS(SELECT 1 FROM meta),EXISTS(SELECT 1 FROM doubts)", &st);

	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*ret_complete = sqlite3_column_int(st, 0) != 0;
		*ret_any = sqlite3_column_int(st, 1) != 0;
	} else {
		r = fail_step(db, rc);
	}
	sqlite3_finalize(st);
	return r;
}

/* *ret_settled: this is the segment to ask, or there is nothing to ask. */
static int look_into(struct doubts *d, const char *directory, const char *file, bool *ret_settled)
{
	bool complete = false, any = false;
	int version = 0, r;
	sqlite3 *db;

	r = open_segment(directory, file, &db, &version);
	if (r < 0 || !db)
		return r;
	if (version >= DOUBTS_SCHEMA)
		r = has_any(db, &complete, &any);
	if (r == 0 && complete && any)
		r = prepare_find(db, &d->find);
	*ret_settled = r == 0 && (complete || version < DOUBTS_SCHEMA);
	if (!d->find) {
		sqlite3_close(db);
		return r;
	}
	d->db = db;
	snprintf(d->file, sizeof(d->file), "%s", file);
	return 0;
}

/* A damaged segment is told of, and the one before it is asked. */
static void look(struct doubts *d, struct ledger_reader *reader)
{
	_cleanup_free_ struct segment_file *files = NULL;
	bool settled = false;
	size_t count = 0;

	if (d->looked)
		return;
	d->looked = true;
	d->reader = reader;
	if (segment_list(reader->directory, false, &files, &count) < 0)
		return;
	while (!settled && count-- > 0) {
		int r = look_into(d, reader->directory, files[count].file, &settled);

		if (r < 0 && reader_pass_over(reader, files[count].file, r) < 0)
			return;
	}
}

/* It is known to be damaged from here on; the records are shown, with a warning. */
static void give_up(struct doubts *d, int error)
{
	reader_pass_over(d->reader, d->file, error);
	sqlite3_finalize(d->find);
	sqlite3_close(d->db);
	d->find = NULL;
	d->db = NULL;
}

void doubts_apply(struct doubts *d, struct ledger_reader *reader, struct invocation_record *record)
{
	const uint64_t flag = 1ull << RECORD_FLAG_AUDIT_MISMATCH;
	int rc;

	look(d, reader);
	if (!d->db || record->flags & flag)
		return;
	sqlite3_bind_text(d->find, 1, record->boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(d->find, 2, record->instance, -1, SQLITE_STATIC);
	sqlite3_bind_int64(d->find, 3, (int64_t)record->sequence);
	rc = sqlite3_step(d->find);
	if (rc == SQLITE_ROW && (uint64_t)sqlite3_column_int64(d->find, 0) >= record->sequence) {
		const unsigned char *cause = sqlite3_column_text(d->find, 2);

		record->flags |= flag;
		record->doubt.difference_ns = sqlite3_column_int64(d->find, 1);
		snprintf(record->doubt.cause, sizeof(record->doubt.cause), "%s",
			 cause && cause[0] ? (const char *)cause : "unknown");
	}
	sqlite3_reset(d->find);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		give_up(d, fail_step(d->db, rc));
}

void doubts_close(struct doubts *d)
{
	sqlite3_finalize(d->find);
	sqlite3_close(d->db);
	*d = (struct doubts){ 0 };
}

/* ---- counting, for sums that come from the roll-up ---- */

struct counting {
	sqlite3_stmt *stretches; /* of the doubts' segment */
	sqlite3_stmt *records;	 /* of the one that is counted in */
	int (*visit)(void *user, const char *function, int64_t count);
	void *user;
};

static int visit_counts(struct counting *c)
{
	int rc, r = 0;

	while (r == 0 && (rc = sqlite3_step(c->records)) == SQLITE_ROW) {
		const unsigned char *function = sqlite3_column_text(c->records, 0);

		r = c->visit(c->user, function ? (const char *)function : "",
			     sqlite3_column_int64(c->records, 1));
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail_step(sqlite3_db_handle(c->records), rc);
	sqlite3_reset(c->records);
	return r;
}

/* One boot of the segment: its records have the keys first … last. */
static int count_boot(struct counting *c, const char *boot_id, int64_t first, int64_t last)
{
	const int64_t base = first >> SEQUENCE_BITS << SEQUENCE_BITS;
	int rc, r = 0;

	sqlite3_bind_text(c->stretches, 1, boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(c->stretches, 2, first - base);
	sqlite3_bind_int64(c->stretches, 3, last - base);
	while (r == 0 && (rc = sqlite3_step(c->stretches)) == SQLITE_ROW) {
		sqlite3_bind_int64(c->records, 1, base + sqlite3_column_int64(c->stretches, 1));
		sqlite3_bind_int64(c->records, 2, base + sqlite3_column_int64(c->stretches, 2));
		sqlite3_bind_value(c->records, 3, sqlite3_column_value(c->stretches, 0));
		r = visit_counts(c);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail_step(sqlite3_db_handle(c->stretches), rc);
	sqlite3_reset(c->stretches);
	return r;
}

static int64_t minute_begin(int64_t minute)
{
	return minute >= INT64_MAX / NS_PER_MINUTE   ? INT64_MAX
	       : minute <= INT64_MIN / NS_PER_MINUTE ? INT64_MIN
						     : minute * NS_PER_MINUTE;
}

static int count_boots(struct counting *c, sqlite3 *db)
{
	sqlite3_stmt *boots = NULL;
	int rc = SQLITE_DONE,
	    r = database_prepare(db,
				 "SELECT boot_id,(SELECT min(record_key) FROM invocations WHERE "
				 "record_key>=boot_key<<40 AND record_key<(boot_key+1)<<40),"
				 "(SELECT max(record_key) FROM invocations WHERE "
				 "record_key>=boot_key<<40 AND record_key<(boot_key+1)<<40) "
				 "FROM boots",
				 &boots);

	while (r == 0 && (rc = sqlite3_step(boots)) == SQLITE_ROW) {
		if (sqlite3_column_type(boots, 1) != SQLITE_NULL)
			r = count_boot(c, (const char *)sqlite3_column_text(boots, 0),
				       sqlite3_column_int64(boots, 1),
				       sqlite3_column_int64(boots, 2));
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail_step(db, rc);
	sqlite3_finalize(boots);
	return r;
}

int doubts_count(struct doubts *d, struct ledger_reader *reader, sqlite3 *db, int64_t from,
		 int64_t to, int64_t function,
		 int (*visit)(void *user, const char *function, int64_t count), void *user)
{
	struct counting c = { .visit = visit, .user = user };
	char sql[512];
	int r;

	look(d, reader);
	if (!d->db)
		return 0;
	r = database_prepare(d->db,
			     "SELECT instance,after_sequence,through_sequence FROM doubts WHERE "
			     "boot_id=?1 AND through_sequence>=?2 AND after_sequence<?3",
			     &c.stretches);
	if (r < 0) {
		give_up(d, r);
		return 0;
	}
	snprintf(sql, sizeof(sql),
		 "SELECT (SELECT text FROM texts WHERE text_key=r.function),count(*) FROM "
		 "invocations AS r WHERE record_key>?1 AND record_key<=?2 AND instance=(SELECT "
		 "text_key FROM texts WHERE text=?3) AND flags=0 AND end_realtime_ns>=?4 AND "
		 "end_realtime_ns<?5%s GROUP BY function",
		 function >= 0 ? " AND function=?6" : "");
	r = database_prepare(db, sql, &c.records);
	if (r == 0) {
		sqlite3_bind_int64(c.records, 4, minute_begin(from));
		sqlite3_bind_int64(c.records, 5, minute_begin(to));
		if (function >= 0)
			sqlite3_bind_int64(c.records, 6, function);
		r = count_boots(&c, db);
	}
	sqlite3_finalize(c.stretches);
	sqlite3_finalize(c.records);
	return r;
}
