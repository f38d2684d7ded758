/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the ledger's files share; nobody outside agent/ledger and its tests includes this.
 *
 * Errors: functions return 0 or -errno and say why through ledger_fail*(). A damaged file is
 * -EUCLEAN in here and -EIO at the public edge (ledger_edge).
 */
#ifndef ONCPU_LEDGER_INTERNAL_H
#define ONCPU_LEDGER_INTERNAL_H

#include <limits.h>
#include <sqlite3.h>

#include "ledger/ledger.h"

#define NS_PER_HOUR 3600000000000ll
#define NS_PER_MINUTE 60000000000ll
#define SEQUENCE_BITS 40 /* record_key = boot_key << SEQUENCE_BITS | sequence */

/* ---- error.c ---- */
int ledger_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
int ledger_fail_db(sqlite3 *db, int rc, const char *what, const char *path); /* translates rc */
int ledger_edge(int r);

/* ---- segment.c: names and files ---- */
struct segment_name {
	int64_t hour;	 /* hours since the epoch */
	uint32_t suffix; /* 0, or N of "ledger-YYYYMMDDTHH.N.db" */
};
struct segment_file {
	struct segment_name name;
	bool corrupt;  /* set aside */
	bool newest;   /* of those that are not: the one that may be being written */
	char file[64]; /* within the directory */
};
int segment_compare(const struct segment_name *a, const struct segment_name *b);
void segment_format(const struct segment_name *name, char *buffer, size_t size);
int64_t segment_hour(int64_t realtime_ns);
/* Segments, oldest first; the ones set aside only if `corrupt_too`. The caller frees the array. */
int segment_list(const char *directory, bool corrupt_too, struct segment_file **ret_files,
		 size_t *ret_count);
int segment_set_aside(const char *directory, const char *file);
int segment_unlink(const char *directory, const char *file);
bool segment_has_wal(const char *path);
int path_join(char *buffer, size_t size, const char *directory, const char *file);

/* ---- database.c: connections ---- */
int database_open_write(const char *path, bool create, sqlite3 **ret_db);
/* *ret_db is NULL when there is nothing to read: vanished, or still being made. */
int database_open_read(const char *path, sqlite3 **ret_db);
int database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement);
int database_exec(sqlite3 *db, const char *sql);
/* Leaves one plain file without -wal and -shm, if no reader is in the way; closes in any case. */
void database_seal(sqlite3 **db);

/* ---- schema.c ---- */
#define LEDGER_SCHEMA_VERSION 5
struct schema_step {
	const char *sql; /* takes version i to i + 1 */
};
extern const struct schema_step ledger_schema[LEDGER_SCHEMA_VERSION];
int schema_version(sqlite3 *db, int *ret_version);
int schema_migrate(sqlite3 *db, const struct schema_step *steps, int count);

/* ---- rows.c: records as columns ---- */
struct row_keys {
	int64_t record, function, instance, version;
	int64_t billed[RECORD_MAX_BILLED]; /* policy keys */
	const uint8_t *seal;		   /* SEAL_BYTES of core/seal.h, or NULL */
};
struct row_policies { /* the table policies of one segment */
	struct row_policy {
		int64_t key;
		char name[24];
		uint32_t version;
	} list[16];
	unsigned count;
};
int rows_insert_invocation_sql(char *buffer, size_t size);
int rows_insert_instance_sql(char *buffer, size_t size);
/* "SELECT … FROM invocations AS r", of a segment of that schema: closed ones stay as they are. */
int rows_select_invocation_sql(int version, char *buffer, size_t size);
int rows_select_instance_sql(int version, char *buffer, size_t size);
int rows_bind_invocation(sqlite3_stmt *st, const struct row_keys *keys,
			 const struct invocation_record *record);
int rows_bind_instance(sqlite3_stmt *st, const struct row_keys *keys,
		       const struct instance_record *record);
void rows_read_invocation(sqlite3_stmt *st, const struct row_policies *policies,
			  struct invocation_record *ret_record);
void rows_read_instance(sqlite3_stmt *st, struct instance_record *ret_record);
int rows_load_policies(sqlite3 *db, struct row_policies *ret_policies);

