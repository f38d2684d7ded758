/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ledger: the durable store of closed invocations. The only folder that sees SQLite.
 *
 * One segment file an hour (by the hour of the commit, UTC): DIR/ledger-YYYYMMDDTHH.db, WAL,
 * synchronous FULL, with the records, a per-minute roll-up, the state of the open instances, the
 * stretches of records in doubt and the meta row, all written in one transaction per batch. The
 * first transaction of a new segment carries the whole open state, so the newest segment alone is
 * enough to go on. Closed segments never change. The format: schema.c (tables), segment.c (file
 * names).
 */
#ifndef ONCPU_LEDGER_LEDGER_H
#define ONCPU_LEDGER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compare.h"
#include "core/record.h"

struct ledger; /* writer */
struct digest_key;

struct ledger_config {
	const char *directory;
	uint64_t retain_seconds;	   /* 0 = for ever */
	uint64_t retain_bytes;		   /* 0 = no limit */
	const struct policies *policies;   /* whose rules are rolled up; borrowed, NULL = presets */
	bool seal;			   /* each record, in a chain: core/seal.h */
	const struct digest_key *seal_key; /* or NULL; used while opening only */
};

/*
 * Holds the ledger's records against their seals (core/seal.h), segment by segment in the order of
 * the chain. The first thing wrong ends it and is told in `bad`.
 */
struct ledger_verified {
	uint64_t records, unsealed, segments, set_aside;
	uint64_t first_position, last_position; /* of those that are there; 0 = none */
	uint64_t anchor_position; /* the record before the first: gone by retention, or 0 */
	uint8_t last_hash[32];
	char method[32];
	char bad[512]; /* "" = all is as it was stored */
};
/* Is this position's hash among what is checked? `through` may be NULL. */
struct ledger_through {
	uint64_t position;
	uint8_t hash[32];
	bool found;
};
int ledger_verify(const char *directory, const struct digest_key *key,
		  struct ledger_through *through, struct ledger_verified *ret_verified);

/* Message of the last error with cause and cure, for one log line; never NULL. Thread-local. */
const char *ledger_error(void);

/*
 * Opens (or creates) the newest segment for writing. A corrupt segment is renamed to
 * NAME.corrupt-<n> and kept, a fresh one is begun; *ret_set_aside says so, ledger_notice which.
 * 0, -EACCES, -ENOSPC, -EIO, -EPROTO (a schema newer than this program), -EBUSY (another writer).
 */
int ledger_open(const struct ledger_config *config, struct ledger **ret_ledger,
		bool *ret_set_aside);
void ledger_close(struct ledger **ledger);

/* What the last commit left: state to restore, and meta. Visits each open instance's blob.
 * A ledger without any commit gives a meta of zeros. What `visit` returns but 0 ends it and is
 * returned. Damage found here sets the segment aside and begins again with the one before: a first
 * pass that keeps nothing of its visits shows whether there is any. */
struct ledger_meta {
	char boot_id[RECORD_BOOT_LEN];
	uint64_t sequence;	/* last record sequence given */
	uint64_t ring_position; /* consumer position committed with it */
	uint64_t pins; /* whose position, and whose instances: identity of the kernel side */
};
int ledger_restore(struct ledger *l, struct ledger_meta *ret_meta,
		   int (*visit)(void *user, uint64_t uid, const void *blob, size_t size),
		   void *user);

/* Sequences of this boot up to here may be those of records in a segment that is lost, newer than
 * what ledger_restore gives: they must not be given again. 0 = there are none. */
uint64_t ledger_lost_sequence(const struct ledger *l, const char *boot_id);
/* What was set aside since the last call, for one log line. NULL = nothing. */
const char *ledger_notice(struct ledger *l);

/* One batch = one transaction. begin picks the segment by now_realtime_ns; needs_snapshot says that
 * a new segment was begun and that every open instance's state must be put, not the dirty ones
 * alone. */
int ledger_begin(struct ledger *l, int64_t now_realtime_ns, bool *ret_needs_snapshot);
/* Same boot and sequence again: ignored, also when it was committed to an older segment. For that,
 * a boot's sequences must be put in ascending order from batch to batch. Below 2^40. After an error
 * roll back. */
int ledger_put_invocation(struct ledger *l, const struct invocation_record *record);
int ledger_put_instance(struct ledger *l, const struct instance_record *record);
int ledger_put_state(struct ledger *l, uint64_t uid, const void *blob,
		     size_t size); /* size 0 deletes */
/* Records that are stored already, or in this transaction, and about which an audit found out
 * something: those of one instance with sequences after … through. They are not touched: readers
 * show them with the flag audit_mismatch. */
struct ledger_doubt {
	char boot_id[RECORD_BOOT_LEN];
	char instance[RECORD_INSTANCE_LEN];
	uint64_t after, through;
	int64_t difference_ns;
	char cause[120];
};
int ledger_put_doubt(struct ledger *l, const struct ledger_doubt *doubt);
int ledger_commit(
	struct ledger *l,
	const struct ledger_meta *meta); /* 0, -ENOSPC, -EIO: rolled back, nothing half done */
void ledger_rollback(struct ledger *l);
/* Unlinks whole segments past the limits, never the one being written. Returns segments removed or
 * -errno. */
int ledger_retain(struct ledger *l, int64_t now_realtime_ns);

