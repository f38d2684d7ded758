// SPDX-License-Identifier: GPL-2.0
/*
 * Opening and closing the writer, and moving from segment to segment.
 *
 * Owns the lock file and the connection. Invariant: nothing is ever written to an older segment
 * than the newest, not even when the clock goes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ledger/bills.h"
#include "ledger/chain.h"
#include "ledger/doubts.h"
#include "ledger/internal.h"

static const char *const statement_sql[ST_COUNT] = {
	[ST_TEXT_FIND] = "SELECT text_key FROM texts WHERE text=?1",
	[ST_TEXT_ADD] = "INSERT INTO texts(text) VALUES(?1)",
	[ST_BOOT_FIND] = "SELECT boot_key FROM boots WHERE boot_id=?1 AND host=?2",
	/* keys from 0: the first boot's record_key is the sequence itself, and short */
	[ST_BOOT_ADD] = "INSERT INTO boots(boot_key,boot_id,host) "
			"SELECT coalesce(max(boot_key)+1,0),?1,?2 FROM boots",
	[ST_POLICY_FIND] = "SELECT policy_key FROM policies WHERE name=?1 AND version=?2",
	[ST_POLICY_ADD] = "INSERT INTO policies(name,version) VALUES(?1,?2)",
	[ST_STATE_PUT] = "INSERT OR REPLACE INTO state(uid,blob) VALUES(?1,?2)",
	[ST_STATE_DELETE] = "DELETE FROM state WHERE uid=?1",
	[ST_META] = "INSERT OR REPLACE INTO meta(one,boot_id,sequence,ring_position,"
		    "pins,committed_realtime_ns,floor_boot_id,floor_invocation,floor_instance) "
		    "VALUES(1,?1,?2,?3,?4,?5,?6,?7,?8)",
	[ST_ROLLUP_BILLED] = ROLLUP_BILLED_SQL,
	[ST_RULE_SET_ADD] = BILLS_ADD_SET_SQL,
	[ST_RULE_SET_FIND] = BILLS_FIND_SET_SQL,
	[ST_CHAIN] = CHAIN_SQL,
	[ST_DOUBT_EXTEND] = DOUBT_EXTEND_SQL,
	[ST_DOUBT_ADD] = DOUBT_ADD_SQL,
	[ST_DOUBT_CARRY] = DOUBT_CARRY_SQL,
};

static int statement_text(enum statement which, char *buffer, size_t size)
{
	switch (which) {
	case ST_INVOCATION:
		return rows_insert_invocation_sql(buffer, size);
	case ST_INSTANCE:
		return rows_insert_instance_sql(buffer, size);
	case ST_ROLLUP:
		return rollup_upsert_sql(buffer, size);
	case ST_BILLS:
		return bills_upsert_sql(buffer, size);
	default:
		return snprintf(buffer, size, "%s", statement_sql[which]) < (int)size ? 0 : -ENOSPC;
	}
}

static int prepare_all(struct ledger *l)
{
	char sql[6144];
	int r = 0;

	for (int i = 0; i < ST_COUNT && r == 0; i++) {
		r = statement_text((enum statement)i, sql, sizeof(sql));
		if (r == 0)
			r = database_prepare(l->db, sql, &l->statements[i]);
	}
	return r;
}

static void finalize_all(struct ledger *l)
{
	for (int i = 0; i < ST_COUNT; i++) {
		sqlite3_finalize(l->statements[i]);
		l->statements[i] = NULL;
	}
	names_clear(l->names);
	rollup_clear(l->rollup);
	bills_clear(l->bills);
}

/* ---- opening ---- */