/* ---- tally.c: what is summed per function, in memory and in the roll-up ---- */
enum tally_column {
	TALLY_COUNT,
	TALLY_COLD_STARTS,
	TALLY_ERRORS,
	TALLY_TIMEOUTS,
	TALLY_CRASHED,
	TALLY_FLAGGED,
	TALLY_WALL,
	TALLY_CPU,
	TALLY_INIT_WALL,
	TALLY_INIT_CPU,
	TALLY_AFTER_CPU,
	TALLY_BETWEEN_CPU,
	TALLY_RUN_QUEUE,
	TALLY_MAX_BOUND, /* a maximum, not a sum */
	TALLY_COLUMNS
};
extern const char *const tally_names[TALLY_COLUMNS];
int64_t tally_add(int64_t a, int64_t b); /* saturates */
void tally_of_record(const struct invocation_record *record, int64_t values[TALLY_COLUMNS]);
void tally_merge(int64_t into[TALLY_COLUMNS], const int64_t from[TALLY_COLUMNS]);

/* ---- rollup.c: the per-minute table, gathered in memory within a transaction ---- */
struct rollup;
int rollup_new(struct rollup **ret_rollup);
void rollup_free(struct rollup **rollup);
void rollup_clear(struct rollup *rollup);
/* False: nothing was added, there is no room; flush, then it will go. */
bool rollup_add(struct rollup *rollup, const struct row_keys *keys,
		const struct invocation_record *record);
int rollup_upsert_sql(char *buffer, size_t size);
#define ROLLUP_BILLED_SQL                                                                          \
	"INSERT INTO rollup_billed(minute,function,policy,billed_ns) VALUES(?1,?2,?3,?4) "         \
	"ON CONFLICT DO UPDATE SET billed_ns=billed_ns+excluded.billed_ns"
/* An SQLite code. */
int rollup_flush(struct rollup *rollup, sqlite3_stmt *sums, sqlite3_stmt *billed);

/* ---- names.c: caches of the dictionary tables of the segment being written ---- */
struct names;
int names_new(struct names **ret_names);
void names_free(struct names **names);
void names_clear(struct names *names); /* after a rollback or on a new segment */
struct names_statements {
	sqlite3_stmt *text_find, *text_add, *boot_find, *boot_add, *policy_find, *policy_add;
};
/* 0 or an SQLite code. */
int names_text(struct names *names, const struct names_statements *st, const char *text,
	       int64_t *ret_key);
int names_boot(struct names *names, const struct names_statements *st, const char *host,
	       const char *boot_id, int64_t *ret_key);
int names_policy(struct names *names, const struct names_statements *st, const char *policy,
		 uint32_t version, int64_t *ret_key);

/* ---- mark.c: what outlives the loss of the newest segment ---- */
struct ledger_mark {
	char boot_id[RECORD_BOOT_LEN];
	uint64_t sequence; /* no record of that boot has one beyond it */
	char file[64];	   /* the segment of the last commit; "" = there was none */
};
void mark_read(int fd, struct ledger_mark *ret_mark); /* untouched where there is none */
int mark_write(const char *directory, int fd, const struct ledger_mark *mark);
bool mark_covers(const struct ledger_mark *mark, const char *boot_id, uint64_t sequence,
		 const char *file);
/* One that covers many records more. */
struct ledger_mark mark_next(const char *boot_id, uint64_t sequence, const char *file);

/* ---- restore.c ---- */
/* Highest record sequences known to be stored for one boot. */
struct ledger_floor {
	char boot_id[RECORD_BOOT_LEN];
	uint64_t invocation, instance;
};
/* *ret_complete: the segment has its meta row. The outputs stay as they are without it. */
int restore_read_meta(sqlite3 *db, struct ledger_meta *ret_meta, struct ledger_floor *ret_stored,
		      struct ledger_floor *ret_floor, bool *ret_complete);