/* Reading, from any process, writer running or not. */
struct ledger_query {
	const char *function; /* NULL = all */
	const char *id;	      /* NULL = all; id_len bytes */
	size_t id_len;
	int64_t since_realtime_ns, until_realtime_ns; /* since <= end < until; 0 = no limit */
	uint64_t last;	   /* newest N (given to the visitor oldest first); 0 = all */
	uint32_t statuses; /* 1 << enum oncpu_status of each one wanted; 0 = all */
};
/* Order: segments by hour; in each by end for one function, by record sequence for all.
 * A visitor's result but 0 stops the reading and is returned. */
typedef int (*ledger_invocation_fn)(void *user, const struct invocation_record *record);
typedef int (*ledger_instance_fn)(void *user, const struct instance_record *record);
struct ledger_reader;
int ledger_reader_open(const char *directory,
		       struct ledger_reader **ret_reader); /* -ENOENT: no ledger there */
void ledger_reader_close(struct ledger_reader **reader);
/*
 * What the readers of one directory remember of closed segments, so that one which has nothing for
 * a query is not opened. Bounded (8 MiB); for any number of threads; freed after its readers.
 */
struct ledger_contents;
int ledger_contents_new(struct ledger_contents **ret_contents); /* -ENOMEM */
void ledger_contents_free(struct ledger_contents **contents);
void ledger_reader_share(struct ledger_reader *r, struct ledger_contents *contents);
/* A segment that is damaged keeps none of the others from being read: what is behind its damage is
 * left out, and this says which and why, for one warning. NULL = all is whole so far. */
const char *ledger_reader_damage(const struct ledger_reader *r);
int ledger_read_invocations(struct ledger_reader *r, const struct ledger_query *query,
			    ledger_invocation_fn visit, void *user);
int ledger_read_instances(struct ledger_reader *r, const struct ledger_query *query,
			  ledger_instance_fn visit, void *user);

/*
 * A place in the ledger, between two records: what a page ends at, and what a follower has seen.
 * Plain numbers, to be kept by whoever reads; they stay good while their segment is there.
 */
struct ledger_place {
	int64_t hour; /* of the segment; INT64_MIN = before all, INT64_MAX = after all */
	uint32_t suffix, reserved;
	int64_t end_realtime_ns, key; /* of the last record that was read */
};

/* Newest first, at most `limit`, from before *place on (newest of all: an hour of INT64_MAX).
 * *place is then the last one's; *ret_more: there are some before it. `last` is not looked at. */
int ledger_read_page(struct ledger_reader *r, const struct ledger_query *query, uint64_t limit,
		     struct ledger_place *place, bool *ret_more, ledger_invocation_fn visit,
		     void *user);

/* One record by its id ("host-bootid8-sequence"). 0, -EINVAL (no id of ours), -ENOENT. */
int ledger_read_record(struct ledger_reader *r, const char *record_id, ledger_invocation_fn visit,
		       void *user);

/*
 * Following: every record of both kinds behind *place, in the order in which they were stored, at
 * most `limit`; how many there were, or an error. *place moves on with each that was visited.
 * `function` NULL = all. The place of a record: 0, -EINVAL (no id of ours), -ENOENT: it is not
 * there any more, *ret_place is where its successors begin as far as they are.
 */
int ledger_follow(struct ledger_reader *r, struct ledger_place *place, const char *function,
		  uint64_t limit, ledger_invocation_fn invocation, ledger_instance_fn instance,
		  void *user);
int ledger_place_of(struct ledger_reader *r, const char *record_id, struct ledger_place *ret_place);
/* Is its segment still there? */
bool ledger_place_kept(const struct ledger_reader *r, const struct ledger_place *place);
int ledger_place_end(struct ledger_reader *r, struct ledger_place *ret_place);

/* The newest record of each function that has one since then (0 = ever). */
struct ledger_newest {
	char function[ONCPU_NAME_LEN];
	int64_t end_realtime_ns, memory_mb;
};
typedef int (*ledger_newest_fn)(void *user, const struct ledger_newest *newest);
int ledger_read_newest(struct ledger_reader *r, int64_t since_realtime_ns, ledger_newest_fn visit,
		       void *user);

/* Sums per function, from the roll-up where whole minutes are asked for. */
struct ledger_sum {
	char function[ONCPU_NAME_LEN];
	uint64_t count, cold_starts, errors, timeouts, crashed, flagged;
	int64_t wall_ns, cpu_ns, init_wall_ns, init_cpu_ns, after_response_cpu_ns, between_cpu_ns;
	int64_t run_queue_ns, max_error_bound_ns;
	struct record_billed billed[RECORD_MAX_BILLED]; /* sums of billed_ns per policy */
	uint32_t billed_count;
};
typedef int (*ledger_sum_fn)(void *user, const struct ledger_sum *sum);
int ledger_read_sums(struct ledger_reader *r, const struct ledger_query *query, ledger_sum_fn visit,
		     void *user);

/*
 * And what policies bill: per function and stretch of bucket_minutes (0 = all in one; the sums are
 * those of the function) groups of invocations, summed under the rules that the chosen policies
 * rest on. Functions by name, stretches by time. A group with no invocations is the share of
 * instances that ended.
 */
typedef int (*ledger_bill_fn)(void *user, const struct ledger_sum *sum, int64_t bucket,
			      const struct bill_group *groups, size_t count);
int ledger_read_bills(struct ledger_reader *r, const struct ledger_query *query,
		      const struct policies *set, const struct compare_choice *choice,
		      int64_t bucket_minutes, ledger_bill_fn visit, void *user);

#endif
