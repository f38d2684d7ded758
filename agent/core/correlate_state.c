/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The correlator's durable state: one blob an open instance.
 *
 *   u32 magic "ocpu" · u32 version · u32 bytes of the machine · u32 held events · u64 sum of the
 *   rest · struct machine · held events
 *
 * The sum is FNV-1a over words of 8 bytes (all parts are multiples of that) with the high half
 * folded in: one by one, the bytes cost more than all the rest of correlating.
 *
 * Written and read by the same program on the same host: native byte order. A blob of another
 * version or length, or with a wrong sum, is refused as a whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/correlate_internal.h"

#define BLOB_MAGIC 0x7570636fu
#define BLOB_VERSION 8u

struct blob_head {
	uint32_t magic, version, machine_bytes, held;
	uint64_t sum;
};

_Static_assert(sizeof(struct machine) % 8 == 0 && sizeof(struct oncpu_event) % 8 == 0,
	       "whole words");

static uint64_t checksum(const void *data, size_t n, uint64_t h)
{
	const char *p = data;
	uint64_t word;

	for (size_t i = 0; i < n; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		h = (h ^ word) * 0x100000001b3ull;
		h ^= h >> 32; /* or the highest bits would never reach the others */
	}
	return h;
}

static uint64_t blob_sum(const void *machine, const void *held, size_t held_bytes)
{
	uint64_t h = checksum(machine, sizeof(struct machine), 0xcbf29ce484222325ull);

	return checksum(held, held_bytes, h);
}

static int visit_one(const struct instance *in, correlator_state_fn visit, void *user)
{
	size_t held = in->held_count * sizeof(*in->held);
	size_t size = sizeof(struct blob_head) + sizeof(in->machine) + held;
	struct blob_head head = { BLOB_MAGIC, BLOB_VERSION, sizeof(in->machine), in->held_count,
				  blob_sum(&in->machine, in->held, held) };
	char small[4096], *blob = size <= sizeof(small) ? small : malloc(size);
	int error;

	if (!blob)
		return -ENOMEM;
	memcpy(blob, &head, sizeof(head));
	memcpy(blob + sizeof(head), &in->machine, sizeof(in->machine));
	if (held)
		memcpy(blob + sizeof(head) + sizeof(in->machine), in->held, held);
	error = visit(user, in->uid, blob, size);
	if (blob != small)
		free(blob);
	return error;
}

int correlator_dirty(struct correlator *c, correlator_state_fn visit, void *user)
{
	int error = 0;

	for (struct instance *in = c->dirty; in && !error; in = in->next_dirty)
		error = in->over ? visit(user, in->uid, NULL, 0) : visit_one(in, visit, user);
	return error;
}

int correlator_all(struct correlator *c, correlator_state_fn visit, void *user)
{
	int error = 0;

	for (uint32_t b = 0; b < c->buckets_count && !error; b++)
		for (struct instance *in = c->buckets[b]; in && !error; in = in->next)
			if (!in->over)
				error = visit_one(in, visit, user);
	return error;
}

void correlator_clean(struct correlator *c)
{
	for (struct instance *in = c->dirty, *next; in; in = next) {
		next = in->next_dirty;
		in->dirty = false;
		if (in->over)
			correlator_remove(c, in);
	}
	c->dirty = NULL;
}

/* A whole machine or held events of another instance: somebody mixed up the rows. */
static bool is_foreign(uint64_t uid, const struct machine *m, const struct oncpu_event *held,
		       uint32_t count)
{
	if (m->uid && m->uid != uid)
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (held[i].uid != uid)
			return true;
	return false;
}

int correlator_restore(struct correlator *c, uint64_t uid, const void *blob, size_t size)
{
	const char *bytes = blob;
	struct oncpu_event *events = NULL;
	struct blob_head head;
	struct machine machine;
	struct instance *in;
	size_t held;
	int error;

	if (size < sizeof(head) + sizeof(struct machine))
		return -EBADMSG;
	memcpy(&head, bytes, sizeof(head));
	held = (size_t)head.held * sizeof(struct oncpu_event);
	bytes += sizeof(head);
	if (head.magic != BLOB_MAGIC || head.version != BLOB_VERSION ||
	    head.machine_bytes != sizeof(struct machine) || head.held > HELD_MAX ||
	    size != sizeof(head) + sizeof(struct machine) + held ||
	    head.sum != blob_sum(bytes, bytes + sizeof(struct machine), held))
		return -EBADMSG;
	if (correlator_find(c, uid))
		return -EEXIST;
	memcpy(&machine, bytes, sizeof(machine));
	if (head.held) {
		events = calloc(HELD_MAX + 1, sizeof(*events));
		if (!events)
			return -ENOMEM;
		memcpy(events, bytes + sizeof(machine), held);
	}
	error = is_foreign(uid, &machine, events, head.held) ? -EBADMSG
							     : correlator_add(c, uid, &in);
	if (error) {
		free(events);
		return error;
	}
	in->machine = machine;
	in->held = events;
	in->held_count = head.held;
	c->holding += head.held > 0;
	return 0;
}

static struct instance_view view_of(const struct correlator *c, const struct instance *in)
{
	const struct machine *m = &in->machine;
	struct instance_view v = { .uid = in->uid,
				   .cgroup_id = m->cgroup_id,
				   .threads = m->threads,
				   .in_invocation =
					   m->phase == PHASE_INVOCATION || m->phase == PHASE_AFTER,
				   .total_cpu_ns = m->last_total_ns,
				   .invocations = m->invocations,
				   .flags = m->flags_life,
				   .audit = m->audit };

	memcpy(v.function, m->function, sizeof(v.function));
	machine_name(m, &c->config, v.instance, sizeof(v.instance));
	return v;
}

/* Its first event waits for those before it, or its last one has come. */
static bool is_hidden(const struct instance *in)
{
	return in->over || !in->machine.uid;
}

void correlator_each(const struct correlator *c,
		     void (*visit)(void *user, const struct instance_view *view), void *user)
{
	for (uint32_t b = 0; b < c->buckets_count; b++) {
		for (const struct instance *in = c->buckets[b]; in; in = in->next) {
			struct instance_view v;

			if (is_hidden(in))
				continue;
			v = view_of(c, in);
			visit(user, &v);
		}
	}
}

bool correlator_view(const struct correlator *c, uint64_t uid, struct instance_view *ret_view)
{
	const struct instance *in = correlator_find((struct correlator *)(uintptr_t)c, uid);

	if (!in || is_hidden(in))
		return false;
	*ret_view = view_of(c, in);
	return true;
}
