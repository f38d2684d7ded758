// SPDX-License-Identifier: GPL-2.0
/*
 * The writer's transactions: one a batch, all or nothing.
 *
 * Invariants: a segment gets its meta row in its first committed transaction, which carries every
 * open instance; after the first error nothing but a rollback is possible.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ledger/bills.h"
#include "ledger/chain.h"
#include "ledger/doubts.h"
#include "ledger/internal.h"

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

/* To a new segment's first transaction, those whose records may be kept still. */
static int take_doubts_over(struct ledger *l)
{
	_cleanup_free_ struct segment_file *files = NULL;
	size_t count = 0;
	int r;

	if (!l->restore_file[0])
		return 0;
	r = segment_list(l->directory, false, &files, &count);
	if (r == 0)
		r = doubts_carry(l->statements[ST_DOUBT_CARRY], l->directory, l->restore_file,
				 count ? files[0].name.hour : INT64_MIN);
	if (r == -EUCLEAN) /* restoring from it has found so, or will: it is set aside then */
		r = 0;
	return ledger_edge(r);
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
		r = ledger_leave_corrupt(l);
	}
	if (r == 0 && (!l->db || hour > l->name.hour))
		r = ledger_begin_segment(l, hour);
	if (r < 0)
		return ledger_edge(r);
	rc = sqlite3_exec(l->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc)
		return fail_transaction(l, rc, "cannot begin a transaction in");
	l->in_transaction = true;
	l->failed = 0;
	l->now_ns = now_realtime_ns;
	l->pending = l->stored;
	if (!l->complete) {
		r = take_doubts_over(l);
		if (r < 0) {
			ledger_rollback(l);
			return r;
		}
	}
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

static int flush_bills(struct ledger *l)
{
	int rc = bills_flush(l->bills, l->statements[ST_BILLS], l->statements[ST_RULE_SET_ADD],
			     l->statements[ST_RULE_SET_FIND]);

	return rc ? fail_transaction(l, rc, "cannot write the bills in") : 0;
}

/* A record that cannot be sealed is not stored without its seal: the transaction fails. */
static int seal_failed(struct ledger *l, int r)
{
	if (r < 0 && !l->failed)
		l->failed = r;
	return r;
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
	r = seal_failed(l, chain_seal_invocation(l->chain, record, &keys.seal));
	if (r < 0)
		return r;
	rc = invocation_keys(l, record, &keys);
	if (rc == SQLITE_OK)
		rc = rows_bind_invocation(l->statements[ST_INVOCATION], &keys, record);
	if (rc != SQLITE_OK)
		return fail_transaction(l, rc, "cannot write a name in");
	r = run(l, ST_INVOCATION, "cannot write an invocation in");
	if (r < 0 || sqlite3_changes(l->db) == 0)
		return r;
	chain_take(l->chain);
	note_sequence(l, record->boot_id, record->sequence, false);
	r = add_to_rollup(l, &keys, record);
	if (r < 0 || bills_add(l->bills, keys.function, record))
		return r;
	r = flush_bills(l);
	if (r == 0)
		bills_add(l->bills, keys.function, record);
	return r;
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
	r = seal_failed(l, chain_seal_instance(l->chain, record, &keys.seal));
	if (r < 0)
		return r;
	rc = common_keys(l, &st, record->host, record->boot_id, record->function, record->instance,
			 record->sequence, &keys);
	if (rc == SQLITE_OK)
		rc = rows_bind_instance(l->statements[ST_INSTANCE], &keys, record);
	if (rc != SQLITE_OK)
		return fail_transaction(l, rc, "cannot write a name in");
	r = run(l, ST_INSTANCE, "cannot write an instance in");
	if (r < 0)
		return r;
	note_sequence(l, record->boot_id, record->sequence, true);
	if (sqlite3_changes(l->db) == 0)
		return 0;
	chain_take(l->chain);
	if (bills_add_close(l->bills, keys.function, record))
		return 0;
	r = flush_bills(l);
	if (r == 0)
		bills_add_close(l->bills, keys.function, record);
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

int ledger_put_doubt(struct ledger *l, const struct ledger_doubt *doubt)
{
	int r = check_put(l, doubt->through), rc, changes = 0;

	for (int i = 0; i < 2 && r == 0 && !changes; i++) {
		enum statement which = i ? ST_DOUBT_ADD : ST_DOUBT_EXTEND;

		rc = doubts_bind(l->statements[which], doubt, l->name.hour);
		if (rc != SQLITE_OK)
			return fail_transaction(l, rc, "cannot write a doubt in");
		r = run(l, which, "cannot write a doubt in");
		changes = sqlite3_changes(l->db);
	}
	return r;
}

static int put_meta(struct ledger *l, const struct ledger_meta *meta)
{
	sqlite3_stmt *st = l->statements[ST_META];

	sqlite3_bind_text(st, 1, meta->boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)meta->sequence);
	sqlite3_bind_int64(st, 3, (int64_t)meta->ring_position);
	sqlite3_bind_int64(st, 4, (int64_t)meta->pins);
	sqlite3_bind_int64(st, 5, l->now_ns);
	sqlite3_bind_text(st, 6, l->floor.boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 7, (int64_t)l->floor.invocation);
	sqlite3_bind_int64(st, 8, (int64_t)l->floor.instance);
	return run(l, ST_META, "cannot write meta in");
}

static int put_chain(struct ledger *l)
{
	if (!chain_bind(l->chain, l->statements[ST_CHAIN]))
		return 0;
	return run(l, ST_CHAIN, "cannot write the chain in");
}

/* Before the commit, so that no record is ever stored beyond what the mark says. */
static int move_mark(struct ledger *l, const struct ledger_meta *meta)
{
	struct ledger_mark next;
	char file[64];
	int r;

	segment_format(&l->name, file, sizeof(file));
	if (mark_covers(&l->mark, meta->boot_id, meta->sequence, file))
		return 0;
	next = mark_next(meta->boot_id, meta->sequence, file);
	r = mark_write(l->directory, l->lock_fd, &next);
	if (r == 0)
		l->mark = next;
	return r;
}

/* Nothing was stored: or each failure would use sequences up. */
static void take_mark_back(struct ledger *l, const struct ledger_mark *before)
{
	if (memcmp(&l->mark, before, sizeof(*before)) == 0)
		return;
	l->mark = *before;
	mark_write(l->directory, l->lock_fd, before);
}

int ledger_commit(struct ledger *l, const struct ledger_meta *meta)
{
	struct ledger_mark before = l->mark;
	int r = check_put(l, 0), rc;

	if (!l->in_transaction)
		return r;
	if (r == 0) {
		rc = rollup_flush(l->rollup, l->statements[ST_ROLLUP],
				  l->statements[ST_ROLLUP_BILLED]);
		r = rc ? fail_transaction(l, rc, "cannot write the roll-up in") : flush_bills(l);
	}
	if (r == 0)
		r = put_meta(l, meta);
	if (r == 0)
		r = put_chain(l);
	if (r == 0)
		r = move_mark(l, meta);
	if (r == 0) {
		rc = sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL);
		if (rc) {
			take_mark_back(l, &before);
			r = fail_transaction(l, rc, "cannot commit to");
		}
	}
	if (r < 0) {
		ledger_rollback(l);
		return r;
	}
	l->in_transaction = false;
	chain_commit(l->chain);
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
	bills_clear(l->bills);
	chain_rollback(l->chain);
	l->in_transaction = false;
}
