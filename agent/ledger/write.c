// SPDX-License-Identifier: GPL-2.0
/*
 * The writer: one connection to the newest segment, one transaction a batch.
 *
 * Owns the lock file and the connection. Invariants: a segment gets its meta row in its first
 * committed transaction, which carries every open instance; nothing is ever written to an older
 * segment than the newest, not even when the clock goes back.
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
		    "committed_realtime_ns,floor_boot_id,floor_invocation,floor_instance) "
		    "VALUES(1,?1,?2,?3,?4,?5,?6,?7)",
	[ST_ROLLUP_BILLED] = ROLLUP_BILLED_SQL,
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
	default:
		return snprintf(buffer, size, "%s", statement_sql[which]) < (int)size ? 0 : -ENOSPC;
	}
}

static int prepare_all(struct ledger *l)
{
	char sql[4096];
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
	struct ledger_meta meta;
	struct ledger_floor floor;
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	int r = path_join(path, sizeof(path), l->directory, file->file);

	*ret_complete = false;
	if (r == 0)
		r = database_open_read(path, &db);
	if (r == 0 && db)
		r = restore_read_meta(db, &meta, &l->stored, &floor, ret_complete);
	sqlite3_close(db);
	if (r == 0 && *ret_complete)
		snprintf(l->restore_path, sizeof(l->restore_path), "%s", path);
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
	if (r < 0)
		drop(l);
	return r;
}

/* Newest first: the one to write, then, while none is complete, the one to restore from. */
static int open_segments(struct ledger *l, const struct segment_file *files, size_t count,
			 bool *ret_set_aside)
{
	bool complete = false;

	for (size_t i = count; i-- > 0 && !complete;) {
		bool newest = !l->db;
		int r = newest ? open_newest(l, &files[i]) : read_older(l, &files[i], &complete);

		if (r == -EUCLEAN) {
			r = segment_set_aside(l->directory, files[i].file);
			*ret_set_aside = true;
		}
		if (r < 0)
			return r;
		if (newest && l->db)
			complete = l->complete;
	}
	if (!l->complete)
		l->floor = l->stored;
	return 0;
}

int ledger_open(const struct ledger_config *config, struct ledger **ret_ledger, bool *ret_set_aside)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger *l = calloc(1, sizeof(*l));
	bool set_aside = false;
	size_t count = 0;
	int r = -ENOMEM;

	if (!l)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	l->lock_fd = -EBADF;
	l->retain_seconds = config->retain_seconds;
	l->retain_bytes = config->retain_bytes;
	l->directory = strdup(config->directory);
	if (!l->directory || names_new(&l->names) < 0 || rollup_new(&l->rollup) < 0)
		r = ledger_fail(-ENOMEM, "ledger: out of memory");
	else
		r = take_lock(l->directory, &l->lock_fd);
	if (r == 0)
		r = segment_list(l->directory, false, &files, &count);
	if (r == 0)
		r = open_segments(l, files, count, &set_aside);
	if (r < 0) {
		ledger_close(&l);
		return ledger_edge(r);
	}
	*ret_ledger = l;
	*ret_set_aside = set_aside;
	return 0;
}

void ledger_close(struct ledger **ledger)
{
	struct ledger *l = *ledger;

	if (!l)
		return;
	ledger_rollback(l);
	if (l->names && l->rollup)
		finalize_all(l);
	sqlite3_close(l->db);
	names_free(&l->names);
	rollup_free(&l->rollup);
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

static int begin_segment(struct ledger *l, int64_t hour)
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
		snprintf(l->restore_path, sizeof(l->restore_path), "%s", l->path);
	finalize_all(l);
	database_seal(&l->db);
	l->floor = l->stored;
	r = adopt(l, db, &name, path);
	if (r < 0)
		drop(l);
	return r;
}

/* The segment turned out damaged while it was written: keep it aside, go on in a fresh one. */
static int leave_corrupt(struct ledger *l)
{
	char file[64];

	segment_format(&l->name, file, sizeof(file));
	drop(l);
	l->corrupt = false;
	return segment_set_aside(l->directory, file);
}

/* ---- a transaction ---- */

/* Remembers the first error of the transaction, which can then only be rolled back. */
static int fail_transaction(struct ledger *l, int rc, const char *what)
{
	int r = ledger_fail_db(l->db, rc, what, l->path);

	if (r == -EUCLEAN)
		l->corrupt = true;
	r = ledger_edge(r);
	if (l->in_transaction && !l->failed)
		l->failed = r;
	return r;
}

