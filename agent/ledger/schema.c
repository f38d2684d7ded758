// SPDX-License-Identifier: GPL-2.0
/*
 * The segment's format, as a stranger needs it, and the steps that led to it.
 *
 * A segment is one SQLite database. PRAGMA user_version is the schema's version; 0 is a file that
 * was created and not yet filled. Step i takes version i to i + 1 in one transaction; steps are
 * never changed, only added. Only the segment being written is migrated: closed ones never change.
 * All times are integer nanoseconds, *_realtime_ns since the epoch (UTC).
 *
 * texts		every name, once: functions, instances, versions
 * boots		host and boot id. record_key = boot_key << 40 | sequence, in both record
 *tables, so the same record again is the same row policies		billing policy and its
 *version invocations		oncpu.invocation/1, a column a field (agent/core/record.h); -1 =
 *unknown; `flags` is a bit mask of enum record_flag; id and continues are raw bytes, NULL = none;
 *			segments: pairs of wall_ns and cpu_ns, 8 bytes each, little-endian;
 *			extensions: 80 bytes each, struct record_extension of agent/core/record.h
 *			function, instance, version → texts; billed<i>_policy → policies, NULL =
 *none instances		oncpu.instance/1, likewise
 * rollup		per minute (of the end, minutes since the epoch) and function: counts and
 *			sums of all its rows in invocations, and the lowest and highest record_key
 * rollup_billed	and the sum of billed_ns per policy
 * rule_sets		the rules that an agent rolled up under, a line each (bill_rule_text of
 *			agent/core/policy.h): line i is billed<i>_ns of its rows in bills
 * bills		since version 3, per minute, function, rule set, memory configured and
 *observed (in classes, MB) and vCPUs (thousandths), -1 = unknown: counts and sums of the rows in
 *invocations (enum bill_time of agent/core/billing.h), and of what each rule bills for them; what
 *ended instances add, in rows of -1, -1, -1
 * chain		since version 4, one row where records are sealed (agent/core/seal.h): how,
 *and the last seal before this segment's first (anchor) and its last one. seal of a record:
 *position, 8 bytes big-endian; previous hash; hash; NULL = none state		open instances, one
 *blob each (agent/core's own format)
 * doubts		since version 5, stretches of records about which an audit found out
 *something when they were stored: of one instance, with sequences above after_ and up to
 *through_sequence, in this segment and older ones; hour: of the segment it was written to first.
 *The newest complete segment has all of them, readers show them as the flag audit_mismatch
 * meta			one row; what the last transaction left. A segment without it never had its
 *			first, full transaction: the segment before it is the one to restore from.
 *			floor_*: records of that boot up to these sequences are in older segments;
 *			pins: the kernel side (in that boot) whose ring_position and state it is
 */
#include <errno.h>
#include <stdio.h>

#include "ledger/internal.h"

#define RULE(i) "billed" #i "_ns INTEGER NOT NULL"
#define RULES8_0                                                                                   \
	RULE(0) "," RULE(1) "," RULE(2) "," RULE(3) "," RULE(4) "," RULE(5) "," RULE(6) "," RULE(7)
#define RULES8_1                                                                                   \
	RULE(8)                                                                                    \
	"," RULE(9) "," RULE(10) "," RULE(11) "," RULE(12) "," RULE(13) "," RULE(14) "," RULE(15)
#define RULES8_2                                                                                   \
	RULE(16)                                                                                   \
	"," RULE(17) "," RULE(18) "," RULE(19) "," RULE(20) "," RULE(21) "," RULE(22) "," RULE(23)
#define BILLED(i) "billed" #i "_policy INTEGER,billed" #i "_ns INTEGER"

