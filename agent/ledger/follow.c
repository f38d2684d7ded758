// SPDX-License-Identifier: GPL-2.0
/*
 * Records by their ids and in the order of storing. Within a segment that is the order of
 * record_key, which both kinds of record share; both are read in one snapshot, so that what is
 * stored meanwhile cannot slip in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "core/record_json.h"
#include "ledger/internal.h"
#include "ledger/scan.h"

#define BOOT_DIGITS 8
#define KEY_BITS ((1ull << SEQUENCE_BITS) - 1)

/* "host-bootid8-sequence" */
struct record_name {
	char host[RECORD_HOST_LEN];
	char boot[BOOT_DIGITS + 1];
	uint64_t sequence;
};

static int parse_record_id(const char *text, struct record_name *ret_name)
{
	char again[RECORD_HOST_LEN + RECORD_BOOT_LEN + 24], boot[RECORD_BOOT_LEN];
	const char *last = strrchr(text, '-');
	struct record_name name = { 0 };
	size_t n = last ? (size_t)(last - text) : 0;

	if (n < BOOT_DIGITS + 1 || text[n - BOOT_DIGITS - 1] != '-' ||
	    n - BOOT_DIGITS - 1 >= sizeof(name.host) ||
	    parse_uint64(last + 1, 1, KEY_BITS, &name.sequence))
		return -EINVAL;
	memcpy(name.host, text, n - BOOT_DIGITS - 1);
	memcpy(name.boot, text + n - BOOT_DIGITS, BOOT_DIGITS);
	memcpy(boot, name.boot, sizeof(name.boot));
	/* one spelling only */
	if (record_id_format(name.host, boot, name.sequence, again, sizeof(again)) ||
	    strcmp(again, text) != 0)
		return -EINVAL;
	*ret_name = name;
	return 0;
}

static int step_once(sqlite3 *db, sqlite3_stmt *st, bool *ret_row)
{
	int rc = sqlite3_step(st);

	*ret_row = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE
		       ? 0
		       : ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
}

/* -1: the segment knows no such boot. */
static int find_key(sqlite3 *db, const struct record_name *name, int64_t *ret_key)
{
	sqlite3_stmt *st = NULL;
	bool row = false;
	int r = database_prepare(db,
				 "SELECT boot_key FROM boots WHERE host=?1 AND "
				 "substr(boot_id,1,8)=?2",
				 &st);

	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, name->host, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, name->boot, -1, SQLITE_STATIC);
	r = step_once(db, st, &row);
	*ret_key =
		row ? sqlite3_column_int64(st, 0) << SEQUENCE_BITS | (int64_t)name->sequence : -1;
	sqlite3_finalize(st);
	return r;
}

static int has_key(sqlite3 *db, int64_t key, bool *ret_has)
{
	sqlite3_stmt *st = NULL;
	int r = database_prepare(db,
				 "SELECT 1 FROM invocations WHERE record_key=?1 UNION ALL "
				 "SELECT 1 FROM instances WHERE record_key=?1",
				 &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, key);
	r = step_once(db, st, ret_has);
	sqlite3_finalize(st);
	return r;
}

static int open_segment(const struct ledger_reader *reader, const char *file, sqlite3 **ret_db)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), reader->directory, file);

	return r < 0 ? r : database_open_read(path, ret_db);
}

/* Newest first: a record is mostly asked for soon. */
int ledger_place_of(struct ledger_reader *reader, const char *record_id,
		    struct ledger_place *ret_place)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger_place place = { .hour = INT64_MAX };
	struct record_name name;
	bool found = false;
	size_t count = 0;
	int r = parse_record_id(record_id, &name);

	if (r < 0)
		return r;
	r = segment_list(reader->directory, false, &files, &count);
	while (r == 0 && !found && count-- > 0) {
		const struct segment_file *file = &files[count];
		sqlite3 *db = NULL;
		int64_t key = -1;

		r = open_segment(reader, file->file, &db);
		if (r == 0 && db)
			r = find_key(db, &name, &key);
		if (r == 0 && key >= 0) {
			place = (struct ledger_place){ .hour = file->name.hour,
						       .suffix = file->name.suffix,
						       .key = key };
			r = has_key(db, key, &found);
		}
		sqlite3_close(db);
		r = reader_pass_over(reader, file->file, r);
	}
	if (r < 0)
		return ledger_edge(r);
	if (place.hour == INT64_MAX) { /* of another host's, or all of its boot is gone */
		r = ledger_place_end(reader, &place);
		if (r < 0)
			return r;
	}
	*ret_place = place;
	return found ? 0 : -ENOENT;
}

bool ledger_place_kept(const struct ledger_reader *reader, const struct ledger_place *place)
{
	struct segment_name name = { .hour = place->hour, .suffix = place->suffix };
	char path[PATH_MAX], file[64];

	if (place->hour == INT64_MIN || place->hour == INT64_MAX)
		return true;
	segment_format(&name, file, sizeof(file));
	return path_join(path, sizeof(path), reader->directory, file) == 0 &&
	       access(path, F_OK) == 0;
}

