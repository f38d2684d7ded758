// SPDX-License-Identifier: GPL-2.0
/* A trigger: whom a function's queue goes to, and what an instance is given. */
#include <stdlib.h>

#include "slicer/events.h"
#include "slicer/life.h"
#include "slicer/slots.h"

#define FREEZE_TAKES_NS (2 * MS)

void instance_give_event(struct instance *i)
{
	struct invocation *v = i->current;
	struct exchange *x = i->runtime.next;

	i->runtime.next = NULL;
	if (x)
		event_to_runtime(i, x, v);
	for (unsigned e = 0; e < i->extension_count; e++) {
		struct participant *p = &i->extensions[e];

		if (!p->wants_invoke || !p->next)
			continue;
		event_to_extension(i, p->next, v);
		p->next = NULL;
	}
}

/* A freeze takes some 50 us: until then an event would be handled before its START. */
static bool stands_still(const struct instance *i)
{
	return i->frozen && front_now() - i->frozen_ns > FREEZE_TAKES_NS;
}

static void begin(struct instance *i, struct invocation *v)
{
	bool in_mid_handler = i->state == SUSPENDED || i->state == PAUSED;

	i->current = v;
	v->taken_ns = front_now();
	i->resumed = in_mid_handler;
	i->freeze_ns = 0;
	if (!in_mid_handler)
		i->alias_count = 0;
	output_start(i);
	set_deadline(i, facts(i)->timeout_ms);
	if (i->state == SUSPENDED && i->withheld) {
		event_to_runtime(i, i->withheld, v);
		i->withheld = NULL;
		instance_ask_when_written(i, KEEPER_START);
	} else if (i->state == IDLE && stands_still(i)) {
		instance_give_event(i);
		instance_ask_when_written(i, KEEPER_START);
	} else { /* awake: the boundary first, then the event; or paused, with no event to give */
		i->start_pending = i->state == IDLE;
		front_ask(i->front, i, KEEPER_START, v->id, 0, false);
	}
	i->state = BUSY;
	i->frozen = false;
}

struct invocation *function_take(struct function *function)
{
	struct invocation *v = function->queue;

	function->queue = v->next;
	if (!function->queue)
		function->queue_end = &function->queue;
	function->queued--;
	v->next = NULL;
	return v;
}

/* In mid-handler first: whoever is suspended waits for this very trigger. Then whoever is awake. */
static struct instance *choose(struct front *f, const struct function *function)
{
	struct instance *best = NULL;

	for (uint32_t n = 0; n < f->highest; n++) {
		struct instance *i = f->instances[n];

		if (!i || i->function != function || i->end_pending || i->retire)
			continue;
		if (i->state == SUSPENDED || i->state == PAUSED)
			return i;
		if (i->state == IDLE && i->runtime.next && (!best || (best->frozen && !i->frozen)))
			best = i;
	}
	return best;
}

static unsigned starting(const struct front *f, const struct function *function)
{
	unsigned count = 0;

	for (uint32_t n = 0; n < f->highest; n++)
		count += f->instances[n] && f->instances[n]->function == function &&
			 f->instances[n]->state == STARTING;
	return count;
}

void function_dispatch(struct front *f, struct function *function)
{
	while (function->queue && !f->stopping) {
		struct instance *i = choose(f, function);

		if (!i)
			break;
		begin(i, function_take(function));
	}
	while (function->queued > starting(f, function) && !f->stopping &&
	       function->instances < (unsigned)function->facts->concurrency &&
	       front_now() >= function->retry_ns) {
		if (instance_start(f, function)) {
			function->retry_ns = front_now() + BACKOFF_LEAST_MS * MS;
			break;
		}
	}
}
