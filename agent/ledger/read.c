// SPDX-License-Identifier: GPL-2.0
/*
 * Reading records, segment after segment, one connection at a time, nothing kept in memory.
 *
 * `last` N takes two passes: newest segment first, count matching rows up to N and remember where
 * each segment's part begins; then oldest first, stream the parts. The roll-up says which minutes
 * and record keys a segment has, so a time range reads only its own part of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ledger/internal.h"
#include "ledger/scan.h"

#define FEW 256 /* records that are kept in memory: half a MiB */

int ledger_reader_open(const char *directory, struct ledger_reader **ret_reader)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger_reader *reader;
	char lock[PATH_MAX];
	size_t count = 0;
	int r = path_join(lock, sizeof(lock), directory, "ledger.lock");

	if (r == 0 && access(lock, F_OK) == 0)
		count = 1; /* of a ledger that has records or will have */
	else if (r == 0)
		r = segment_list(directory, false, &files, &count);
	if (r < 0)
		return r;
	if (count == 0)
		return ledger_fail(-ENOENT, "ledger: there is no ledger in %s", directory);
	reader = calloc(1, sizeof(*reader));
	if (reader)
		reader->directory = strdup(directory);
	if (!reader || !reader->directory) {
		free(reader);
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	}
	*ret_reader = reader;
	return 0;
}

void ledger_reader_share(struct ledger_reader *reader, struct ledger_contents *contents)
{
	reader->contents = contents;
	reader->budget = CONTENTS_BUDGET;
}

void ledger_reader_close(struct ledger_reader **reader)
{
	if (!*reader)
		return;
	free((*reader)->directory);
	free(*reader);
	*reader = NULL;
}

static bool met_before(const struct ledger_reader *reader, const char *file)
{
	for (unsigned i = 0; i < reader->damaged_count && i < 8; i++)
		if (strcmp(reader->damaged[i], file) == 0)
			return true;
	return false;
}

int reader_pass_over(struct ledger_reader *reader, const char *file, int error)
{
	unsigned count = reader->damaged_count;

	if (error != -EUCLEAN && error != -EIO)
		return error;
	if (met_before(reader, file))
		return 0;
	if (count == 0)
		snprintf(reader->cause, sizeof(reader->cause), "%s", ledger_error());
	if (count < 8)
		snprintf(reader->damaged[count], sizeof(reader->damaged[count]), "%s", file);
	reader->damaged_count = ++count;
	snprintf(reader->damage, sizeof(reader->damage), "%s; %s left out from the damage on",
		 reader->cause, count == 1 ? "it is" : "it and some more are");
	return 0;
}

const char *ledger_reader_damage(const struct ledger_reader *r)
{
	return r->damaged_count ? r->damage : NULL;
}

static int fail_step(sqlite3 *db, int rc)
{
	return ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
}

int read_function_key(sqlite3 *db, const char *function, int64_t *ret_key)
{
	sqlite3_stmt *st = NULL;
	int r = database_prepare(db, "SELECT text_key FROM texts WHERE text=?1", &st), rc;

	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, function, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret_key = sqlite3_column_int64(st, 0);
	else if (rc == SQLITE_DONE)
		*ret_key = -1;
	else
		r = fail_step(db, rc);
	sqlite3_finalize(st);
	return r;
}

/* Narrows the record keys to those of the minutes asked for; none left: *ret_any is false. */
static int narrow_keys(struct part *part, const struct ledger_query *query, bool *ret_any)
{
	int64_t until = query->until_realtime_ns;
	sqlite3_stmt *st = NULL;
	int rc, r = database_prepare(part->db,
				     "SELECT min(first_key),max(last_key) FROM rollup "
				     "WHERE minute BETWEEN ?1 AND ?2",
				     &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, query->since_realtime_ns / NS_PER_MINUTE - 1);
	sqlite3_bind_int64(st, 2, until ? until / NS_PER_MINUTE : INT64_MAX);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW) {
		r = fail_step(part->db, rc);
	} else {
		*ret_any = sqlite3_column_type(st, 0) != SQLITE_NULL;
		part->low_key = sqlite3_column_int64(st, 0);
		part->high_key = sqlite3_column_int64(st, 1);
	}
	sqlite3_finalize(st);
	return r;
}

static void part_begin(struct part *part)
{
	*part = (struct part){ .low_key = INT64_MIN,
			       .high_key = INT64_MAX,
			       .cut_end = INT64_MIN,
			       .cut_key = INT64_MIN,
			       .top_end = INT64_MAX,
			       .top_key = INT64_MAX,
			       .limit = -1 };
}