static int run(struct ledger *l, enum statement which, const char *what)
{
	sqlite3_stmt *st = l->statements[which];
	int rc = sqlite3_step(st), r = 0;

	if (rc != SQLITE_DONE)
		r = fail_transaction(l, rc, what);
	sqlite3_reset(st);
	return r;
}

int ledger_begin(struct ledger *l, int64_t now_realtime_ns, bool *ret_needs_snapshot)
{
	int64_t hour = segment_hour(now_realtime_ns);
	int r = 0, rc;

	if (l->in_transaction)
		return ledger_fail(-EINVAL, "ledger: a transaction is open already");
	if (l->corrupt) {
		if (hour < l->name.hour)
			hour = l->name.hour;
		r = leave_corrupt(l);
	}
	if (r == 0 && (!l->db || hour > l->name.hour))
		r = begin_segment(l, hour);
	if (r < 0)
		return ledger_edge(r);
	rc = sqlite3_exec(l->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc)
		return fail_transaction(l, rc, "cannot begin a transaction in");
	l->in_transaction = true;
	l->failed = 0;
	l->now_ns = now_realtime_ns;
	l->pending = l->stored;
	*ret_needs_snapshot = !l->complete;
	return 0;
}

static int check_put(struct ledger *l, uint64_t sequence)
{
	if (!l->in_transaction)
		return ledger_fail(-EINVAL, "ledger: no transaction is open");
	if (l->failed)
		return l->failed;
	if (sequence >> SEQUENCE_BITS)
		return ledger_fail(-EOVERFLOW, "ledger: sequence %llu is too large",
				   (unsigned long long)sequence);
	return 0;
}

static struct names_statements names_statements(const struct ledger *l)
{
	sqlite3_stmt *const *st = l->statements;

	return (struct names_statements){ st[ST_TEXT_FIND], st[ST_TEXT_ADD],	st[ST_BOOT_FIND],
					  st[ST_BOOT_ADD],  st[ST_POLICY_FIND], st[ST_POLICY_ADD] };
}

/* Keys of what both kinds of record have. An SQLite code. */
static int common_keys(struct ledger *l, const struct names_statements *st, const char *host,
		       const char *boot_id, const char *function, const char *instance,
		       uint64_t sequence, struct row_keys *keys)
{
	int64_t boot;
	int rc = names_boot(l->names, st, host, boot_id, &boot);

	if (rc == SQLITE_OK)
		rc = names_text(l->names, st, function, &keys->function);
	if (rc == SQLITE_OK)
		rc = names_text(l->names, st, instance, &keys->instance);
	if (rc == SQLITE_OK)
		keys->record = (int64_t)((uint64_t)boot << SEQUENCE_BITS | sequence);
	return rc;
}

static int invocation_keys(struct ledger *l, const struct invocation_record *record,
			   struct row_keys *keys)
{
	struct names_statements st = names_statements(l);
	int rc = common_keys(l, &st, record->host, record->boot_id, record->function,
			     record->instance, record->sequence, keys);

	if (rc == SQLITE_OK)
		rc = names_text(l->names, &st, record->version, &keys->version);
	for (uint32_t i = 0; i < record->billed_count && rc == SQLITE_OK; i++)
		rc = names_policy(l->names, &st, record->billed[i].policy,
				  record->billed[i].version, &keys->billed[i]);
	return rc;
}

static bool is_stored_before(const struct ledger *l, const char *boot_id, uint64_t sequence,
			     uint64_t floor)
{
	return sequence <= floor && strcmp(boot_id, l->floor.boot_id) == 0;
}

static void note_sequence(struct ledger *l, const char *boot_id, uint64_t sequence, bool instance)
{
	uint64_t *highest = instance ? &l->pending.instance : &l->pending.invocation;

	if (strcmp(l->pending.boot_id, boot_id) != 0) {
		memset(&l->pending, 0, sizeof(l->pending));
		snprintf(l->pending.boot_id, sizeof(l->pending.boot_id), "%s", boot_id);
	}
	if (sequence > *highest)
		*highest = sequence;
}

static int add_to_rollup(struct ledger *l, const struct row_keys *keys,
			 const struct invocation_record *record)
{
	int rc;

	if (rollup_add(l->rollup, keys, record))
		return 0;
	rc = rollup_flush(l->rollup, l->statements[ST_ROLLUP], l->statements[ST_ROLLUP_BILLED]);
	if (rc != SQLITE_OK)
		return fail_transaction(l, rc, "cannot write the roll-up in");
	rollup_add(l->rollup, keys, record);
	return 0;
}

