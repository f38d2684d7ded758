// SPDX-License-Identifier: GPL-2.0
/* What happens to an instance, in the order of its life: see the table in front.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "slicer/events.h"
#include "slicer/life.h"
#include "slicer/slots.h"
#include "slicer/telemetry.h"

bool instance_freezes(const struct instance *i)
{
	return !facts(i)->no_freeze;
}

bool instance_freezes_at_once(const struct instance *i)
{
	return instance_freezes(i) && !facts(i)->freeze_after_ms && !i->function->queue &&
	       !i->retire;
}

void instance_ask(struct instance *i, uint32_t op, const char *id, int32_t status, bool freeze)
{
	front_ask(i->front, i, op, id, status, freeze);
	if (!i->frozen && (freeze || op == KEEPER_FREEZE || op == KEEPER_SUSPEND)) {
		i->frozen = true;
		i->frozen_ns = front_now();
	}
}

/* Asks the keeper once the event is in the sockets: it must be there before a thaw. */
void instance_ask_when_written(struct instance *i, uint32_t op)
{
	i->ask_when_written = op;
	i->front->written_asks++;
}

void instance_on_written(struct instance *i)
{
	uint32_t op = i->ask_when_written;

	i->ask_when_written = 0;
	if (op == KEEPER_START && i->current)
		front_ask(i->front, i, op, i->current->id, 0, false);
	else if (op == KEEPER_THAW)
		front_ask(i->front, i, op, NULL, 0, false);
}

/* ---- who asked for next ---- */

bool instance_extensions_wait(const struct instance *i)
{
	for (unsigned e = 0; e < i->extension_count; e++)
		if (i->extensions[e].wants_invoke && !i->extensions[e].next)
			return false;
	return true;
}

static bool everybody_waits(const struct instance *i)
{
	if (!i->runtime.next)
		return false;
	for (unsigned e = 0; e < i->extension_count; e++)
		if (i->extensions[e].wants_invoke && !i->extensions[e].next)
			return false;
	return true;
}

/* Lambda knows an external extension by its file's name, and so do we. */
const char *instance_unregistered(const struct instance *i)
{
	for (char *const *path = facts(i)->extensions; *path; path++) {
		const char *slash = strrchr(*path, '/'), *name = slash ? slash + 1 : *path;
		unsigned e = 0;

		while (e < i->extension_count && strcmp(i->extensions[e].name, name) != 0)
			e++;
		if (e == i->extension_count)
			return name;
	}
	return NULL;
}

static bool init_is_over(const struct instance *i)
{
	if (!i->runtime.next || instance_unregistered(i))
		return false;
	for (unsigned e = 0; e < i->extension_count; e++)
		if (!i->extensions[e].ready)
			return false;
	return true;
}

static void end_invocation(struct instance *i)
{
	struct invocation *v = i->current;

	i->end_pending = true;
	i->deadline_ns = 0;
	instance_ask(i, KEEPER_END, v->id, v->failed ? ONCPU_STATUS_ERROR : ONCPU_STATUS_OK,
		     instance_freezes_at_once(i));
}

void instance_on_next(struct instance *i, struct participant *p, struct exchange *x)
{
	if (p->next)
		exchange_hang_up(p->next); /* it asked again elsewhere */
	p->next = x;
	if (p != &i->runtime && !p->ready)
		telemetry_extension(i, p, NULL);
	if (p == &i->runtime && i->state == STARTING && !p->ready)
		telemetry_init_done(i, "success", NULL);
	p->ready = true;
	switch (i->state) {
	case STARTING:
		if (!init_is_over(i))
			return;
		i->state = IDLE;
		i->function->failures = 0;
		set_deadline(i, facts(i)->idle_ms);
		instance_ask(i, KEEPER_READY, NULL, 0, instance_freezes_at_once(i));
		function_dispatch(i->front, i->function);
		return;
	case IDLE: /* it had hung up; somebody may wait for it by now */
		function_dispatch(i->front, i->function);
		return;
	case PAUSED: /* it asked in the instant in which we gave it up */
		if (p != &i->runtime || i->end_pending)
			return;
		i->state = IDLE;
		set_deadline(i, facts(i)->idle_ms);
		function_dispatch(i->front, i->function);
		return;
	case BUSY:
		if (p == &i->runtime && !i->current->responded) {
			if (i->resumed) /* the handler had been answered for already */
				i->current->responded = true;
			else
				instance_give_up(
					i, "Runtime.NoResponse",
					"The runtime asked for the next event without answering "
					"this one");
			if (!i->current->wants_tail)
				invocation_deliver(i->current);
		}
		if (p == &i->runtime)
			telemetry_runtime_done(i, i->current->failed ? "error" : "success",
					       i->current->failed ? "Runtime.Unknown" : NULL);
		if (everybody_waits(i) && !i->end_pending)
			end_invocation(i);
		return;
	default:
		return;
	}
}

