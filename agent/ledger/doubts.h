/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records in doubt: what an audit found out about them when they were stored already. They stay as
 * they were stored; the table doubts says of which stretches they are, and readers join it. The
 * newest complete segment has the doubts of all that are kept: each new one takes them over.
 */
#ifndef ONCPU_LEDGER_DOUBTS_H
#define ONCPU_LEDGER_DOUBTS_H

#include "ledger/internal.h"

/* ?1 boot_id ?2 instance ?3 after ?4 through ?5 hour ?6 difference_ns ?7 cause: a stretch that
 * begins where the instance's last one ended makes that longer */
#define DOUBT_EXTEND_SQL                                                                           \
	"UPDATE doubts SET through_sequence=?4,hour=?5,difference_ns=difference_ns+?6,cause=?7,"   \
	"mismatches=mismatches+1 WHERE boot_id=?1 AND instance=?2 AND through_sequence=?3"
#define DOUBT_ADD_SQL                                                                              \
	"INSERT OR IGNORE INTO doubts(boot_id,instance,after_sequence,through_sequence,hour,"      \
	"difference_ns,cause,mismatches) VALUES(?1,?2,?3,?4,?5,?6,?7,1)"
#define DOUBT_CARRY_SQL                                                                            \
	"INSERT OR IGNORE INTO doubts(boot_id,instance,after_sequence,through_sequence,hour,"      \
	"difference_ns,cause,mismatches) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"

/* For both of the first two. An SQLite code. */
int doubts_bind(sqlite3_stmt *st, const struct ledger_doubt *doubt, int64_t hour);
/* From the segment `file` to the one being written, those from `oldest_hour` on. In a transaction.
 * Damage of the old one is -EUCLEAN. */
int doubts_carry(sqlite3_stmt *carry, const char *directory, const char *file, int64_t oldest_hour);

/* A reader's: opened at its first use, on a connection of its own. All zero = not yet. */
struct doubts {
	bool looked;
	struct ledger_reader *reader; /* borrowed: is told of damage */
	sqlite3 *db;		      /* NULL: nothing is in doubt */
	sqlite3_stmt *find;
	char file[64];
};
void doubts_apply(struct doubts *doubts, struct ledger_reader *reader,
		  struct invocation_record *record);
/* Per function of the segment `db`: records with no flag of their own that are in doubt and ended
 * in minutes [from, to). function -1 = all. A visitor's result but 0 ends it and is returned. */
int doubts_count(struct doubts *doubts, struct ledger_reader *reader, sqlite3 *db, int64_t from,
		 int64_t to, int64_t function,
		 int (*visit)(void *user, const char *function, int64_t count), void *user);
void doubts_close(struct doubts *doubts);

#endif