const struct schema_step ledger_schema[LEDGER_SCHEMA_VERSION] = {
	{ "PRAGMA application_id=1869505392;"
	  "CREATE TABLE texts(text_key INTEGER PRIMARY KEY,text TEXT NOT NULL UNIQUE);"
	  "CREATE TABLE boots(boot_key INTEGER PRIMARY KEY,host TEXT NOT NULL,"
	  "boot_id TEXT NOT NULL,UNIQUE(boot_id,host));"
	  "CREATE TABLE policies(policy_key INTEGER PRIMARY KEY,name TEXT NOT NULL,"
	  "version INTEGER NOT NULL,UNIQUE(name,version));"
	  "CREATE TABLE invocations(record_key INTEGER PRIMARY KEY,function INTEGER NOT NULL,"
	  "instance INTEGER NOT NULL,version INTEGER NOT NULL,id BLOB,continues BLOB,"
	  "segments BLOB,extensions BLOB,"
	  "status INTEGER NOT NULL,cold_start INTEGER NOT NULL,flags INTEGER NOT NULL,"
	  "start_realtime_ns INTEGER NOT NULL,end_realtime_ns INTEGER NOT NULL,"
	  "wall_ns INTEGER NOT NULL,cpu_ns INTEGER NOT NULL,cpu_error_bound_ns INTEGER NOT NULL,"
	  "init_wall_ns INTEGER NOT NULL,init_cpu_ns INTEGER NOT NULL,"
	  "after_response_wall_ns INTEGER NOT NULL,after_response_cpu_ns INTEGER NOT NULL,"
	  "between_wall_ns INTEGER NOT NULL,between_cpu_ns INTEGER NOT NULL,"
	  "freeze_count INTEGER NOT NULL,freeze_wall_ns INTEGER NOT NULL,"
	  "freeze_cpu_ns INTEGER NOT NULL,run_queue_ns INTEGER NOT NULL,"
	  "voluntary INTEGER NOT NULL,involuntary INTEGER NOT NULL,threads INTEGER NOT NULL,"
	  "memory_mb INTEGER NOT NULL,max_memory_bytes INTEGER NOT NULL,"
	  "quota_us INTEGER NOT NULL,period_us INTEGER NOT NULL,"
	  "marks_lost INTEGER NOT NULL,events_lost INTEGER NOT NULL," BILLED(0) "," BILLED(
		  1) "," BILLED(2) "," BILLED(3) ");"
						 "CREATE INDEX invocations_by_function ON "
						 "invocations(function,end_realtime_ns);"
						 "CREATE TABLE instances(record_key INTEGER "
						 "PRIMARY KEY,function INTEGER NOT NULL,"
						 "instance INTEGER NOT NULL,uid INTEGER NOT "
						 "NULL,cgroup_id INTEGER NOT NULL,"
						 "flags INTEGER NOT NULL,start_realtime_ns INTEGER "
						 "NOT NULL,"
						 "end_realtime_ns INTEGER NOT NULL,total_cpu_ns "
						 "INTEGER NOT NULL,"
						 "init_cpu_ns INTEGER NOT NULL,invocations_cpu_ns "
						 "INTEGER NOT NULL,"
						 "freeze_cpu_ns INTEGER NOT NULL,between_cpu_ns "
						 "INTEGER NOT NULL,"
						 "last_between_wall_ns INTEGER NOT "
						 "NULL,last_between_cpu_ns INTEGER NOT NULL,"
						 "invocations INTEGER NOT NULL,unmatched INTEGER "
						 "NOT NULL,"
						 "events_lost INTEGER NOT NULL,marks_lost INTEGER "
						 "NOT NULL);"
						 "CREATE TABLE rollup(minute INTEGER NOT "
						 "NULL,function INTEGER NOT NULL,"
						 "first_key INTEGER NOT NULL,last_key INTEGER NOT "
						 "NULL,count INTEGER NOT NULL,"
						 "cold_starts INTEGER NOT NULL,errors INTEGER NOT "
						 "NULL,timeouts INTEGER NOT NULL,"
						 "crashed INTEGER NOT NULL,flagged INTEGER NOT "
						 "NULL,wall_ns INTEGER NOT NULL,"
						 "cpu_ns INTEGER NOT NULL,init_wall_ns INTEGER NOT "
						 "NULL,init_cpu_ns INTEGER NOT NULL,"
						 "after_response_cpu_ns INTEGER NOT "
						 "NULL,between_cpu_ns INTEGER NOT NULL,"
						 "run_queue_ns INTEGER NOT NULL,max_error_bound_ns "
						 "INTEGER NOT NULL,"
						 "PRIMARY KEY(minute,function)) WITHOUT ROWID;"
						 "CREATE TABLE rollup_billed(minute INTEGER NOT "
						 "NULL,function INTEGER NOT NULL,"
						 "policy INTEGER NOT NULL,billed_ns INTEGER NOT "
						 "NULL,"
						 "PRIMARY KEY(minute,function,policy)) WITHOUT "
						 "ROWID;"
						 "CREATE TABLE state(uid INTEGER PRIMARY KEY,blob "
						 "BLOB NOT NULL);"
						 "CREATE TABLE meta(one INTEGER PRIMARY KEY "
						 "CHECK(one=1),boot_id TEXT NOT NULL,"
						 "sequence INTEGER NOT NULL,ring_position INTEGER "
						 "NOT NULL,pins INTEGER NOT NULL,"
						 "committed_realtime_ns INTEGER NOT "
						 "NULL,floor_boot_id TEXT NOT NULL,"
						 "floor_invocation INTEGER NOT NULL,floor_instance "
						 "INTEGER NOT NULL);" },
	{ "ALTER TABLE invocations ADD COLUMN where_running_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN where_run_queue_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN where_throttled_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN where_blocked_io_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN where_idle_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN where_frozen_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN steal_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN irq_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE invocations ADD COLUMN cpu_net_ns INTEGER NOT NULL DEFAULT -1;"
	  "ALTER TABLE instances ADD COLUMN audits INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE instances ADD COLUMN audit_mismatches INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE instances ADD COLUMN audit_difference_ns INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE instances ADD COLUMN audit_worst_ns INTEGER NOT NULL DEFAULT 0;" },
	{ "CREATE TABLE rule_sets(set_key INTEGER PRIMARY KEY,rules TEXT NOT NULL UNIQUE);"
	  "CREATE TABLE bills(minute INTEGER NOT NULL,function INTEGER NOT NULL,"
	  "rule_set INTEGER NOT NULL,memory_mb INTEGER NOT NULL,used_mb INTEGER NOT NULL,"
	  "vcpu_milli INTEGER NOT NULL,count INTEGER NOT NULL,first_ns INTEGER NOT NULL,"
	  "last_ns INTEGER NOT NULL,awake_ns INTEGER NOT NULL,cpu_ns INTEGER NOT NULL,"
	  "init_wall_ns INTEGER NOT NULL,init_cpu_ns INTEGER NOT NULL,"
	  "restore_ns INTEGER NOT NULL,after_response_wall_ns INTEGER NOT NULL,"
	  "after_response_cpu_ns INTEGER NOT NULL,between_wall_ns INTEGER NOT NULL,"
	  "between_cpu_ns INTEGER NOT NULL,freeze_wall_ns INTEGER NOT NULL,"
	  "last_wall_ns INTEGER NOT NULL," RULES8_0 "," RULES8_1 "," RULES8_2 ","
	  "PRIMARY KEY(minute,function,rule_set,memory_mb,used_mb,vcpu_milli)) WITHOUT ROWID;" },
	{ "ALTER TABLE invocations ADD COLUMN seal BLOB;"
	  "ALTER TABLE instances ADD COLUMN seal BLOB;"
	  "CREATE TABLE chain(one INTEGER PRIMARY KEY CHECK(one=1),method TEXT NOT NULL,"
	  "anchor_position INTEGER NOT NULL,anchor_hash BLOB NOT NULL,"
	  "position INTEGER NOT NULL,hash BLOB NOT NULL);" },
	{ "CREATE TABLE doubts(boot_id TEXT NOT NULL,instance TEXT NOT NULL,"
	  "after_sequence INTEGER NOT NULL,through_sequence INTEGER NOT NULL,hour INTEGER NOT NULL,"
	  "difference_ns INTEGER NOT NULL,cause TEXT NOT NULL,mismatches INTEGER NOT NULL,"
	  "PRIMARY KEY(boot_id,instance,after_sequence)) WITHOUT ROWID;"
	  "CREATE INDEX doubts_by_end ON doubts(boot_id,through_sequence);" },
};

