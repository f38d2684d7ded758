// SPDX-License-Identifier: GPL-2.0
/* See pipeline.h. No clock: the caller passes time, so that tests can. */
#include "daemon/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/billing.h"

#define BACKOFF_FIRST_NS 100000000ull
#define BACKOFF_MOST_NS 5000000000ull

struct pipeline {
	struct pipeline_config config;
	struct correlator *correlator;
	struct ledger *ledger;
	struct pipeline_state state;
	uint64_t retry_ns, backoff_ns;
	bool begun;	    /* a transaction is open */
	bool snapshot;	    /* it wants every open instance's state */
	bool restored_once; /* what an earlier agent left was looked at */
	bool audited;	    /* an audit found what a restart must not find again */
	int sink_error;	    /* first one inside this batch */
	int64_t now_realtime_ns;
	uint64_t *foreign; /* uids to delete with the next commit */
	size_t foreign_count;
	struct ledger_doubt *doubts; /* to be put with the next commit */
	size_t doubt_count;
	struct oncpu_event events[PIPELINE_BATCH];
};

/* ---- the correlator's callbacks ---- */

static int ensure_begun(struct pipeline *p)
{
	int err;

	if (p->begun)
		return 0;
	err = ledger_begin(p->ledger, p->now_realtime_ns, &p->snapshot);
	if (!err)
		p->begun = true;
	return err;
}

static void on_invocation(void *user, const struct invocation_record *record)
{
	struct pipeline *p = user;

	if (!p->sink_error)
		p->sink_error = ensure_begun(p);
	if (!p->sink_error)
		p->sink_error = ledger_put_invocation(p->ledger, record);
	if (!p->sink_error && p->config.on_invocation)
		p->config.on_invocation(p->config.watch_user, record);
}

static void on_instance(void *user, const struct instance_record *record)
{
	struct pipeline *p = user;

	if (!p->sink_error)
		p->sink_error = ensure_begun(p);
	if (!p->sink_error)
		p->sink_error = ledger_put_instance(p->ledger, record);
	if (!p->sink_error && p->config.on_instance)
		p->config.on_instance(p->config.watch_user, record);
}

static void on_bill(void *user, struct invocation_record *record)
{
	const struct pipeline *p = user;

	billing_apply(p->config.policies ? p->config.policies : policies_embedded(), record);
}

static void settle(struct pipeline *p, bool stored)
{
	if (p->config.on_settled)
		p->config.on_settled(p->config.watch_user, stored);
}

static int on_facts(void *user, const char *function, struct function_facts *ret_facts)
{
	const struct pipeline *p = user;

	return p->config.facts ? p->config.facts(p->config.facts_user, function, ret_facts)
			       : -ENOENT;
}

/* ---- restoring ---- */