static int take_lock(const char *directory, int *ret_fd)
{
	char path[PATH_MAX];
	_cleanup_fd_ int fd = -EBADF;
	int r;

	if (mkdir(directory, 0750) < 0 && errno != EEXIST)
		return ledger_fail(-errno, "ledger: cannot create the directory %s: %s", directory,
				   strerror(errno));
	r = path_join(path, sizeof(path), directory, "ledger.lock");
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return ledger_fail(-errno, "ledger: cannot open %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return ledger_fail(errno == EWOULDBLOCK ? -EBUSY : -errno,
				   "ledger: another writer has %s locked; stop that agent first",
				   path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Adopts a connection as the segment being written. Takes it over even when it fails. */
static int adopt(struct ledger *l, sqlite3 *db, const struct segment_name *name, const char *path)
{
	l->db = db;
	l->name = *name;
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->complete = false;
	l->corrupt = false;
	return prepare_all(l);
}

static void drop(struct ledger *l)
{
	finalize_all(l);
	sqlite3_close(l->db);
	l->db = NULL;
	l->complete = false;
}

static int read_older(struct ledger *l, const struct segment_file *file, bool *ret_complete)
{
	struct ledger_floor stored, floor;
	struct ledger_meta meta;
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	int r = path_join(path, sizeof(path), l->directory, file->file);

	*ret_complete = false;
	if (r == 0)
		r = database_open_read(path, &db);
	if (r == 0 && db)
		r = restore_read_meta(db, &meta, &stored, &floor, ret_complete);
	if (r == 0 && *ret_complete)
		r = chain_load(l->chain, db);
	sqlite3_close(db);
	if (r < 0 || !*ret_complete)
		return r;
	snprintf(l->restore_file, sizeof(l->restore_file), "%s", file->file);
	if (!l->stored.boot_id[0]) /* or more is known from a segment left since */
		l->stored = stored;
	return 0;
}

int ledger_set_aside(struct ledger *l, const char *file)
{
	size_t used = l->noticed ? 0 : strlen(l->notice);
	int r = segment_set_aside(l->directory, file);

	if (r < 0)
		return r;
	snprintf(l->notice + used, sizeof(l->notice) - used, "%s%s", used ? "; " : "",
		 ledger_error());
	l->noticed = false;
	return 0;
}

const char *ledger_notice(struct ledger *l)
{
	if (!l->notice[0] || l->noticed)
		return NULL;
	l->noticed = true;
	return l->notice;
}

int ledger_find_older(struct ledger *l)
{
	_cleanup_free_ struct segment_file *files = NULL;
	bool complete = false;
	size_t count = 0;
	int r = segment_list(l->directory, false, &files, &count);

	l->restore_file[0] = '\0';
	for (size_t i = count; r == 0 && i-- > 0 && !complete;) {
		if (l->db && segment_compare(&files[i].name, &l->name) >= 0)
			continue;
		r = read_older(l, &files[i], &complete);
		if (r == -EUCLEAN)
			r = ledger_set_aside(l, files[i].file);
	}
	return r;
}

static int open_newest(struct ledger *l, const struct segment_file *file)
{
	struct ledger_meta meta;
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	int r = path_join(path, sizeof(path), l->directory, file->file);

	if (r == 0)
		r = database_open_write(path, false, &db);
	if (r < 0)
		return r;
	r = adopt(l, db, &file->name, path);
	if (r == 0)
		r = restore_read_meta(db, &meta, &l->stored, &l->floor, &l->complete);
	if (r == 0 && l->complete)
		r = chain_load(l->chain, db);
	if (r < 0)
		drop(l);
	return r;
}

/* The newest sound one is written on; without a complete transaction in it, an older one is read.
 */
static int open_segments(struct ledger *l, const struct segment_file *files, size_t count)
{
	int r = 0;

	for (size_t i = count; r == 0 && i-- > 0 && !l->db;) {
		r = open_newest(l, &files[i]);
		if (r == -EUCLEAN)
			r = ledger_set_aside(l, files[i].file);
	}
	if (r < 0 || l->complete)
		return r;
	r = ledger_find_older(l);
	l->floor = l->stored;
	return r;
}

int ledger_open(const struct ledger_config *config, struct ledger **ret_ledger, bool *ret_set_aside)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger *l = calloc(1, sizeof(*l));
	size_t count = 0;
	int r = -ENOMEM;

	if (!l)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	l->lock_fd = -EBADF;
	l->retain_seconds = config->retain_seconds;
	l->retain_bytes = config->retain_bytes;
	l->directory = strdup(config->directory);
	if (!l->directory || names_new(&l->names) < 0 || rollup_new(&l->rollup) < 0 ||
	    bills_new(config->policies ? config->policies : policies_embedded(), &l->bills) < 0)
		r = ledger_fail(-ENOMEM, "ledger: out of memory");
	else
		r = chain_new(config->seal, config->seal_key, &l->chain);
	if (r == 0)
		r = take_lock(l->directory, &l->lock_fd);
	if (r == 0)
		r = segment_list(l->directory, false, &files, &count);
	if (r == 0) {
		mark_read(l->lock_fd, &l->mark);
		r = open_segments(l, files, count);
	}
	if (r < 0) {
		ledger_close(&l);
		return ledger_edge(r);
	}
	*ret_ledger = l;
	*ret_set_aside = l->notice[0] != '\0';
	return 0;
}

void ledger_close(struct ledger **ledger)
{
	struct ledger *l = *ledger;

	if (!l)
		return;
	ledger_rollback(l);
	if (l->names && l->rollup && l->bills)
		finalize_all(l);
	sqlite3_close(l->db);
	names_free(&l->names);
	rollup_free(&l->rollup);
	bills_free(&l->bills);
	chain_free(&l->chain);
	free(l->directory);
	cleanup_fd(&l->lock_fd);
	free(l);
	*ledger = NULL;
}

/* ---- beginning a segment ---- */

/*
 * After one of this hour was set aside, a new name: a reader may still have the old one's -shm. And
 * never a name that sorts before a segment that exists, whatever the clock says.
 */
static int pick_suffix(const struct ledger *l, struct segment_name *name)
{
	_cleanup_free_ struct segment_file *files = NULL;
	size_t count;
	int r = segment_list(l->directory, true, &files, &count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		int order = segment_compare(&files[i].name, name);

		if (order > 0 || (order == 0 && files[i].corrupt)) {
			*name = files[i].name;
			name->suffix++;
		}
	}
	return 0;
}

int ledger_begin_segment(struct ledger *l, int64_t hour)
{
	struct segment_name name = { .hour = hour };
	char path[PATH_MAX], file[64];
	sqlite3 *db = NULL;
	int r = pick_suffix(l, &name);

	if (r < 0)
		return r;
	segment_format(&name, file, sizeof(file));
	r = path_join(path, sizeof(path), l->directory, file);
	if (r == 0)
		r = database_open_write(path, true, &db);
	if (r < 0)
		return r;
	if (l->complete)
		segment_format(&l->name, l->restore_file, sizeof(l->restore_file));
	finalize_all(l);
	database_seal(&l->db);
	l->floor = l->stored;
	r = adopt(l, db, &name, path);
	if (r < 0)
		drop(l);
	return r;
}

int ledger_leave_corrupt(struct ledger *l)
{
	char file[64];
	int r;

	segment_format(&l->name, file, sizeof(file));
	drop(l);
	l->corrupt = false;
	r = ledger_set_aside(l, file);
	return r < 0 ? r : ledger_find_older(l);
}

int ledger_leave_older(struct ledger *l)
{
	int r = ledger_set_aside(l, l->restore_file);

	return r < 0 ? r : ledger_find_older(l);
}