int schema_version(sqlite3 *db, int *ret_version)
{
	sqlite3_stmt *st = NULL;
	int r = database_prepare(db, "PRAGMA user_version", &st), rc;

	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret_version = sqlite3_column_int(st, 0);
	else
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	sqlite3_finalize(st);
	return r;
}

static int run_step(sqlite3 *db, const struct schema_step *step, int to)
{
	char version[48];
	int r;

	snprintf(version, sizeof(version), "PRAGMA user_version=%d", to);
	r = database_exec(db, "BEGIN IMMEDIATE");
	if (r < 0)
		return r;
	r = database_exec(db, step->sql);
	if (r == 0)
		r = database_exec(db, version);
	if (r == 0)
		r = database_exec(db, "COMMIT");
	if (r < 0 && !sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int schema_migrate(sqlite3 *db, const struct schema_step *steps, int count)
{
	int version, r = schema_version(db, &version);

	if (r < 0)
		return r;
	if (version > count)
		return ledger_fail(-EPROTO,
				   "ledger: %s has schema %d, newer than this program's %d; use "
				   "the program that wrote it, or a newer one",
				   sqlite3_db_filename(db, NULL), version, count);
	for (; version < count && r == 0; version++)
		r = run_step(db, &steps[version], version + 1);
	return r;
}
