// SPDX-License-Identifier: GPL-2.0
/*
 * The newest record of each function: the functions of a segment come from its roll-up, their
 * newest record from the index, and who was seen in a newer segment is passed over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ledger/internal.h"

struct seen {
	char (*names)[ONCPU_NAME_LEN]; /* sorted */
	size_t count, room;
};

/* Where it is, or would be. */
static bool find(const struct seen *seen, const char *name, size_t *ret_at)
{
	size_t low = 0, high = seen->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(seen->names[middle], name);

		if (order == 0) {
			*ret_at = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return false;
}

static int add(struct seen *seen, const char *name, size_t at)
{
	if (seen->count == seen->room) {
		size_t room = seen->room ? 2 * seen->room : 64;
		void *grown = reallocarray(seen->names, room, sizeof(*seen->names));

		if (!grown)
			return ledger_fail(-ENOMEM, "ledger: out of memory");
		seen->names = grown;
		seen->room = room;
	}
	memmove(seen->names + at + 1, seen->names + at, (seen->count - at) * sizeof(*seen->names));
	snprintf(seen->names[at], sizeof(seen->names[at]), "%s", name);
	seen->count++;
	return 0;
}

struct newest {
	struct seen seen;
	int64_t since;
	ledger_newest_fn visit;
	void *user;
	bool refused;
};

static int visit_row(struct newest *n, sqlite3_stmt *st)
{
	const char *name = (const char *)sqlite3_column_text(st, 0);
	struct ledger_newest found = { .end_realtime_ns = sqlite3_column_int64(st, 1),
				       .memory_mb = sqlite3_column_int64(st, 2) };
	size_t at;
	int r;

	snprintf(found.function, sizeof(found.function), "%s", name ? name : "");
	if (sqlite3_column_type(st, 1) == SQLITE_NULL || found.end_realtime_ns < n->since ||
	    find(&n->seen, found.function, &at))
		return 0;
	r = add(&n->seen, found.function, at);
	if (r < 0)
		return r;
	r = n->visit(n->user, &found);
	n->refused = r != 0;
	return r;
}

static int read_segment(struct newest *n, sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE;
	int r = database_prepare(
		db,
		"SELECT t.text,r.end_realtime_ns,r.memory_mb FROM "
		"(SELECT DISTINCT function FROM rollup) AS f "
		"JOIN texts AS t ON t.text_key=f.function "
		"JOIN invocations AS r ON r.record_key=(SELECT record_key FROM "
		"invocations INDEXED BY invocations_by_function WHERE "
		"function=f.function ORDER BY end_realtime_ns DESC,record_key DESC "
		"LIMIT 1)",
		&st);

	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		r = visit_row(n, st);
	if (r == 0 && rc != SQLITE_DONE)
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	sqlite3_finalize(st);
	return r;
}

int ledger_read_newest(struct ledger_reader *reader, int64_t since_realtime_ns,
		       ledger_newest_fn visit, void *user)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct newest n = { .since = since_realtime_ns, .visit = visit, .user = user };
	size_t count = 0;
	int r = segment_list(reader->directory, false, &files, &count);

	while (r == 0 && count-- > 0) {
		char path[PATH_MAX];
		sqlite3 *db = NULL;

		/* a record is stored after it ended, but for an hour that clocks may differ */
		if (since_realtime_ns &&
		    files[count].name.hour < segment_hour(since_realtime_ns) - 1)
			break;
		r = path_join(path, sizeof(path), reader->directory, files[count].file);
		if (r == 0)
			r = database_open_read(path, &db);
		if (r == 0 && db)
			r = read_segment(&n, db);
		sqlite3_close(db);
		if (!n.refused)
			r = reader_pass_over(reader, files[count].file, r);
	}
	free(n.seen.names);
	return n.refused ? r : ledger_edge(r);
}
