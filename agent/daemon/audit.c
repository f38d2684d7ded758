// SPDX-License-Identifier: GPL-2.0
/*
 * See audit.h. A round goes through the instances by uid, some at each tick, from a cursor: those
 * that come or go meanwhile disturb nothing. A reading that does not agree is taken again at once,
 * for a thread may stand in the middle of a switch; only what stays is a mismatch.
 */
#include "daemon/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/attacher_protocol.h"

#define AT_A_TICK 32
#define READINGS 4		   /* until one agrees */
#define LOG_EVERY_NS 1000000000ull /* a busy host in trouble must not fill its log */

struct audit {
	int socket;
	uint64_t every_ns, tick_ns, round_ns, cursor, logged_ns, now_ns;
	int64_t now_realtime_ns;
	bool in_round, told_unreadable;
	struct audit_counters counters;
	int64_t closed_difference_ns;
};

int audit_new(int socket, uint64_t every_ns, struct audit **ret_audit)
{
	struct audit *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->socket = socket;
	a->every_ns = every_ns;
	*ret_audit = a;
	return 0;
}

void audit_free(struct audit **audit)
{
	free(*audit);
	*audit = NULL;
}

/* ---- one comparison ---- */

static int read_books(struct audit *a, uint64_t uid, uint64_t cgroup_id, struct kern_audit *ret)
{
	struct attacher_request request = { .op = ATTACHER_OP_AUDIT,
					    .handle = uid,
					    .address = cgroup_id };
	struct attacher_reply reply;
	int err = attacher_ask(a->socket, &request, &reply, NULL, 0);

	if (!err)
		*ret = reply.audit;
	return err;
}

static struct audit_reading reading_of(const struct kern_audit *k)
{
	return (struct audit_reading){ .before_ns = (int64_t)k->before_ns,
				       .after_ns = (int64_t)k->after_ns,
				       .kernel_ns = (int64_t)k->kernel_ns,
				       .bound_ns = k->bound_ns > INT64_MAX ? INT64_MAX / 2
									   : (int64_t)k->bound_ns,
				       .running = k->running };
}

/* The first thing that could have done it. */
static void likely_cause(const struct instance_view *v, int64_t change, uint32_t missing,
			 char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (unsigned i = 0; missing && kern_hook_name(i); i++)
		if (missing >> i & 1 && used < size)
			used += (size_t)snprintf(buffer + used, size - used, "%s%s",
						 used ? ", " : "hooks are not attached any more: ",
						 kern_hook_name(i));
	if (missing)
		return;
	snprintf(buffer, size, "%s",
		 v->flags & 1ull << RECORD_FLAG_UNTRACKED_THREADS ? "the thread table was full"
		 : v->flags & 1ull << RECORD_FLAG_EVENTS_LOST	  ? "the event numbers have a gap"
		 : v->flags & 1ull << RECORD_FLAG_MOVED		  ? "a process moved in or out"
		 : change < 0 ? "switches were missed, or a process came in unseen"
			      : "what had been missed came in, or a process went out unseen");
}

static void tell(struct audit *a, const struct instance_view *v, int64_t change, const char *cause)
{
	snprintf(a->counters.last, sizeof(a->counters.last), "%s %s: %+" PRId64 " ns: %s",
		 v->function[0] ? v->function : "unknown", v->instance, change, cause);
	if (a->logged_ns && a->now_ns - a->logged_ns < LOG_EVERY_NS)
		return;
	a->logged_ns = a->now_ns;
	log_warning("audit: %s (%s): the accounts and the kernel's own cpu.stat parted by %+" PRId64
		    " ns (likely cause: %s); its records since they last agreed are flagged "
		    "audit_mismatch",
		    v->function[0] ? v->function : "unknown", v->instance, change, cause);
}

static void judge(struct audit *a, struct pipeline *p, const struct instance_view *v,
		  const struct audit_reading *reading, uint32_t missing)
{
	struct audit_finding f;
	char cause[160];

	if (pipeline_audit(p, v->uid, reading, &f))
		return; /* over since */
	a->counters.readings++;
	a->counters.at_rest += reading->running == 0;
	if (f.verdict != AUDIT_MISMATCH)
		return;
	a->counters.mismatches++;
	likely_cause(v, f.change_ns, missing, cause, sizeof(cause));
	if (pipeline_doubt(p, &f, cause))
		log_error("audit: out of memory: records of %s that are stored already are not "
			  "flagged (give the agent more)",
			  v->instance);
	tell(a, v, f.change_ns, cause);
}