/* Of an open segment, what the query is about; closes it where that is nothing. */
static int part_narrow(struct part *part, struct scan *scan)
{
	const struct ledger_query *query = scan->query;
	bool any = true;
	int r = 0;

	if (query->function) {
		r = read_function_key(part->db, query->function, &part->function);
		any = part->function >= 0;
	}
	if (r == 0 && any && scan->kind == KIND_INVOCATION) {
		r = rows_load_policies(part->db, &scan->policies);
		if (r == 0 && (query->since_realtime_ns || query->until_realtime_ns))
			r = narrow_keys(part, query, &any);
	}
	if (r < 0 || !any) {
		sqlite3_close(part->db);
		part->db = NULL;
	}
	return r;
}

int part_open(const char *directory, const struct segment_file *file, struct scan *scan,
	      struct part *part)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), directory, file->file);

	part_begin(part);
	if (r == 0)
		r = database_open_read(path, &part->db);
	return r < 0 || !part->db ? r : part_narrow(part, scan);
}

int part_open_known(struct ledger_reader *reader, const struct segment_file *file,
		    struct scan *scan, struct part *part)
{
	struct content_identity identity;
	enum content_answer known;
	char path[PATH_MAX];
	int r;

	if (!reader->contents || file->newest || scan->kind != KIND_INVOCATION)
		return part_open(reader->directory, file, scan, part);
	part_begin(part);
	r = path_join(path, sizeof(path), reader->directory, file->file);
	if (r < 0)
		return r;
	if (content_identify(path, &identity) < 0)
		return part_open(reader->directory, file, scan, part); /* and see why */
	known = contents_ask(reader->contents, &file->name, &identity, scan->query);
	if (known == CONTENT_NOTHING)
		return 0;
	r = database_open_read(path, &part->db);
	if (r < 0 || !part->db)
		return r;
	if (known == CONTENT_UNKNOWN)
		contents_learn(reader->contents, &file->name, &identity, part->db, &reader->budget);
	return part_narrow(part, scan);
}

/* FROM's index, WHERE and ORDER BY. By the end for one function, by the key otherwise. */
static int conditions(const struct scan *scan, bool newest_first, char *buffer, size_t size)
{
	const struct ledger_query *query = scan->query;
	bool invocations = scan->kind == KIND_INVOCATION;
	bool by_end = scan_is_by_end(scan);
	const char *order = by_end ? (newest_first ? "end_realtime_ns DESC,record_key DESC"
						   : "end_realtime_ns,record_key")
				   : (newest_first ? "record_key DESC" : "record_key");
	char where[384];
	int n;

	/* + keeps the planner from the primary key where the index gives the order */
	snprintf(where, sizeof(where), "%srecord_key BETWEEN ?1 AND ?2%s%s%s%s", by_end ? "+" : "",
		 by_end ? " AND end_realtime_ns>=?3 AND end_realtime_ns<=?4 "
			  "AND (end_realtime_ns>?5 OR +record_key>=?6) "
			  "AND (end_realtime_ns<?10 OR +record_key<?11)"
			: " AND end_realtime_ns BETWEEN ?3 AND ?4",
		 query->function ? " AND function=?7" : "",
		 query->id && invocations ? " AND id=?8" : "",
		 query->statuses && invocations ? " AND (1<<status)&?12" : "");
	n = snprintf(buffer, size, " %s WHERE %s ORDER BY %s LIMIT ?9",
		     by_end	   ? "INDEXED BY invocations_by_function"
		     : invocations ? "NOT INDEXED"
				   : "",
		     where, order);
	return n > 0 && (size_t)n < size ? 0 : -ENOSPC;
}

