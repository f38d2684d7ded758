// SPDX-License-Identifier: GPL-2.0
/* How instances end: by themselves, by limits, retired; and who is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "slicer/events.h"
#include "slicer/life.h"
#include "slicer/telemetry.h"

#define SHUTDOWN_MS 2000 /* Lambda's, for external extensions */
#define BACKOFF_MOST_MS 10000ull

/* Ends it now; whoever waits for it is told. */
void instance_end(struct instance *i, const char *type, const char *why)
{
	struct invocation *v = i->current;

	if (i->state == DEAD)
		return;
	if (v && !v->responded)
		instance_give_up(i, type, why);
	i->state = DEAD;
	i->deadline_ns = i->freeze_ns = 0;
	front_ask(i->front, i, KEEPER_KILL, NULL, 0, false);
}

void instance_time_out(struct instance *i, const char *type, const char *text)
{
	struct invocation *v = i->current;

	output_drain(i);
	telemetry_runtime_done(i, "timeout", type);
	invocation_fail(v, type, "RequestId: %s Error: %s", v->id, text);
	v->responded = true;
	output_timed_out(i, text);
	front_ask(i->front, i, KEEPER_END, v->id, ONCPU_STATUS_TIMEOUT, false);
	i->end_pending = true;
	i->state = DEAD;
	i->deadline_ns = 0;
	front_ask(i->front, i, KEEPER_KILL, NULL, 0, false);
	if (!v->wants_tail)
		invocation_deliver(v);
}

/* The whole function waits a moment before the next try, and one who waits for it is told. */
void instance_start_failed(struct instance *i, const char *type, const char *text)
{
	struct function *function = i->function;
	uint64_t wait = BACKOFF_LEAST_MS << (function->failures < 7 ? function->failures : 7);
	struct invocation *v;

	function->failures++;
	function->retry_ns = front_now() + (wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS) * MS;
	if (!function->queue)
		return;
	v = function_take(function);
	if (i->init_error) {
		v->failed = true;
		invocation_answer(v, i->init_error, i->init_error_size, NULL, "Unhandled");
		i->init_error = NULL;
	} else {
		invocation_fail(v, type, "RequestId: %s Error: %s", v->id, text);
	}
	invocation_deliver(v);
	invocation_free(v);
}

void instance_on_exited(struct instance *i, int status)
{
	char text[96];

	output_drain(i);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "Runtime exited with error: signal: %s",
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		snprintf(text, sizeof(text), "Runtime exited with error: exit status %d",
			 WEXITSTATUS(status));
	else
		snprintf(text, sizeof(text), "Runtime exited without providing a reason");
	if (i->state == STARTING)
		instance_start_failed(i, "Runtime.ExitError", text);
	else if (i->current && i->current->started == false && !i->current->responded)
		instance_give_up(i, "Runtime.ExitError", text);
	else if (i->current && !i->current->responded)
		instance_give_up(i, "Runtime.ExitError", text);
	if (i->state != DEAD)
		log_debug("instance %u of %s: %s", i->index, facts(i)->name, text);
	i->state = DEAD;
	i->deadline_ns = i->freeze_ns = 0;
}

/* A shutdown that extensions asked to be told of. */
static bool tell_shutdown(struct instance *i, const char *reason)
{
	bool told = false;

	for (unsigned e = 0; e < i->extension_count; e++) {
		struct participant *p = &i->extensions[e];

		if (!p->wants_shutdown || !p->next)
			continue;
		event_shutdown(i, p->next, reason, SHUTDOWN_MS);
		p->next = NULL;
		told = true;
	}
	i->shutting_down |= told;
	if (told) {
		telemetry_run(i, front_now(), true); /* what there is, before the end */
		instance_ask_when_written(i, KEEPER_THAW);
		i->frozen = false;
	}
	return told;
}

/* All of the external extensions have ended as they were told to, or one has in mid-life. */
void instance_on_extension_exited(struct instance *i, int status)
{
	char text[96];

	if (i->processes)
		i->processes--;
	if (i->state == DEAD)
		return;
	if (i->shutting_down) {
		if (!i->processes)
			instance_end(i, "Sandbox.Retired", "spindown");
		return;
	}
	output_drain(i);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "An extension ended: signal: %s",
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "An extension ended: exit status %d",
			 WEXITSTATUS(status));
	if (i->state == STARTING)
		instance_start_failed(i, "Extension.Crash", text);
	instance_end(i, "Extension.Crash", text);
}

bool instance_is_told(const struct instance *i)
{
	return i->shutting_down && i->state != DEAD;
}

void instance_on_stop(struct instance *i)
{
	if (i->state == IDLE && !i->end_pending && !i->shutting_down &&
	    tell_shutdown(i, "spindown"))
		set_deadline(i, SHUTDOWN_MS);
}

void instance_retire(struct instance *i, const char *reason)
{
	if (i->shutting_down && i->deadline_ns)
		return; /* is being told */
	i->retire = true;
	if (tell_shutdown(i, reason))
		set_deadline(i, SHUTDOWN_MS);
	else
		instance_end(i, "Sandbox.Retired", reason);
}

/* Idle and frozen without an open next: no event can reach it, and it cannot ask again. */
void instance_end_if_deaf(struct instance *i)
{
	if (i->state == IDLE && i->frozen && !i->runtime.next)
		instance_end(i, "Runtime.ExitError", "the idle process closed its connection");
}
