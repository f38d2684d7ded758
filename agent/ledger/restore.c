// SPDX-License-Identifier: GPL-2.0
/* Reading back what the last complete transaction left: meta, open instances, highest sequences. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ledger/internal.h"

static void copy_text(sqlite3_stmt *st, int at, char *buffer, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, at);

	snprintf(buffer, size, "%s", text ? (const char *)text : "");
}

/* The highest sequence of a boot in one record table, at least `floor`. */
static int highest_sequence(sqlite3 *db, const char *table, const char *boot_id, uint64_t *floor)
{
	sqlite3_stmt *st = NULL;
	char sql[256];
	int r, rc;

	/* a boot id has one key a host; the correlated max() is one step in the b-tree for each */
	snprintf(sql, sizeof(sql),
		 "SELECT (SELECT max(record_key) FROM %s WHERE record_key>=boot_key<<40 AND "
		 "record_key<(boot_key+1)<<40) FROM boots WHERE boot_id=?1",
		 table);
	r = database_prepare(db, sql, &st);
	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, boot_id, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t key = (uint64_t)sqlite3_column_int64(st, 0);
		uint64_t sequence = key & ((1ull << SEQUENCE_BITS) - 1);

		if (sequence > *floor)
			*floor = sequence;
	}
	if (rc != SQLITE_DONE)
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	sqlite3_finalize(st);
	return r;
}

static int find_stored(sqlite3 *db, const struct ledger_meta *meta,
		       const struct ledger_floor *floor, struct ledger_floor *ret_stored)
{
	struct ledger_floor stored = { 0 };
	int r;

	if (strcmp(floor->boot_id, meta->boot_id) == 0)
		stored = *floor;
	memcpy(stored.boot_id, meta->boot_id, sizeof(stored.boot_id));
	r = highest_sequence(db, "invocations", stored.boot_id, &stored.invocation);
	if (r == 0)
		r = highest_sequence(db, "instances", stored.boot_id, &stored.instance);
	if (r == 0)
		*ret_stored = stored;
	return r;
}

int restore_read_meta(sqlite3 *db, struct ledger_meta *ret_meta, struct ledger_floor *ret_stored,
		      struct ledger_floor *ret_floor, bool *ret_complete)
{
	struct ledger_meta meta = { 0 };
	struct ledger_floor floor = { 0 };
	sqlite3_stmt *st = NULL;
	int rc, r = database_prepare(db,
				     "SELECT boot_id,sequence,ring_position,pins,floor_boot_id,"
				     "floor_invocation,floor_instance FROM meta",
				     &st);

	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		copy_text(st, 0, meta.boot_id, sizeof(meta.boot_id));
		meta.sequence = (uint64_t)sqlite3_column_int64(st, 1);
		meta.ring_position = (uint64_t)sqlite3_column_int64(st, 2);
		meta.pins = (uint64_t)sqlite3_column_int64(st, 3);
		copy_text(st, 4, floor.boot_id, sizeof(floor.boot_id));
		floor.invocation = (uint64_t)sqlite3_column_int64(st, 5);
		floor.instance = (uint64_t)sqlite3_column_int64(st, 6);
	} else if (rc != SQLITE_DONE) {
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	}
	sqlite3_finalize(st);
	if (r < 0 || rc == SQLITE_DONE) {
		if (r == 0)
			*ret_complete = false;
		return r;
	}
	r = find_stored(db, &meta, &floor, ret_stored);
	if (r < 0)
		return r;
	*ret_meta = meta;
	*ret_floor = floor;
	*ret_complete = true;
	return 0;
}

typedef int (*state_fn)(void *user, uint64_t uid, const void *blob, size_t size);

/* A visitor's answer goes to *ret_visited and is no error here. */
static int visit_state(sqlite3 *db, state_fn visit, void *user, int *ret_visited)
{
	sqlite3_stmt *st = NULL;
	int r = database_prepare(db, "SELECT uid,blob FROM state ORDER BY uid", &st), rc;

	if (r < 0)
		return r;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && *ret_visited == 0) {
		const void *blob = sqlite3_column_blob(st, 1);

		*ret_visited = visit(user, (uint64_t)sqlite3_column_int64(st, 0), blob,
				     (size_t)sqlite3_column_bytes(st, 1));
	}
	if (*ret_visited == 0 && rc != SQLITE_DONE)
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	sqlite3_finalize(st);
	return r;
}

/* From one segment; likewise. */
static int restore_from(sqlite3 *db, struct ledger_meta *ret_meta, state_fn visit, void *user,
			int *ret_visited)
{
	struct ledger_floor stored, floor;
	bool complete = false;
	int r = restore_read_meta(db, ret_meta, &stored, &floor, &complete);

	if (r == 0 && complete && visit)
		r = visit_state(db, visit, user, ret_visited);
	return r;
}

int ledger_restore(struct ledger *l, struct ledger_meta *ret_meta, state_fn visit, void *user)
{
	struct ledger_meta meta;
	char path[PATH_MAX];
	int visited, r;

	do {
		sqlite3 *db = l->complete ? l->db : NULL;

		memset(&meta, 0, sizeof(meta));
		visited = r = 0;
		if (!db && l->restore_file[0]) {
			r = path_join(path, sizeof(path), l->directory, l->restore_file);
			if (r == 0)
				r = database_open_read(path, &db);
		}
		if (r == 0 && db)
			r = restore_from(db, &meta, visit, user, &visited);
		if (!l->complete)
			sqlite3_close(db);
		if (r != -EUCLEAN)
			break;
		/* what was in it is kept aside; the one before it is the best that is left */
		r = l->complete ? ledger_leave_corrupt(l) : ledger_leave_older(l);
	} while (r == 0);
	if (r < 0)
		return ledger_edge(r);
	if (visited == 0)
		*ret_meta = meta;
	return visited;
}

uint64_t ledger_lost_sequence(const struct ledger *l, const char *boot_id)
{
	char file[64];

	if (l->complete)
		segment_format(&l->name, file, sizeof(file));
	else
		snprintf(file, sizeof(file), "%s", l->restore_file);
	return strcmp(l->mark.boot_id, boot_id) == 0 && strcmp(l->mark.file, file) != 0
		       ? l->mark.sequence
		       : 0;
}