static void bind(sqlite3_stmt *st, const struct scan *scan, const struct part *part)
{
	const struct ledger_query *query = scan->query;
	int64_t since = query->since_realtime_ns ? query->since_realtime_ns : INT64_MIN;
	int64_t until = query->until_realtime_ns ? query->until_realtime_ns - 1 : INT64_MAX;
	int64_t high = part->top_key == INT64_MAX ? INT64_MAX : part->top_key - 1;
	bool by_end = scan_is_by_end(scan);

	/* One lower bound only, and one upper: SQLite seeks to the first that it sees and filters
	 * by the others. */
	sqlite3_bind_int64(st, 1,
			   by_end || part->low_key > part->cut_key ? part->low_key : part->cut_key);
	sqlite3_bind_int64(st, 2, by_end || part->high_key < high ? part->high_key : high);
	sqlite3_bind_int64(st, 3, since > part->cut_end ? since : part->cut_end);
	sqlite3_bind_int64(st, 4, until < part->top_end ? until : part->top_end);
	sqlite3_bind_int64(st, 5, part->cut_end);
	sqlite3_bind_int64(st, 6, part->cut_key);
	sqlite3_bind_int64(st, 7, part->function);
	if (query->id && scan->kind == KIND_INVOCATION)
		sqlite3_bind_blob64(st, 8, query->id, query->id_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 9, part->limit);
	if (by_end) {
		sqlite3_bind_int64(st, 10, part->top_end);
		sqlite3_bind_int64(st, 11, part->top_key);
	}
	if (query->statuses && scan->kind == KIND_INVOCATION)
		sqlite3_bind_int64(st, 12, query->statuses);
}

int part_prepare(const struct scan *scan, const struct part *part, const char *select,
		 bool newest_first, sqlite3_stmt **ret_statement)
{
	char sql[4096], tail[640];
	int r = conditions(scan, newest_first, tail, sizeof(tail)), n;

	n = snprintf(sql, sizeof(sql), "%s%s", select, tail);
	if (r < 0 || n < 0 || (size_t)n >= sizeof(sql))
		return ledger_fail(-ENOSPC, "ledger: a statement is too long");
	r = database_prepare(part->db, sql, ret_statement);
	if (r == 0)
		bind(*ret_statement, scan, part);
	return r;
}

/* Counts the newest rows of a segment, at most part->limit, and finds where they begin. */
static int count_newest(const struct scan *scan, struct part *part, uint64_t *ret_count)
{
	const char *select = scan->kind == KIND_INVOCATION
				     ? "SELECT end_realtime_ns,record_key FROM invocations AS r"
				     : "SELECT end_realtime_ns,record_key FROM instances AS r";
	sqlite3_stmt *st = NULL;
	uint64_t count = 0;
	int r = part_prepare(scan, part, select, true, &st), rc;

	if (r < 0)
		return r;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		part->cut_end = sqlite3_column_int64(st, 0);
		part->cut_key = sqlite3_column_int64(st, 1);
		count++;
	}
	if (rc != SQLITE_DONE)
		r = fail_step(part->db, rc);
	sqlite3_finalize(st);
	if (r == 0)
		*ret_count = count;
	return r;
}

void scan_read_invocation(struct scan *scan, sqlite3_stmt *st, struct invocation_record *ret_record)
{
	rows_read_invocation(st, &scan->policies, ret_record);
	doubts_apply(&scan->doubts, scan->reader, ret_record);
}

int scan_visit_invocation(struct scan *scan, sqlite3_stmt *st)
{
	struct invocation_record record;

	scan_read_invocation(scan, st, &record);
	return scan->visit_invocation(scan->user, &record);
}

int scan_visit_instance(struct scan *scan, sqlite3_stmt *st)
{
	struct instance_record record;

	rows_read_instance(st, &record);
	return scan->visit_instance(scan->user, &record);
}

int part_stream(struct scan *scan, const struct part *part, bool newest_first)
{
	sqlite3_stmt *st = NULL;
	char select[3072];
	int rc = SQLITE_DONE, version = 0, r = schema_version(part->db, &version);

	if (r == 0)
		r = scan->kind == KIND_INVOCATION
			    ? rows_select_invocation_sql(version, select, sizeof(select))
			    : rows_select_instance_sql(version, select, sizeof(select));
	if (r == 0)
		r = part_prepare(scan, part, select, newest_first, &st);
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		r = scan->visit(scan, st);
	scan->refused = rc == SQLITE_ROW && r != 0;
	if (r == 0 && rc != SQLITE_DONE)
		r = fail_step(part->db, rc);
	sqlite3_finalize(st);
	return r;
}

struct cut {
	int64_t end, key;
	uint64_t count; /* 0 = nothing from this segment */
};

/* First pass of `last`: from the newest segment back until N rows are found. */
static int plan_last(struct ledger_reader *reader, const struct segment_file *files, size_t count,
		     struct scan *scan, struct cut *cuts)
{
	uint64_t missing = scan->query->last;

