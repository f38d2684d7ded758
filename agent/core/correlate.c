/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The correlator: finds the instance of an event, puts events in their order, and lets the
 * instance's machine step. A gap in the numbers waits for reorder_ns, then counts as lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/correlate_internal.h"

int correlator_new(const struct correlator_config *config, struct correlator **ret_correlator)
{
	struct correlator *c;

	if (!config->max_instances)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->config = *config;
	c->buckets_count = 256;
	while (c->buckets_count < config->max_instances && c->buckets_count < 1u << 16)
		c->buckets_count *= 2;
	c->buckets = calloc(c->buckets_count, sizeof(*c->buckets));
	if (!c->buckets) {
		free(c);
		return -ENOMEM;
	}
	*ret_correlator = c;
	return 0;
}

static void instance_free(struct instance *in)
{
	free(in->held);
	free(in);
}

void correlator_free(struct correlator **correlator)
{
	struct correlator *c = *correlator;

	if (!c)
		return;
	for (uint32_t b = 0; b < c->buckets_count; b++) {
		struct instance *in, *next;

		for (in = c->buckets[b]; in; in = next) {
			next = in->next;
			instance_free(in);
		}
	}
	free(c->buckets);
	free(c);
	*correlator = NULL;
}

static uint32_t bucket_of(const struct correlator *c, uint64_t uid)
{
	return (uint32_t)((uid * 0x9e3779b97f4a7c15ull) >> 32) & (c->buckets_count - 1);
}

struct instance *correlator_find(struct correlator *c, uint64_t uid)
{
	struct instance *in = c->buckets[bucket_of(c, uid)];

	while (in && in->uid != uid)
		in = in->next;
	return in;
}

int correlator_add(struct correlator *c, uint64_t uid, struct instance **ret_instance)
{
	struct instance *in, **at;
	uint32_t b = bucket_of(c, uid);

	if (c->counters.instances_open >= c->config.max_instances) {
		c->counters.refused++;
		return -ENOSPC;
	}
	in = calloc(1, sizeof(*in));
	if (!in)
		return -ENOMEM;
	in->uid = uid;
	in->machine.next_n = 1;
	/* sorted: gaps given up at once then number their records alike before and after a restart
	 */
	for (at = &c->buckets[b]; *at && (*at)->uid < uid; at = &(*at)->next)
		;
	in->next = *at;
	*at = in;
	c->counters.instances_open++;
	*ret_instance = in;
	return 0;
}

void correlator_remove(struct correlator *c, struct instance *in)
{
	struct instance **at = &c->buckets[bucket_of(c, in->uid)];

	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
	instance_free(in);
}

static void mark_dirty(struct correlator *c, struct instance *in)
{
	if (in->dirty)
		return;
	in->dirty = true;
	in->next_dirty = c->dirty;
	c->dirty = in;
}

/* Kept until the commit: its row is deleted in the same transaction, and events that come again
 * find it instead of beginning a new life. */
static void instance_over(struct correlator *c, struct instance *in)
{
	if (in->held_count)
		c->holding--;
	while (in->held_count) { /* nothing can come after the exit */
		in->held_count--;
		c->counters.unmatched++;
	}
	in->over = true;
	c->counters.instances_open--;
	c->counters.instances_closed++;
}

static bool step(struct correlator *c, struct instance *in, const struct oncpu_event *e)
{
	mark_dirty(c, in);
	in->machine.next_n = e->n + 1;
	if (!machine_step(&in->machine, e, c))
		return false;
	instance_over(c, in);
	return true;
}

static struct oncpu_event take_held(struct correlator *c, struct instance *in)
{
	struct oncpu_event e = in->held[0];

	in->held_count--;
	memmove(in->held, in->held + 1, in->held_count * sizeof(*in->held));
	if (!in->held_count) {
		in->machine.sorted = 0;
		c->holding--;
	}
	return e;
}

/* Hands over held events as long as the next one is there. True if the instance is over. */
static bool drain(struct correlator *c, struct instance *in, bool sorted)
{
	bool over = false;

	while (in->held_count && !over && in->held[0].n == in->machine.next_n) {
		struct oncpu_event e = take_held(c, in);

		if (sorted)
			machine_note(&in->machine, RECORD_FLAG_OUT_OF_ORDER);
		over = step(c, in, &e);
	}
	return over;
}

/* The events before the first held one will not come any more. */
static bool give_up_gap(struct correlator *c, struct instance *in)
{
	uint64_t missing = in->held[0].n - in->machine.next_n;
	bool sorted = in->machine.sorted;
	struct oncpu_event e;

	c->counters.lost += missing;
	if (in->machine.uid)
		machine_lose(&in->machine, missing);
	e = take_held(c, in); /* not out of order: it is the next there is */
	if (step(c, in, &e))
		return true;
	return drain(c, in, sorted);
}

