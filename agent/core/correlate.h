/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Correlation: kernel events in, records out. Pure: no I/O, no clock, no globals; the caller passes
 * time. The life of each instance is a state machine; every irregular order leaves a flag on a
 * record.
 *
 * Ownership: the correlator owns its state; sinks get borrowed pointers valid during the call.
 * Determinism: the same events, ticks and restored state give the same records, byte for byte — the
 * ledger's idempotence rests on it.
 */
#ifndef ONCPU_CORE_CORRELATE_H
#define ONCPU_CORE_CORRELATE_H

#include <stddef.h>
#include <stdint.h>

#include "core/audit.h"
#include "core/record.h"

struct correlator;

/* What the configuration says of a function. Looked up by name when a record closes. */
struct function_facts {
	int64_t memory_mb; /* -1 = unknown */
	int64_t quota_us, period_us;
	char version[RECORD_VERSION_LEN]; /* "" = "$LATEST" */
};

struct correlator_config {
	char host[RECORD_HOST_LEN];
	char boot_id[RECORD_BOOT_LEN];
	int64_t realtime_offset_ns; /* CLOCK_REALTIME − CLOCK_MONOTONIC, sampled at start */
	uint64_t reorder_ns; /* how long (event time or tick) a gap may stay open before it counts
				as lost */
	uint32_t max_instances; /* bound on memory; beyond it events are counted and refused with
				   -ENOSPC */
	void *user;
	/* Each may be NULL. on_invocation fills `billed` itself through billing.h before the sink
	 * sees it? No: the correlator calls `bill` (if set) on every invocation record just before
	 * the sink. */
	void (*bill)(void *user, struct invocation_record *record);
	void (*on_invocation)(void *user, const struct invocation_record *record);
	void (*on_instance)(void *user, const struct instance_record *record);
	/* facts of a function; returns 0, or -ENOENT where the configuration has none */
	int (*facts)(void *user, const char *function, struct function_facts *ret_facts);
};

struct correlator_counters {
	uint64_t events, duplicates, reordered, lost, unmatched, malformed, refused;
	uint64_t invocations, instances_closed;
	uint64_t instances_open;
};

/* 0, -ENOMEM, -EINVAL. */
int correlator_new(const struct correlator_config *config, struct correlator **ret_correlator);
void correlator_free(struct correlator **correlator); /* NULL-safe, clears */

/* Feeds one event. Events at or below an instance's last handled number are skipped (counted as
 * duplicates). 0, -EINVAL (malformed, counted, nothing changed), -ENOSPC, -ENOMEM. */
int correlator_feed(struct correlator *c, const struct oncpu_event *event);
/* Gives up on gaps older than reorder_ns; `now_ns` is CLOCK_MONOTONIC. */
int correlator_tick(struct correlator *c, uint64_t now_ns);
/* Treats every open gap as lost now (clean stop, or a drained ring that is known to be complete).
 */
int correlator_flush(struct correlator *c);

const struct correlator_counters *correlator_counters(const struct correlator *c);
uint64_t correlator_sequence(const struct correlator *c); /* the last sequence given to a record */

/*
 * Durable state. After a batch of feeds, correlator_dirty visits each instance whose state changed
 * since correlator_clean; a closed instance is visited with size 0 (delete its row). The blob is
 * versioned and self-checked; it carries the instance's reorder buffer, too.
 */
typedef int (*correlator_state_fn)(void *user, uint64_t uid, const void *blob, size_t size);
int correlator_dirty(struct correlator *c, correlator_state_fn visit, void *user);
int correlator_all(struct correlator *c, correlator_state_fn visit,
		   void *user);		     /* every open one, dirty or not */
void correlator_clean(struct correlator *c); /* after the commit */
/* Restores one instance (0, -EBADMSG for a damaged or foreign blob, -EEXIST) and the sequence. */
int correlator_restore(struct correlator *c, uint64_t uid, const void *blob, size_t size);
void correlator_set_sequence(struct correlator *c, uint64_t sequence);

/* What an audit says of one instance. */
struct audit_finding {
	enum audit_verdict verdict;
	int64_t change_ns; /* of a mismatch: by how much more than before */
	/* and its records that were given since the books last agreed, at rest, or had their last
	 * mismatch told: of sequences after … through. None where both are the same. */
	uint64_t after, through;
	char instance[RECORD_INSTANCE_LEN];
};

/* Compares an open instance's books with the kernel's. A mismatch flags the record that is open, or
 * the next one, and the closing one; those that were given before are the caller's to flag. False
 * if there is no such instance. */
bool correlator_audit(struct correlator *c, uint64_t uid, const struct audit_reading *reading,
		      struct audit_finding *ret_finding);

/* Open instances, for `functions`/`instances` views. */
struct instance_view {
	uint64_t uid, cgroup_id;
	char function[ONCPU_NAME_LEN], instance[RECORD_INSTANCE_LEN];
	uint32_t threads;
	bool in_invocation;
	int64_t total_cpu_ns, invocations;
	uint64_t flags;
	struct audit_book audit;
};
void correlator_each(const struct correlator *c,
		     void (*visit)(void *user, const struct instance_view *view), void *user);
/* One of them; false if it is not open. */
bool correlator_view(const struct correlator *c, uint64_t uid, struct instance_view *ret_view);

#endif