/* ---- time ---- */

void instance_on_deadline(struct instance *i, uint64_t now)
{
	const struct slicer_function *f = facts(i);
	char text[96];

	telemetry_run(i, now, false);
	if (i->freeze_ns && now >= i->freeze_ns) {
		i->freeze_ns = 0;
		if (i->state == IDLE && !i->frozen && !i->end_pending)
			instance_ask(i, KEEPER_FREEZE, NULL, 0, true);
	}
	if (!i->deadline_ns || now < i->deadline_ns)
		return;
	i->deadline_ns = 0;
	switch (i->state) {
	case STARTING:
		snprintf(text, sizeof(text), "Init timed out after %lld.%02lld seconds",
			 (long long)f->init_ms / 1000, (long long)f->init_ms % 1000 / 10);
		if (i->runtime.next && instance_unregistered(i))
			log_warning("extension %s of %s has not registered (under its file's name)",
				    instance_unregistered(i), f->name);
		instance_start_failed(i, "Sandbox.Timedout", text);
		instance_end(i, "Sandbox.Timedout", text);
		break;
	case IDLE:
		instance_retire(i, "spindown");
		break;
	case BUSY:
		if (i->current->responded &&
		    instance_extensions_wait(i)) { /* it never asked again */
			instance_pause(i);
			break;
		}
		snprintf(text, sizeof(text), "Task timed out after %lld.%02lld seconds",
			 (long long)f->timeout_ms / 1000, (long long)f->timeout_ms % 1000 / 10);
		instance_time_out(i, "Sandbox.Timedout", text);
		break;
	case SLEEPING:
		instance_wake(i);
		break;
	case PAUSED:
	case SUSPENDED:
		log_warning("an instance of %s was suspended for %lld ms, the longest stay: ended",
			    f->name, (long long)f->suspend_ms);
		instance_end(i, "Sandbox.SuspendedTooLong", "suspended for too long");
		break;
	default:
		break;
	}
}

uint64_t instance_next_deadline(const struct instance *i)
{
	uint64_t a = i->deadline_ns ? i->deadline_ns : UINT64_MAX;
	uint64_t b = i->freeze_ns ? i->freeze_ns : UINT64_MAX;
	uint64_t c = telemetry_when(i);

	a = a < b ? a : b;
	return a < c ? a : c;
}

/* ---- what the keeper tells ---- */

