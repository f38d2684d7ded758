/* SPDX-License-Identifier: GPL-2.0 */
/* One query as it goes from segment to segment: shared by read.c, page.c and follow.c. */
#ifndef ONCPU_LEDGER_SCAN_H
#define ONCPU_LEDGER_SCAN_H

#include "ledger/doubts.h"
#include "ledger/internal.h"

enum kind { KIND_INVOCATION, KIND_INSTANCE };

struct scan {
	enum kind kind;
	struct ledger_reader *reader;
	struct doubts doubts; /* to be closed by whoever began the scan */
	const struct ledger_query *query;
	bool by_key; /* in the order of storing, also for one function */
	int (*visit)(struct scan *scan, sqlite3_stmt *st);
	ledger_invocation_fn visit_invocation;
	ledger_instance_fn visit_instance;
	void *user;
	bool refused;		      /* by the visitor: the error is its own */
	struct row_policies policies; /* of the segment being read */
};

/* The part of one segment that a query reads. */
struct part {
	sqlite3 *db;
	int64_t function;	   /* its key, if the query names one */
	int64_t low_key, high_key; /* record keys to look at */
	int64_t cut_end, cut_key;  /* from this row on */
	int64_t top_end, top_key;  /* and before this one */
	int64_t limit;		   /* rows, -1 = all */
};

/* By the end (and the index on it), or by the record's key? */
static inline bool scan_is_by_end(const struct scan *scan)
{
	return scan->kind == KIND_INVOCATION && scan->query->function && !scan->by_key;
}
/* The record at a row, with what was found out about it since. */
void scan_read_invocation(struct scan *scan, sqlite3_stmt *st,
			  struct invocation_record *ret_record);
int scan_visit_invocation(struct scan *scan, sqlite3_stmt *st);
int scan_visit_instance(struct scan *scan, sqlite3_stmt *st);

/* Opens a segment. part->db stays NULL when it has nothing for this query. */
int part_open(const char *directory, const struct segment_file *file, struct scan *scan,
	      struct part *part);
/* The same for who wants the scan's own kind of record alone: what is remembered of the segment is
 * asked first, and what is not, learnt. */
int part_open_known(struct ledger_reader *reader, const struct segment_file *file,
		    struct scan *scan, struct part *part);
/* "SELECT … FROM …" with the query's conditions and order, bound. */
int part_prepare(const struct scan *scan, const struct part *part, const char *select,
		 bool newest_first, sqlite3_stmt **ret_statement);
int part_stream(struct scan *scan, const struct part *part, bool newest_first);

#endif