	for (size_t i = count; i-- > 0 && missing > 0;) {
		struct part part;
		int r = part_open_known(reader, &files[i], scan, &part);

		if (r == 0 && part.db) {
			part.limit = missing > INT64_MAX ? INT64_MAX : (int64_t)missing;
			r = count_newest(scan, &part, &cuts[i].count);
			sqlite3_close(part.db);
		}
		r = reader_pass_over(reader, files[i].file, r);
		if (r < 0)
			return r;
		cuts[i].end = part.cut_end;
		cuts[i].key = part.cut_key;
		missing -= cuts[i].count;
	}
	return 0;
}

/*
 * The same in one pass, where all of them fit into a little memory: newest first, as they are
 * found, and then the other way round. A segment is opened once, and of a row the table alone is
 * read.
 */
struct few {
	struct scan scan;
	struct invocation_record *records; /* newest first */
	size_t count;
};

static int visit_of_few(struct scan *scan, sqlite3_stmt *st)
{
	struct few *few = (struct few *)scan; /* its first member */

	scan_read_invocation(scan, st, &few->records[few->count++]);
	return 0;
}

static int read_few(struct ledger_reader *reader, const struct segment_file *files, size_t count,
		    const struct scan *scan)
{
	uint64_t wanted = scan->query->last;
	struct few few = { .scan = *scan };
	int r = 0;

	few.scan.visit = visit_of_few;
	few.records = calloc(wanted, sizeof(*few.records));
	if (!few.records)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	while (count-- > 0 && few.count < wanted && r == 0) {
		struct part part;

		r = part_open_known(reader, &files[count], &few.scan, &part);
		if (r == 0 && part.db) {
			part.limit = (int64_t)(wanted - few.count);
			r = part_stream(&few.scan, &part, true);
			sqlite3_close(part.db);
		}
		r = reader_pass_over(reader, files[count].file, r);
	}
	doubts_close(&few.scan.doubts);
	while (r == 0 && few.count > 0)
		r = scan->visit_invocation(scan->user, &few.records[--few.count]);
	free(few.records);
	return r;
}

static int stream_segment(struct ledger_reader *reader, const struct segment_file *file,
			  struct scan *scan, const struct cut *cut)
{
	struct part part;
	int r;

	if (cut && cut->count == 0)
		return 0;
	r = part_open_known(reader, file, scan, &part);
	if (r < 0 || !part.db)
		return reader_pass_over(reader, file->file, r);
	if (cut) {
		if (scan_is_by_end(scan))
			part.cut_end = cut->end;
		part.cut_key = cut->key;
		part.limit = (int64_t)cut->count;
	}
	r = part_stream(scan, &part, false);
	sqlite3_close(part.db);
	return scan->refused ? r : reader_pass_over(reader, file->file, r);
}

static int scan_all(struct ledger_reader *reader, struct scan *scan)
{
	_cleanup_free_ struct segment_file *files = NULL;
	_cleanup_free_ struct cut *cuts = NULL;
	size_t count = 0;
	uint64_t last = scan->query->last;
	int r = segment_list(reader->directory, false, &files, &count);

	if (r == 0 && count && reader->contents)
		contents_forget_before(reader->contents, &files[0].name);
	if (r == 0 && last && last <= FEW && scan->kind == KIND_INVOCATION)
		return ledger_edge(read_few(reader, files, count, scan));
	if (r == 0 && last) {
		cuts = calloc(count ? count : 1, sizeof(*cuts));
		r = cuts ? plan_last(reader, files, count, scan, cuts)
			 : ledger_fail(-ENOMEM, "ledger: out of memory");
	}
	for (size_t i = 0; i < count && r == 0; i++)
		r = stream_segment(reader, &files[i], scan, cuts ? &cuts[i] : NULL);
	doubts_close(&scan->doubts);
	return ledger_edge(r);
}

int ledger_read_invocations(struct ledger_reader *r, const struct ledger_query *query,
			    ledger_invocation_fn visit, void *user)
{
	struct scan scan = { .kind = KIND_INVOCATION,
			     .reader = r,
			     .query = query,
			     .visit = scan_visit_invocation,
			     .visit_invocation = visit,
			     .user = user };

	return scan_all(r, &scan);
}

int ledger_read_instances(struct ledger_reader *r, const struct ledger_query *query,
			  ledger_instance_fn visit, void *user)
{
	struct scan scan = { .kind = KIND_INSTANCE,
			     .reader = r,
			     .query = query,
			     .visit = scan_visit_instance,
			     .visit_instance = visit,
			     .user = user };

	return scan_all(r, &scan);
}