int ledger_place_end(struct ledger_reader *reader, struct ledger_place *ret_place)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger_place place = { .hour = INT64_MIN };
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	size_t count = 0;
	bool row = false;
	int r = segment_list(reader->directory, false, &files, &count);

	if (r == 0 && count > 0) {
		place.hour = files[count - 1].name.hour;
		place.suffix = files[count - 1].name.suffix;
		place.key = INT64_MIN;
		r = open_segment(reader, files[count - 1].file, &db);
	}
	if (r == 0 && db)
		r = database_prepare(db,
				     "SELECT max(k) FROM (SELECT max(record_key) AS k FROM "
				     "invocations UNION ALL SELECT max(record_key) FROM instances)",
				     &st);
	if (r == 0 && st)
		r = step_once(db, st, &row);
	if (row && sqlite3_column_type(st, 0) != SQLITE_NULL)
		place.key = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	if (r < 0)
		return ledger_edge(r);
	*ret_place = place;
	return 0;
}

int ledger_read_record(struct ledger_reader *reader, const char *record_id,
		       ledger_invocation_fn visit, void *user)
{
	struct ledger_query query = { 0 };
	struct scan scan = { .kind = KIND_INVOCATION,
			     .reader = reader,
			     .query = &query,
			     .visit = scan_visit_invocation,
			     .visit_invocation = visit,
			     .user = user };
	struct segment_file file = { 0 };
	struct ledger_place place;
	struct part part;
	int r = ledger_place_of(reader, record_id, &place);

	if (r < 0)
		return r;
	file.name.hour = place.hour;
	file.name.suffix = place.suffix;
	segment_format(&file.name, file.file, sizeof(file.file));
	r = part_open(reader->directory, &file, &scan, &part);
	if (r < 0 || !part.db)
		return r < 0 ? ledger_edge(r) : -ENOENT;
	part.low_key = part.high_key = place.key;
	part.limit = 1;
	r = part_stream(&scan, &part, false);
	sqlite3_close(part.db);
	doubts_close(&scan.doubts);
	return scan.refused ? r : ledger_edge(r);
}

/* ---- following ---- */

struct following {
	struct scan invocations, instances;
	struct ledger_place *place;
	uint64_t left;
};

static int prepare(struct scan *scan, struct part *part, sqlite3_stmt **ret_statement)
{
	char select[3072];
	int version = 0, r = schema_version(part->db, &version);

	if (r == 0)
		r = scan->kind == KIND_INVOCATION
			    ? rows_select_invocation_sql(version, select, sizeof(select))
			    : rows_select_instance_sql(version, select, sizeof(select));
	return r < 0 ? r : part_prepare(scan, part, select, false, ret_statement);
}

/* The two kinds as one list, each step the lower key of both. */
static int merge(struct following *f, sqlite3 *db, sqlite3_stmt *const st[2])
{
	struct scan *const scans[2] = { &f->invocations, &f->instances };
	bool row[2] = { false, false };
	int r = step_once(db, st[0], &row[0]);

	if (r == 0)
		r = step_once(db, st[1], &row[1]);
	while (r == 0 && f->left > 0 && (row[0] || row[1])) {
		int i = !row[0] ||
			(row[1] && sqlite3_column_int64(st[1], 0) < sqlite3_column_int64(st[0], 0));

		r = scans[i]->visit(scans[i], st[i]);
		if (r) {
			scans[i]->refused = true;
			break;
		}
		f->place->key = sqlite3_column_int64(st[i], 0);
		f->left--;
		r = step_once(db, st[i], &row[i]);
	}
	return r;
}

static int follow_segment(struct ledger_reader *reader, const struct segment_file *file,
			  struct following *f)
{
	struct segment_name at = { .hour = f->place->hour, .suffix = f->place->suffix };
	sqlite3_stmt *st[2] = { NULL, NULL };
	int order = segment_compare(&file->name, &at), r;
	struct part part;

	if (order < 0)
		return 0;
	r = part_open(reader->directory, file, &f->invocations, &part);
	if (r < 0 || !part.db)
		return reader_pass_over(reader, file->file, r);
	if (order > 0)
		*f->place = (struct ledger_place){ .hour = file->name.hour,
						   .suffix = file->name.suffix,
						   .key = INT64_MIN };
	part.low_key = f->place->key == INT64_MIN ? INT64_MIN : f->place->key + 1;
	r = database_exec(part.db, "BEGIN");
	if (r == 0)
		r = prepare(&f->invocations, &part, &st[0]);
	if (r == 0)
		r = prepare(&f->instances, &part, &st[1]);
	if (r == 0)
		r = merge(f, part.db, st);
	sqlite3_finalize(st[0]);
	sqlite3_finalize(st[1]);
	sqlite3_close(part.db);
	return f->invocations.refused || f->instances.refused
		       ? r
		       : reader_pass_over(reader, file->file, r);
}

int ledger_follow(struct ledger_reader *reader, struct ledger_place *place, const char *function,
		  uint64_t limit, ledger_invocation_fn invocation, ledger_instance_fn instance,
		  void *user)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger_query query = { .function = function };
	struct following f = { .invocations = { .kind = KIND_INVOCATION,
						.reader = reader,
						.query = &query,
						.by_key = true,
						.visit = scan_visit_invocation,
						.visit_invocation = invocation,
						.user = user },
			       .instances = { .kind = KIND_INSTANCE,
					      .query = &query,
					      .by_key = true,
					      .visit = scan_visit_instance,
					      .visit_instance = instance,
					      .user = user },
			       .place = place,
			       .left = limit };
	size_t count = 0;
	int r = segment_list(reader->directory, false, &files, &count);

	for (size_t i = 0; i < count && r == 0 && f.left > 0; i++)
		r = follow_segment(reader, &files[i], &f);
	doubts_close(&f.invocations.doubts);
	if (r < 0)
		return f.invocations.refused || f.instances.refused ? r : ledger_edge(r);
	return (int)(limit - f.left);
}