static void say_unreadable(struct audit *a, int err)
{
	if (err == -ENOENT || err == -EBUSY) /* it is over, or lived in again */
		return;
	a->counters.unreadable++;
	if (a->told_unreadable)
		return;
	a->told_unreadable = true;
	log_warning("audit: the cgroups' own totals cannot be read: %s%s", strerror(-err),
		    err == -EPERM ? " (the agent needs CAP_DAC_READ_SEARCH for it)" : "");
}

static int compare(struct audit *a, struct pipeline *p, const struct instance_view *v)
{
	struct audit_reading reading;
	struct kern_audit k;
	int err = 0;

	for (int i = 0; i < READINGS && !err; i++) {
		err = read_books(a, v->uid, v->cgroup_id, &k);
		if (err)
			break;
		reading = reading_of(&k);
		if (audit_agrees(&v->audit, &reading))
			break;
	}
	if (!err && !audit_agrees(&v->audit, &reading))
		/* what the ring has still may be in doubt as well; if it cannot be stored now, it
		 * is the next record that is flagged */
		(void)pipeline_drain(p, a->now_ns, a->now_realtime_ns);
	if (!err)
		judge(a, p, v, &reading, k.missing);
	else if (err != -EPIPE && err != -EBADMSG)
		say_unreadable(a, err);
	return err == -EPIPE || err == -EBADMSG ? -EPIPE : 0;
}

/* ---- a round ---- */

struct pick {
	uint64_t above;
	size_t count;
	struct instance_view views[AT_A_TICK]; /* by uid */
};

static void pick(void *user, const struct instance_view *v)
{
	struct pick *k = user;
	size_t at = k->count;

	if (!v->cgroup_id || v->uid <= k->above)
		return;
	while (at && k->views[at - 1].uid > v->uid)
		at--;
	if (at == AT_A_TICK)
		return;
	if (k->count < AT_A_TICK)
		k->count++;
	memmove(&k->views[at + 1], &k->views[at], (k->count - 1 - at) * sizeof(*k->views));
	k->views[at] = *v;
}

int audit_run(struct audit *a, struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns)
{
	const struct correlator *correlator = pipeline_correlator(p);
	struct pick picked = { 0 };
	int err = 0;

	if (!a->every_ns || !correlator || now_ns < a->tick_ns)
		return 0;
	a->now_ns = now_ns;
	a->now_realtime_ns = now_realtime_ns;
	a->tick_ns = now_ns + AUDIT_TICK_EVERY_NS;
	if (!a->in_round) {
		if (now_ns < a->round_ns)
			return 0;
		a->round_ns = now_ns + a->every_ns;
		a->in_round = true;
		a->cursor = 0;
	}
	picked.above = a->cursor;
	correlator_each(correlator, pick, &picked);
	for (size_t i = 0; i < picked.count && !err; i++) {
		err = compare(a, p, &picked.views[i]);
		a->cursor = picked.views[i].uid;
	}
	a->in_round = picked.count == AT_A_TICK;
	return err;
}

/* ---- at the end of an instance ---- */

void audit_at_exit(void *audit, struct pipeline *p, const struct oncpu_event *e)
{
	const struct correlator *correlator = pipeline_correlator(p);
	struct instance_view view;
	struct audit_reading reading;
	struct kern_audit k;
	struct audit *a = audit;

	if (!a->every_ns || !e->cgroup_id || !correlator)
		return;
	/* without a base there is nothing to compare with, and it may have been lived in before */
	if (!correlator_view(correlator, e->uid, &view) || !view.audit.has_base)
		return;
	if (!read_books(a, 0, e->cgroup_id, &k)) { /* or it is gone, or lived in again */
		reading = reading_of(&k);
		reading.before_ns = reading.after_ns = (int64_t)e->total_ns;
		judge(a, p, &view, &reading, k.missing);
		correlator_view(correlator, e->uid, &view);
	}
	a->closed_difference_ns += view.audit.difference_ns;
}

/* ---- what it says ---- */

static void add_up(void *user, const struct instance_view *v)
{
	struct audit_counters *c = user;

	c->difference_ns += v->audit.difference_ns;
	if (llabs(v->audit.worst_ns) > llabs(c->worst_ns))
		c->worst_ns = v->audit.worst_ns;
}

void audit_state(const struct audit *a, const struct pipeline *p,
		 struct audit_counters *ret_counters)
{
	const struct correlator *correlator = pipeline_correlator(p);

	*ret_counters = a->counters;
	ret_counters->difference_ns = a->closed_difference_ns;
	if (correlator)
		correlator_each(correlator, add_up, ret_counters);
}