static int note_foreign(struct pipeline *p, uint64_t uid)
{
	uint64_t *grown;

	if (p->foreign_count >= p->config.correlator.max_instances)
		return 0; /* rows of a larger past are left alone: they cost space only */
	if ((p->foreign_count & (p->foreign_count - 1)) == 0) { /* a power of two is full */
		grown = realloc(p->foreign,
				(p->foreign_count ? p->foreign_count * 2 : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		p->foreign = grown;
	}
	p->foreign[p->foreign_count++] = uid;
	return 0;
}

/* What the correlator was before the transaction that is being undone, or at the last agent's end.
 */
struct restoring {
	struct pipeline *p;
	struct correlator *correlator;
	bool foreign;
	size_t damaged;
};

static int on_restored(void *user, uint64_t uid, const void *blob, size_t size)
{
	struct restoring *r = user;
	int err;

	/* over since, and its EXIT in a segment that is lost: no event of it will come */
	if (r->foreign || !kern_view_has(r->p->config.view, uid))
		return note_foreign(r->p, uid);
	err = correlator_restore(r->correlator, uid, blob, size);
	if (err != -EBADMSG && err != -EEXIST)
		return err;
	r->damaged++;
	return note_foreign(r->p, uid);
}

/* The first pass wants the meta row alone. */
static int skip_state(void *user, uint64_t uid, const void *blob, size_t size)
{
	(void)user, (void)uid, (void)blob, (void)size;
	return 0;
}

/* What the last commit had read is stored, even if the ring was not freed then: an instance whose
 * EXIT was among it has no state left to know its events by, and would begin a second life. */
static void skip_committed(struct pipeline *p, uint64_t ring_position)
{
	struct kern_view *view = p->config.view;

	while (kern_view_position(view) < ring_position && kern_view_read(view, p->events, 1) == 1)
		;
	kern_view_commit(view, kern_view_position(view));
	p->state.position = p->state.committed = kern_view_position(view);
}

static int restore(struct pipeline *p)
{
	struct correlator_config config = p->config.correlator;
	struct restoring r = { .p = p };
	struct ledger_meta meta = { 0 };
	uint64_t sequence;
	bool same_boot;
	int err;

	config.user = p;
	config.bill = on_bill;
	config.on_invocation = on_invocation;
	config.on_instance = on_instance;
	config.facts = on_facts;
	err = ledger_restore(p->ledger, &meta, skip_state, NULL);
	if (!err)
		err = correlator_new(&config, &r.correlator);
	if (err)
		return err;
	/* New pins start their uids and their ring anew: a state from before is not theirs. */
	same_boot = strcmp(meta.boot_id, config.boot_id) == 0;
	r.foreign = !same_boot || meta.pins != kern_view_pins(p->config.view);
	p->foreign_count = 0;
	err = ledger_restore(p->ledger, &meta, on_restored, &r);
	if (err) {
		correlator_free(&r.correlator);
		return err;
	}
	sequence = ledger_lost_sequence(p->ledger, config.boot_id);
	if (same_boot && meta.sequence > sequence)
		sequence = meta.sequence;
	correlator_set_sequence(r.correlator, sequence);
	correlator_clean(r.correlator);
	if (!p->restored_once && p->foreign_count > 0)
		log_warning("%zu instances that an earlier agent left open are not there any more "
			    "(%s): what they did after their last record is lost",
			    p->foreign_count,
			    r.damaged	? "their state is damaged"
			    : r.foreign ? "reboot, or pins removed"
					: "a damaged segment was set aside");
	p->restored_once = true;
	correlator_free(&p->correlator);
	p->correlator = r.correlator;
	if (!r.foreign)
		skip_committed(p, meta.ring_position);
	return 0;
}

/* Kept as it is, under another name, whenever damage shows. */
static void say_set_aside(struct pipeline *p)
{
	const char *notice = p->ledger ? ledger_notice(p->ledger) : NULL;

	if (notice)
		log_warning("%s: what it held is missing until it is recovered (sqlite3 NAME "
			    ".recover); a new segment is begun",
			    notice);
}

int pipeline_open(const struct pipeline_config *config, struct pipeline **ret_pipeline)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	bool set_aside = false;
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	err = ledger_open(&config->ledger, &p->ledger, &set_aside);
	if (!err)
		err = restore(p);
	say_set_aside(p);
	if (err) {
		log_error("the ledger in %s cannot be used: %s", config->ledger.directory,
			  err == -ENOMEM ? "out of memory" : ledger_error());
		pipeline_close(&p);
		return err;
	}
	p->state.committed = p->state.position = kern_view_position(config->view);
	*ret_pipeline = p;
	return 0;
}

void pipeline_close(struct pipeline **pipeline)
{
	struct pipeline *p = *pipeline;

	if (!p)
		return;
	if (p->begun)
		ledger_rollback(p->ledger);
	correlator_free(&p->correlator);
	ledger_close(&p->ledger);
	free(p->foreign);
	free(p->doubts);
	free(p);
	*pipeline = NULL;
}

/* ---- one batch ---- */

static int put_state(void *user, uint64_t uid, const void *blob, size_t size)
{
	return ledger_put_state(((struct pipeline *)user)->ledger, uid, blob, size);
}

static int feed(struct pipeline *p, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int err;

		if (p->events[i].kind == ONCPU_EV_EXIT && p->config.before_exit)
			p->config.before_exit(p->config.before_exit_user, p, &p->events[i]);
		err = correlator_feed(p->correlator, &p->events[i]);

		if (err == -ENOMEM)
			return err;
		/* -EINVAL and -ENOSPC are counted by the correlator and shown by /v1/health */
		if (p->sink_error)
			return p->sink_error;
	}
	return 0;
}