/* 1 if it waits there already. */
static int hold(struct correlator *c, struct instance *in, const struct oncpu_event *e)
{
	size_t at = in->held_count;

	while (at && in->held[at - 1].n > e->n)
		at--;
	if (at && in->held[at - 1].n == e->n) {
		c->counters.duplicates++;
		return 1;
	}
	if (!in->held) {
		in->held = calloc(HELD_MAX + 1, sizeof(*in->held));
		if (!in->held)
			return -ENOMEM;
	}
	memmove(in->held + at + 1, in->held + at, (in->held_count - at) * sizeof(*in->held));
	in->held[at] = *e;
	if (at < in->held_count) {
		in->machine.sorted = 1;
		c->counters.reordered++;
	}
	if (!in->held_count++)
		c->holding++;
	mark_dirty(c, in);
	return 0;
}

static bool malformed(const struct oncpu_event *e)
{
	return !e->uid || !e->n || e->kind == ONCPU_EV_NONE || e->kind >= ONCPU_EV_KIND_COUNT ||
	       e->id_len > ONCPU_ID_LEN;
}

int correlator_feed(struct correlator *c, const struct oncpu_event *e)
{
	struct instance *in;
	int error;

	if (malformed(e)) {
		c->counters.malformed++;
		return -EINVAL;
	}
	c->counters.events++;
	in = correlator_find(c, e->uid);
	if (!in && (error = correlator_add(c, e->uid, &in)))
		return error;
	if (e->n < in->machine.next_n) {
		c->counters.duplicates++;
		return 0;
	}
	if (in->over) {
		c->counters.unmatched++;
		return 0;
	}
	if (e->n == in->machine.next_n) {
		c->counters.reordered += in->held_count > 0;
		if (!step(c, in, e))
			drain(c, in, true);
		return 0;
	}
	error = hold(c, in, e);
	if (error)
		return error < 0 ? error : 0; /* what came before does not close a gap again */
	while (in->held_count && (in->held_count > HELD_MAX ||
				  (e->time_ns > in->held[0].time_ns &&
				   e->time_ns - in->held[0].time_ns > c->config.reorder_ns)))
		if (give_up_gap(c, in))
			break;
	return 0;
}

static int give_up_older(struct correlator *c, uint64_t now_ns, bool all)
{
	for (uint32_t b = 0; b < c->buckets_count && c->holding; b++) {
		struct instance *in, *next;

		for (in = c->buckets[b]; in; in = next) {
			next = in->next;
			while (in->held_count &&
			       (all || (now_ns > in->held[0].time_ns &&
					now_ns - in->held[0].time_ns > c->config.reorder_ns)))
				if (give_up_gap(c, in))
					break;
		}
	}
	return 0;
}

int correlator_tick(struct correlator *c, uint64_t now_ns)
{
	return give_up_older(c, now_ns, false);
}

int correlator_flush(struct correlator *c)
{
	return give_up_older(c, 0, true);
}

/* Which records may lack what a mismatch is about: a busy audit settles nothing, for it cannot see
 * what is smaller than the ticks of the threads that run. */
static void find_stretch(const struct correlator *c, struct machine *m, bool running,
			 struct audit_finding *f)
{
	if (f->verdict == AUDIT_BUSY || (f->verdict == AUDIT_BASE && running))
		return;
	if (f->verdict == AUDIT_MISMATCH && m->invocations > m->clean_invocations) {
		f->after = m->clean_sequence;
		f->through = c->sequence;
	}
	m->clean_sequence = c->sequence;
	m->clean_invocations = m->invocations;
}

bool correlator_audit(struct correlator *c, uint64_t uid, const struct audit_reading *reading,
		      struct audit_finding *ret_finding)
{
	struct instance *in = correlator_find(c, uid);
	struct audit_finding f = { 0 };

	if (!in || in->over || !in->machine.uid)
		return false;
	f.verdict = audit_take(&in->machine.audit, reading, &f.change_ns);
	if (f.verdict == AUDIT_MISMATCH)
		machine_note(&in->machine, RECORD_FLAG_AUDIT_MISMATCH);
	machine_name(&in->machine, &c->config, f.instance, sizeof(f.instance));
	find_stretch(c, &in->machine, reading->running > 0, &f);
	mark_dirty(c, in);
	*ret_finding = f;
	return true;
}

const struct correlator_counters *correlator_counters(const struct correlator *c)
{
	return &c->counters;
}

uint64_t correlator_sequence(const struct correlator *c)
{
	return c->sequence;
}

void correlator_set_sequence(struct correlator *c, uint64_t sequence)
{
	c->sequence = sequence;
}

/* ---- for the machine ---- */

const struct correlator_config *correlator_settings(const struct correlator *c)
{
	return &c->config;
}

void correlator_give_invocation(struct correlator *c, struct invocation_record *record)
{
	record->sequence = ++c->sequence;
	memcpy(record->host, c->config.host, sizeof(record->host));
	memcpy(record->boot_id, c->config.boot_id, sizeof(record->boot_id));
	if (c->config.bill)
		c->config.bill(c->config.user, record);
	c->counters.invocations++;
	if (c->config.on_invocation)
		c->config.on_invocation(c->config.user, record);
}

void correlator_give_instance(struct correlator *c, struct instance_record *record)
{
	record->sequence = ++c->sequence;
	memcpy(record->host, c->config.host, sizeof(record->host));
	memcpy(record->boot_id, c->config.boot_id, sizeof(record->boot_id));
	if (c->config.on_instance)
		c->config.on_instance(c->config.user, record);
}

void correlator_count_unmatched(struct correlator *c)
{
	c->counters.unmatched++;
}