/* ---- contents.c ---- */
struct content_identity { /* of a file: another one, or another state of it, differs */
	uint64_t inode;
	int64_t size, seconds, nanoseconds;
};
enum content_answer { CONTENT_UNKNOWN, CONTENT_NOTHING, CONTENT_SOME };
int content_identify(const char *path, struct content_identity *ret_identity);
/* Has a closed segment an invocation for the query, as far as function and times tell? */
enum content_answer contents_ask(struct ledger_contents *contents, const struct segment_name *name,
				 const struct content_identity *identity,
				 const struct ledger_query *query);
/* How many functions a reader looks up to learn of segments, so that its answer is not late for
 * it; its next one goes on. */
#define CONTENTS_BUDGET 1024u
/* The identity is from before `db` was opened. What cannot be read is not learnt. */
void contents_learn(struct ledger_contents *contents, const struct segment_name *name,
		    const struct content_identity *identity, sqlite3 *db, unsigned *budget);
void contents_forget_before(struct ledger_contents *contents, const struct segment_name *oldest);

/* ---- read.c ---- */
struct ledger_reader {
	char *directory;
	struct ledger_contents *contents; /* shared, or NULL */
	unsigned budget;		  /* for learning */
	char cause[400], damage[512];	  /* of the first damaged segment met; and as it is told */
	char damaged[8][64];		  /* the first of them: several passes may meet one again */
	unsigned damaged_count;
};
/* After an error of a segment's own (not a visitor's): 0 if it is damage, which is noted. */
int reader_pass_over(struct ledger_reader *reader, const char *file, int error);
/* The key of a function's name in a segment; *ret_key is -1 when the segment has none. */
int read_function_key(sqlite3 *db, const char *function, int64_t *ret_key);

/* ---- open.c, write.c ---- */
enum statement {
	ST_TEXT_FIND,
	ST_TEXT_ADD,
	ST_BOOT_FIND,
	ST_BOOT_ADD,
	ST_POLICY_FIND,
	ST_POLICY_ADD,
	ST_INVOCATION,
	ST_INSTANCE,
	ST_STATE_PUT,
	ST_STATE_DELETE,
	ST_META,
	ST_ROLLUP,
	ST_ROLLUP_BILLED,
	ST_BILLS,
	ST_RULE_SET_ADD,
	ST_RULE_SET_FIND,
	ST_CHAIN,
	ST_DOUBT_EXTEND,
	ST_DOUBT_ADD,
	ST_DOUBT_CARRY,
	ST_COUNT
};

struct ledger {
	char *directory;
	uint64_t retain_seconds, retain_bytes;
	int lock_fd;

	sqlite3 *db; /* the segment being written, or NULL */
	sqlite3_stmt *statements[ST_COUNT];
	struct segment_name name;
	char path[PATH_MAX];
	bool complete; /* it has its first, full transaction */
	bool corrupt;  /* to be set aside by the next begin */

	bool in_transaction;
	int failed; /* first error inside the transaction */
	int64_t now_ns;

	/* Where the last complete transaction is, if not in db: for ledger_restore. "" = nowhere.
	 */
	char restore_file[64];
	struct ledger_mark mark;   /* as it stands in ledger.lock */
	char notice[512];	   /* segments set aside */
	bool noticed;		   /* told already */
	struct ledger_floor floor; /* in segments before this one: records up to here are ignored */
	struct ledger_floor stored;  /* committed anywhere */
	struct ledger_floor pending; /* and in this transaction */

	struct names *names;
	struct rollup *rollup;
	struct bills *bills; /* bills.h */
	struct chain *chain; /* chain.h */
};

/* Closes the segment being written, if any, and begins that of `hour`. After a failure
 * the old one is still open, or none is. */
int ledger_begin_segment(struct ledger *l, int64_t hour);
/* The segment turned out damaged while it was used: sets it aside; none is open afterwards, and the
 * one before it is what there is to restore from. */
int ledger_leave_corrupt(struct ledger *l);
int ledger_leave_older(struct ledger *l); /* likewise of that one */
/* Sets a damaged segment aside and remembers to tell. */
int ledger_set_aside(struct ledger *l, const char *file);
/* Finds restore_file below the segment being written; damaged ones are set aside on the way. */
int ledger_find_older(struct ledger *l);

#endif
