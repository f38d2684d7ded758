/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files that make up an instance's life: instance.c (what happens to it), dispatch.c
 * (triggers), answer.c, suspend.c, death.c. The table of states is in front.h. */
#ifndef ONCPU_SLICER_LIFE_H
#define ONCPU_SLICER_LIFE_H

#include "slicer/front.h"

#define MS 1000000ull
#define BACKOFF_LEAST_MS 100ull /* after a start that came to nothing; doubles */

static inline const struct slicer_function *facts(const struct instance *i)
{
	return i->function->facts;
}

static inline void set_deadline(struct instance *i, int64_t ms)
{
	i->deadline_ns = ms > 0 ? front_now() + (uint64_t)ms * MS : 0;
}

/* ---- instance.c ---- */
bool instance_freezes(const struct instance *i);
bool instance_freezes_at_once(const struct instance *i);
/* The name of an external extension that has not registered; NULL = none. */
const char *instance_unregistered(const struct instance *i);
/* Every extension that wants invocations asked for next. */
bool instance_extensions_wait(const struct instance *i);
/* front_ask(), and notes when the instance freezes with it. */
void instance_ask(struct instance *i, uint32_t op, const char *id, int32_t status, bool freeze);
/* Asks the keeper once the event is in the sockets: it must be there before a thaw. */
void instance_ask_when_written(struct instance *i, uint32_t op);

/* ---- dispatch.c ---- */
struct invocation *function_take(struct function *function); /* the first of the queue */
void instance_give_event(struct instance *i);

/* ---- answer.c ---- */
/* Its caller gets this error: no answer will come. */
void instance_give_up(struct instance *i, const char *type, const char *text);

/* ---- suspend.c ---- */
/* The id, or one that a client still uses from before a resume, names the current invocation. */
bool instance_means(const struct instance *i, const char *id);
void instance_wake(struct instance *i); /* suspend?until is over */
bool instance_was_suspended(const struct instance *i);
void instance_pause(struct instance *i);

/* ---- death.c ---- */
void instance_time_out(struct instance *i, const char *type, const char *text);
void instance_start_failed(struct instance *i, const char *type, const char *text);
void instance_on_exited(struct instance *i, int status);
void instance_on_extension_exited(struct instance *i, int status);
void instance_retire(struct instance *i, const char *reason);
/* Idle and frozen without an open next: no event can reach it, and it cannot ask again. */
void instance_end_if_deaf(struct instance *i);

#endif