static void watch(struct instance *i, int fd, enum slot_event what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = slot_event(i, what) };

	if (fd >= 0)
		epoll_ctl(i->front->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void on_spawned(struct instance *i, const struct keeper_news *news, int fd)
{
	i->log = fd;
	i->pid = news->pid;
	i->cgroup_id = news->cgroup_id;
	i->born_ns = news->time_ns;
	while (facts(i)->extensions[i->processes])
		i->processes++;
	if (i->processes)
		telemetry_open(i);
	if (news->error) {
		instance_start_failed(i, "Runtime.InitError", news->text);
		i->state = DEAD;
		return;
	}
	watch(i, i->listener, SLOT_LISTENER);
	watch(i, fd, SLOT_LOG);
}

static void finish_invocation(struct instance *i, const struct keeper_news *news,
			      const char *status)
{
	struct invocation *v = i->current;

	output_drain(i);
	if (news->total_ns) {
		v->end_ns = news->time_ns;
		v->end_total_ns = news->total_ns;
	}
	output_report(i, news, status);
	invocation_deliver(v);
	invocation_free(v);
	i->current = NULL;
	i->end_pending = false;
}

static void on_ended(struct instance *i, const struct keeper_news *news)
{
	struct front *f = i->front;
	struct function *function = i->function;
	bool timed_out = i->state == DEAD;

	if (!i->current)
		return;
	finish_invocation(i, news,
			  timed_out		      ? "timeout"
			  : i->current->failed	      ? "error"
			  : instance_was_suspended(i) ? "suspended"
						      : NULL);
	if (i->state == DEAD)
		return;
	if (i->state == PAUSED && everybody_waits(i)) /* it asked after all */
		i->state = IDLE;
	if (i->state == BUSY)
		i->state = IDLE;
	if (i->state == IDLE) {
		set_deadline(i, facts(i)->idle_ms);
		if (instance_freezes(i) && !i->frozen)
			i->freeze_ns = front_now() + (uint64_t)facts(i)->freeze_after_ms * MS + 1;
		if (i->retire) {
			i->deadline_ns = 0;
			instance_retire(i, "spindown");
		}
		instance_end_if_deaf(i);
	}
	function_dispatch(f, function);
}

static void on_gone(struct instance *i, const struct keeper_news *news)
{
	struct function *function = i->function;
	struct front *f = i->front;

	output_drain(i);
	if (i->current) {
		if (!i->current->responded)
			instance_give_up(i, "Runtime.ExitError", "Runtime exited");
		finish_invocation(i, news, "error");
	}
	instance_free(i);
	function_dispatch(f, function);
}

void instance_on_news(struct instance *i, const struct keeper_news *news, int fd)
{
	struct invocation *v = i->current;
	char text[96];

	switch (news->op) {
	case KEEPER_SPAWN:
		on_spawned(i, news, fd);
		break;
	case KEEPER_READY:
		i->ready_ns = news->time_ns;
		i->cold = true;
		telemetry_init_report(i, "success");
		break;
	case KEEPER_EXTENSION_LOG:
		i->extension_log = fd;
		watch(i, fd, SLOT_EXTENSION_LOG);
		break;
	case KEEPER_EXTENSION_EXITED:
		instance_on_extension_exited(i, news->status);
		break;
	case KEEPER_START:
		if (!v || strcmp(v->id, news->id) != 0)
			break;
		v->started = true;
		v->start_ns = news->time_ns;
		v->start_total_ns = news->total_ns;
		if (i->start_pending && i->state == BUSY)
			instance_give_event(i);
		i->start_pending = false;
		break;
	case KEEPER_RESPONSE:
		if (!v || strcmp(v->id, news->id) != 0)
			break;
		v->response_total_ns = news->total_ns;
		if (v->wants_cpu && !v->wants_tail)
			invocation_deliver(v);
		break;
	case KEEPER_END:
	case KEEPER_SUSPEND:
		on_ended(i, news);
		break;
	case KEEPER_EXITED:
		instance_on_exited(i, news->status);
		break;
	case KEEPER_GONE:
		on_gone(i, news);
		break;
	case KEEPER_CPU_SOFT:
		snprintf(text, sizeof(text),
			 "oncpu: the invocation has used more than %" PRId64 ".%02" PRId64
			 " ms of CPU time\n",
			 facts(i)->cpu_soft_ns / 1000000, facts(i)->cpu_soft_ns / 10000 % 100);
		output_line(i, text, strlen(text));
		output_soft_limit(i, news);
		i->retire |= facts(i)->retire_after_soft;
		break;
	case KEEPER_CPU_HARD:
		if (!v || i->end_pending || i->state != BUSY)
			break;
		snprintf(text, sizeof(text),
			 "Task used more than its %" PRId64 ".%02" PRId64 " ms of CPU time",
			 facts(i)->cpu_limit_ns / 1000000, facts(i)->cpu_limit_ns / 10000 % 100);
		if (v->responded) /* its caller has an answer: only the rest is cut off */
			instance_end(i, "Oncpu.CpuLimit", text);
		else
			instance_time_out(i, "Oncpu.CpuLimit", text);
		break;
	default:
		break;
	}
}

/* ---- connections ---- */

void instance_on_gone_exchange(struct instance *i, struct exchange *x, bool delivered)
{
	struct participant *all[FUNCTION_EXTENSIONS + 1] = { &i->runtime };

	(void)delivered;
	for (unsigned e = 0; e < i->extension_count; e++)
		all[e + 1] = &i->extensions[e];
	for (unsigned p = 0; p <= i->extension_count; p++)
		if (all[p]->next == x)
			all[p]->next = NULL;
	instance_end_if_deaf(i);
	if (i->withheld == x) {
		i->withheld = NULL;
		if (i->state == SUSPENDED || i->state == SLEEPING)
			instance_end(i, "Runtime.ExitError",
				     "the suspended process closed its connection");
	}
}
