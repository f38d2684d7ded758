/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the kernel's ring to the ledger: reads events in batches, correlates them, stores what
 * closes in one transaction, and only then frees the ring. Owns the correlator and the ledger's
 * writer.
 *
 * Invariant: what the ring has freed is committed, and what is committed is never stored twice. A
 * commit that fails changes nothing: the correlator goes back to the ledger's state, the ring back
 * to its committed position, and the same events come again once the back-off has passed.
 */
#ifndef ONCPU_DAEMON_PIPELINE_H
#define ONCPU_DAEMON_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/correlate.h"
#include "core/policy.h"
#include "kern/kern.h"
#include "ledger/ledger.h"

#define PIPELINE_BATCH 4096

struct pipeline;

struct pipeline_config {
	/* The sinks, `bill` and `user` are the pipeline's; host, boot_id, facts… the caller's. */
	struct correlator_config correlator;
	struct ledger_config ledger;
	int (*facts)(void *user, const char *function, struct function_facts *ret_facts);
	void *facts_user;
	/* Who watches, each may be NULL: a record that was put (and may yet be undone), and then
	 * either that all of them are stored or that none is. */
	void (*on_invocation)(void *user, const struct invocation_record *record);
	void (*on_instance)(void *user, const struct instance_record *record);
	void (*on_settled)(void *user, bool stored);
	void *watch_user;
	struct kern_view *view;		 /* borrowed */
	const struct policies *policies; /* whose bills a record keeps; borrowed, NULL = presets */
	/* Before an instance's EXIT is handled; may be NULL. */
	void (*before_exit)(void *user, struct pipeline *p, const struct oncpu_event *exit_event);
	void *before_exit_user;
};

struct pipeline_state {
	bool degraded;	    /* the last commit failed */
	char reason[256];   /* why, "" = all is well */
	uint64_t position;  /* read so far */
	uint64_t committed; /* freed up to here */
	uint64_t commits, failed_commits, batches;
	int64_t last_commit_realtime_ns; /* 0 = none yet */
};

/* Opens the ledger, restores. 0 or -errno, said in one log line. */
int pipeline_open(const struct pipeline_config *config, struct pipeline **ret_pipeline);
void pipeline_close(struct pipeline **pipeline);

/*
 * One batch. Events handled (0 = the ring is drained), or -errno: the batch is to come again, not
 * before the back-off is over (-EAGAIN until then). Problems are logged once, and once when over.
 */
int pipeline_step(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns);

/* Steps until all that is in the ring now is stored. 0, or the error of a step. */
int pipeline_drain(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns);

/* Gives up on every open gap and commits: only when no event can follow. */
int pipeline_finish(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns);

int pipeline_retain(struct pipeline *p, int64_t now_realtime_ns);

/* correlator_audit. 0, -ENOENT. Of a mismatch, the records that the finding names are flagged by
 * the next commit, with what pipeline_doubt is told then; the cause is cut to what a record has
 * room for. 0, -ENOMEM: they are not. */
int pipeline_audit(struct pipeline *p, uint64_t uid, const struct audit_reading *reading,
		   struct audit_finding *ret_finding);
int pipeline_doubt(struct pipeline *p, const struct audit_finding *finding, const char *cause);

const struct correlator *pipeline_correlator(const struct pipeline *p);
void pipeline_state(const struct pipeline *p, struct pipeline_state *ret_state);

#endif
