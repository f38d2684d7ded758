/* SPDX-License-Identifier: GPL-2.0 */
/* The roll-up of billed times, written (bills.c) and read (bills_read.c). Within agent/ledger. */
#ifndef ONCPU_LEDGER_BILLS_H
#define ONCPU_LEDGER_BILLS_H

#include "core/bill_table.h"
#include "ledger/internal.h"

#define BILLS_RULES 24 /* columns; further rules are summed from rows */
#define BILLS_RULE_SET_LEN (BILLS_RULES * BILL_RULE_TEXT_LEN)
#define BILLS_SCHEMA 3 /* segments before it have none */

extern const char *const bill_time_columns[BILL_TIMES];

/* ---- writing; the struct itself is declared in internal.h ---- */
int bills_new(const struct policies *set, struct bills **ret_bills); /* set: borrowed */
void bills_free(struct bills **bills);
void bills_clear(struct bills *bills); /* after a rollback, and on a new segment */
/* False: nothing was added, there is no room; flush, then it will go. */
bool bills_add(struct bills *bills, int64_t function, const struct invocation_record *record);
bool bills_add_close(struct bills *bills, int64_t function, const struct instance_record *record);
int bills_upsert_sql(char *buffer, size_t size);
#define BILLS_ADD_SET_SQL "INSERT OR IGNORE INTO rule_sets(rules) VALUES(?1)"
#define BILLS_FIND_SET_SQL "SELECT set_key FROM rule_sets WHERE rules=?1"
/* An SQLite code. */
int bills_flush(struct bills *bills, sqlite3_stmt *upsert, sqlite3_stmt *add_set,
		sqlite3_stmt *find_set);
/* The texts of a set's first BILLS_RULES rules, a line each. */
void bills_rule_set_text(const struct policies *set, char *buffer, size_t size);

/* ---- reading ---- */
/* Which rules of a set some policies rest on. */
void bills_needed(const struct policies *set, const struct compare_choice *choice,
		  bool ret_needed[POLICIES_MAX_RULES]);
/* Minutes [from, to) of one segment into the table, within the caller's transaction; function -1 =
 * all. `number` gives the caller's number of a function's name. */
typedef int (*bills_number_fn)(void *user, const char *function, uint32_t *ret_number);
int bills_read_segment(sqlite3 *db, int64_t function, int64_t from, int64_t to,
		       const bool needed[POLICIES_MAX_RULES], struct bill_table *table,
		       bills_number_fn number, void *user);

#endif