int ledger_put_invocation(struct ledger *l, const struct invocation_record *record)
{
	struct row_keys keys = { 0 };
	int r = check_put(l, record->sequence), rc;

	if (r < 0)
		return r;
	if (record->billed_count > RECORD_MAX_BILLED || record->id_len > ONCPU_ID_LEN ||
	    record->continues_len > ONCPU_ID_LEN)
		return ledger_fail(-EINVAL, "ledger: a record's lengths are out of range");
	if (is_stored_before(l, record->boot_id, record->sequence, l->floor.invocation))
		return 0;
	rc = invocation_keys(l, record, &keys);
	if (rc == SQLITE_OK)
		rc = rows_bind_invocation(l->statements[ST_INVOCATION], &keys, record);
	if (rc != SQLITE_OK)
		return fail_transaction(l, rc, "cannot write a name in");
	r = run(l, ST_INVOCATION, "cannot write an invocation in");
	if (r < 0 || sqlite3_changes(l->db) == 0)
		return r;
	note_sequence(l, record->boot_id, record->sequence, false);
	return add_to_rollup(l, &keys, record);
}

int ledger_put_instance(struct ledger *l, const struct instance_record *record)
{
	struct names_statements st = names_statements(l);
	struct row_keys keys = { 0 };
	int r = check_put(l, record->sequence), rc;

	if (r < 0)
		return r;
	if (is_stored_before(l, record->boot_id, record->sequence, l->floor.instance))
		return 0;
	rc = common_keys(l, &st, record->host, record->boot_id, record->function, record->instance,
			 record->sequence, &keys);
	if (rc == SQLITE_OK)
		rc = rows_bind_instance(l->statements[ST_INSTANCE], &keys, record);
	if (rc != SQLITE_OK)
		return fail_transaction(l, rc, "cannot write a name in");
	r = run(l, ST_INSTANCE, "cannot write an instance in");
	if (r == 0)
		note_sequence(l, record->boot_id, record->sequence, true);
	return r;
}

int ledger_put_state(struct ledger *l, uint64_t uid, const void *blob, size_t size)
{
	enum statement which = size ? ST_STATE_PUT : ST_STATE_DELETE;
	int r = check_put(l, 0), rc;

	if (r < 0)
		return r;
	rc = sqlite3_bind_int64(l->statements[which], 1, (int64_t)uid);
	if (rc == SQLITE_OK && size)
		rc = sqlite3_bind_blob64(l->statements[which], 2, blob, size, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		return fail_transaction(l, rc, "cannot write the state in");
	return run(l, which, "cannot write the state in");
}

static int put_meta(struct ledger *l, const struct ledger_meta *meta)
{
	sqlite3_stmt *st = l->statements[ST_META];

	sqlite3_bind_text(st, 1, meta->boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)meta->sequence);
	sqlite3_bind_int64(st, 3, (int64_t)meta->ring_position);
	sqlite3_bind_int64(st, 4, l->now_ns);
	sqlite3_bind_text(st, 5, l->floor.boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 6, (int64_t)l->floor.invocation);
	sqlite3_bind_int64(st, 7, (int64_t)l->floor.instance);
	return run(l, ST_META, "cannot write meta in");
}

int ledger_commit(struct ledger *l, const struct ledger_meta *meta)
{
	int r = check_put(l, 0), rc;

	if (!l->in_transaction)
		return r;
	if (r == 0) {
		rc = rollup_flush(l->rollup, l->statements[ST_ROLLUP],
				  l->statements[ST_ROLLUP_BILLED]);
		r = rc ? fail_transaction(l, rc, "cannot write the roll-up in") : put_meta(l, meta);
	}
	if (r == 0) {
		rc = sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL);
		if (rc)
			r = fail_transaction(l, rc, "cannot commit to");
	}
	if (r < 0) {
		ledger_rollback(l);
		return r;
	}
	l->in_transaction = false;
	l->complete = true;
	l->stored = l->pending;
	return 0;
}

void ledger_rollback(struct ledger *l)
{
	if (!l->in_transaction)
		return;
	/* SQLite has already rolled back by itself after some errors. */
	if (!sqlite3_get_autocommit(l->db))
		sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
	names_clear(l->names);
	rollup_clear(l->rollup);
	l->in_transaction = false;
}