static int store(struct pipeline *p)
{
	struct ledger_meta meta = { .sequence = correlator_sequence(p->correlator),
				    .ring_position = kern_view_position(p->config.view),
				    .pins = kern_view_pins(p->config.view) };
	int err = ensure_begun(p);

	memcpy(meta.boot_id, p->config.correlator.boot_id, sizeof(meta.boot_id));
	for (size_t i = 0; !err && i < p->foreign_count; i++)
		err = ledger_put_state(p->ledger, p->foreign[i], NULL, 0);
	for (size_t i = 0; !err && i < p->doubt_count; i++)
		err = ledger_put_doubt(p->ledger, &p->doubts[i]);
	/* deletions come with the dirty ones; a snapshot has all of the living besides */
	if (!err)
		err = correlator_dirty(p->correlator, put_state, p);
	if (!err && p->snapshot)
		err = correlator_all(p->correlator, put_state, p);
	if (!err)
		err = ledger_commit(p->ledger, &meta);
	if (err)
		return err;
	p->begun = p->audited = false;
	p->foreign_count = p->doubt_count = 0;
	correlator_clean(p->correlator);
	kern_view_commit(p->config.view, meta.ring_position);
	p->state.position = p->state.committed = meta.ring_position;
	p->state.last_commit_realtime_ns = p->now_realtime_ns;
	p->state.commits++;
	settle(p, true);
	return 0;
}

static void say_degraded(struct pipeline *p, int err)
{
	uint64_t used = 0, size = 0;

	kern_view_ring(p->config.view, &used, &size);
	snprintf(p->state.reason, sizeof(p->state.reason), "%s",
		 err == -ENOMEM ? "the agent is out of memory (give it more)" : ledger_error());
	if (err == -ENOSPC)
		log_error("the ledger's disk is full: %s. Measuring goes on, "
			  "%llu bytes of ring left",
			  p->state.reason, (unsigned long long)(size - used));
	else
		log_error("the ledger cannot be written: %s. Measuring goes on, %llu bytes of ring "
			  "left",
			  p->state.reason, (unsigned long long)(size - used));
}

/* Back to what is committed: nothing of this batch has happened. */
static void undo(struct pipeline *p, int err, uint64_t now_ns)
{
	if (!p->state.degraded)
		say_degraded(p, err);
	p->state.degraded = true;
	p->state.failed_commits++;
	p->backoff_ns = p->backoff_ns ? p->backoff_ns * 2 : BACKOFF_FIRST_NS;
	if (p->backoff_ns > BACKOFF_MOST_NS)
		p->backoff_ns = BACKOFF_MOST_NS;
	p->retry_ns = now_ns + p->backoff_ns;
	if (p->begun)
		ledger_rollback(p->ledger);
	p->begun = false;
	p->doubt_count = 0; /* the audit will find it again */
	settle(p, false);
	/* the correlator is ahead of the ledger from here on: it must not be fed before it is
	 * restored */
	correlator_free(&p->correlator);
	kern_view_rewind(p->config.view);
	p->state.position = p->state.committed;
	if (restore(p))
		log_debug("the ledger's state cannot be read back yet: %s", ledger_error());
}

static void say_recovered(struct pipeline *p)
{
	log_info("the ledger goes on where it stopped, after %llu failed attempts",
		 (unsigned long long)p->state.failed_commits);
	p->state.degraded = false;
	p->state.reason[0] = '\0';
	p->backoff_ns = 0;
}

