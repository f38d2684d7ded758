// SPDX-License-Identifier: GPL-2.0
/* Handlers that are stopped in the middle: suspend, suspend until, early answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slicer/events.h"
#include "slicer/life.h"

/* ---- ids: the client's first one means the current invocation after a resume ---- */

bool instance_means(const struct instance *i, const char *id)
{
	if (!i->current)
		return false;
	if (!id || !strcmp(id, i->current->id))
		return true;
	for (unsigned a = 0; a < i->alias_count; a++)
		if (!strcmp(id, i->aliases[a]))
			return true;
	return false;
}

/* The first and the latest ones are kept: a client uses the first, or the one it was told. */
static void add_alias(struct instance *i, const char *id)
{
	unsigned at = i->alias_count < FRONT_ALIASES ? i->alias_count++ : FRONT_ALIASES - 1;

	snprintf(i->aliases[at], FRONT_ID, "%s", id);
}

/* ---- suspend ---- */

static void sleep_until(struct instance *i, struct exchange *x, int64_t ms)
{
	uint64_t now = front_now();

	i->withheld = x;
	i->current->asleep_since_ns = now;
	i->current->left_ns = i->deadline_ns > now ? i->deadline_ns - now : 1;
	i->state = SLEEPING;
	set_deadline(i, ms);
	instance_ask(i, KEEPER_FREEZE, NULL, 0, true);
}

void instance_wake(struct instance *i)
{
	uint64_t now = front_now();
	struct invocation *v = i->current;

	v->asleep_ns += (int64_t)(now - v->asleep_since_ns);
	i->deadline_ns = now + v->left_ns;
	i->state = BUSY;
	if (i->withheld)
		event_to_sleeper(i, i->withheld, v);
	i->withheld = NULL;
	instance_ask_when_written(i, KEEPER_THAW);
	i->frozen = false;
}

void instance_on_suspend(struct instance *i, const char *id, struct exchange *x, bool by_done)
{
	const char *until = exchange_query(x, "until");
	struct invocation *v = i->current;
	size_t size;
	char *body, *end = NULL;
	long ms;

	if (!instance_means(i, id) || i->state != BUSY || v->responded || i->end_pending) {
		event_refuse(x, 409, "InvalidStateTransition",
			     "there is no unanswered invocation here to suspend");
		return;
	}
	if (event_shares_instance(i)) {
		event_refuse(
			x, 409, "SuspendRefused",
			"several invocations share this instance (AWS_LAMBDA_MAX_CONCURRENCY): "
			"a freeze would stop them all");
		return;
	}
	if (!exchange_body(x, &size)) {
		event_refuse(x, 413, "RequestEntityTooLarge",
			     "Exceeded maximum allowed payload size");
		return;
	}
	if (until) {
		ms = strtol(until, &end, 10);
		if (end == until || *end || ms < 1 || ms > facts(i)->suspend_ms) {
			event_refuse(
				x, 400, "InvalidUntil",
				"until is a number of milliseconds, from 1 to the longest stay");
			return;
		}
		sleep_until(i, x, ms);
		return;
	}
	output_drain(i);
	body = exchange_take_body(x, &size);
	if (size || !by_done)
		invocation_answer(v, body, size, exchange_header(x, "Content-Type"), NULL);
	else
		free(body);
	v->responded = true;
	add_alias(i, v->id);
	i->withheld = x;
	i->state = SUSPENDED;
	i->end_pending = true;
	set_deadline(i, facts(i)->suspend_ms);
	instance_ask(i, KEEPER_SUSPEND, v->id, ONCPU_STATUS_SUSPENDED, true);
	if (!v->wants_tail)
		invocation_deliver(v);
}

/* ---- answered, and still at it ---- */

bool instance_was_suspended(const struct instance *i)
{
	return i->state == SUSPENDED ||
	       (i->state == PAUSED && instance_freezes(i) && !i->current->failed);
}

/* Answered, and still at it: what comes next is a later invocation's, and the record says so. */
void instance_pause(struct instance *i)
{
	struct invocation *v = i->current;

	add_alias(i, v->id);
	i->state = PAUSED;
	i->end_pending = true;
	set_deadline(i, facts(i)->suspend_ms);
	if (instance_was_suspended(i))
		instance_ask(i, KEEPER_SUSPEND, v->id, ONCPU_STATUS_SUSPENDED, true);
	else
		instance_ask(i, KEEPER_END, v->id, v->failed ? ONCPU_STATUS_ERROR : ONCPU_STATUS_OK,
			     instance_freezes(i));
}