static int run_batch(struct pipeline *p, uint64_t now_ns, bool flush, int *ret_count)
{
	int count, err;

	if (!p->correlator) {
		err = restore(p);
		if (err)
			return err;
	}
	count = kern_view_read(p->config.view, p->events, PIPELINE_BATCH);
	if (count < 0)
		return count;
	p->sink_error = 0;
	err = feed(p, (size_t)count);
	if (!err)
		/* a full batch: there is more behind, maybe what a gap waits for */
		err = flush		       ? correlator_flush(p->correlator)
		      : count < PIPELINE_BATCH ? correlator_tick(p->correlator, now_ns)
					       : 0;
	if (err >= 0)
		err = p->sink_error;
	if (!err && (count > 0 || p->begun || p->audited || flush))
		err = store(p);
	*ret_count = count;
	return err;
}

static int step(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns, bool flush)
{
	uint64_t commits = p->state.commits;
	int count = 0, err;

	if (p->state.degraded && now_ns < p->retry_ns)
		return -EAGAIN;
	p->now_realtime_ns = now_realtime_ns;
	err = run_batch(p, now_ns, flush, &count);
	if (err)
		undo(p, err, now_ns);
	say_set_aside(p);
	if (err)
		return err;
	p->state.batches += count > 0;
	if (p->state.degraded && p->state.commits > commits)
		say_recovered(p);
	return count;
}

int pipeline_step(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns)
{
	return step(p, now_ns, now_realtime_ns, false);
}

int pipeline_drain(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns)
{
	uint64_t used = 0, size = 0, target;
	int count;

	/* what is there now, and no more: a flood of events must not keep a reader waiting */
	kern_view_ring(p->config.view, &used, &size);
	target = p->state.committed + used;
	do
		count = step(p, now_ns, now_realtime_ns, false);
	while (count > 0 && p->state.committed < target);
	return count < 0 ? count : 0;
}

int pipeline_finish(struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns)
{
	int count = step(p, now_ns, now_realtime_ns, true);

	return count < 0 ? count : 0;
}

int pipeline_retain(struct pipeline *p, int64_t now_realtime_ns)
{
	return ledger_retain(p->ledger, now_realtime_ns);
}

int pipeline_audit(struct pipeline *p, uint64_t uid, const struct audit_reading *reading,
		   struct audit_finding *ret_finding)
{
	if (!p->correlator || !correlator_audit(p->correlator, uid, reading, ret_finding))
		return -ENOENT;
	p->audited |= ret_finding->verdict == AUDIT_MISMATCH ||
		      (ret_finding->verdict == AUDIT_BASE && !reading->running);
	return 0;
}

int pipeline_doubt(struct pipeline *p, const struct audit_finding *finding, const char *cause)
{
	struct ledger_doubt *doubt;

	if (finding->after >= finding->through)
		return 0;
	if ((p->doubt_count & (p->doubt_count - 1)) == 0) { /* a power of two is full */
		doubt = realloc(p->doubts,
				(p->doubt_count ? p->doubt_count * 2 : 1) * sizeof(*doubt));
		if (!doubt)
			return -ENOMEM;
		p->doubts = doubt;
	}
	doubt = &p->doubts[p->doubt_count++];
	*doubt = (struct ledger_doubt){ .after = finding->after,
					.through = finding->through,
					.difference_ns = finding->change_ns };
	memcpy(doubt->boot_id, p->config.correlator.boot_id, sizeof(doubt->boot_id));
	memcpy(doubt->instance, finding->instance, sizeof(doubt->instance));
	snprintf(doubt->cause, sizeof(doubt->cause), "%s", cause);
	return 0;
}

const struct correlator *pipeline_correlator(const struct pipeline *p)
{
	return p->correlator;
}

void pipeline_state(const struct pipeline *p, struct pipeline_state *ret_state)
{
	*ret_state = p->state;
}
