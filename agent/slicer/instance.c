// SPDX-License-Identifier: GPL-2.0
/* The life of an instance: see the table in front.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "slicer/events.h"
#include "slicer/front.h"
#include "slicer/slots.h"

#define MS 1000000ull
#define FREEZE_TAKES_NS (2 * MS)
#define SHUTDOWN_MS 2000	/* Lambda's, for external extensions */
#define BACKOFF_LEAST_MS 100ull /* after a start that came to nothing; doubles */
#define BACKOFF_MOST_MS 10000ull

static const struct slicer_function *facts(const struct instance *i)
{
	return i->function->facts;
}

static void set_deadline(struct instance *i, int64_t ms)
{
	i->deadline_ns = ms > 0 ? front_now() + (uint64_t)ms * MS : 0;
}

static bool freezes(const struct instance *i)
{
	return !facts(i)->no_freeze;
}

static bool freezes_at_once(const struct instance *i)
{
	return freezes(i) && !facts(i)->freeze_after_ms && !i->function->queue && !i->retire;
}

static void send_frozen(struct instance *i, uint32_t op, const char *id, int32_t status,
			bool freeze)
{
	front_ask(i->front, i, op, id, status, freeze);
	if (!i->frozen && (freeze || op == KEEPER_FREEZE || op == KEEPER_SUSPEND)) {
		i->frozen = true;
		i->frozen_ns = front_now();
	}
}

/* ---- who asked for next ---- */

static bool everybody_waits(const struct instance *i)
{
	if (!i->runtime.next)
		return false;
	for (unsigned e = 0; e < i->extension_count; e++)
		if (i->extensions[e].wants_invoke && !i->extensions[e].next)
			return false;
	return true;
}

static bool init_is_over(const struct instance *i)
{
	unsigned launched = 0;

	while (facts(i)->extensions[launched])
		launched++;
	if (!i->runtime.next || i->extension_count < launched)
		return false;
	for (unsigned e = 0; e < i->extension_count; e++)
		if (!i->extensions[e].ready)
			return false;
	return true;
}

static bool extensions_wait(const struct instance *i)
{
	for (unsigned e = 0; e < i->extension_count; e++)
		if (i->extensions[e].wants_invoke && !i->extensions[e].next)
			return false;
	return true;
}

/* ---- ids: the client's first one means the current invocation after a resume ---- */

static bool means_current(const struct instance *i, const char *id)
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

/* ---- a trigger ---- */

static void give_event(struct instance *i)
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

/* Asks the keeper once the event is in the sockets: it must be there before a thaw. */
static void ask_when_written(struct instance *i, uint32_t op)
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

/* A freeze takes some 50 us: until then an event would be handled before its START. */
static bool stands_still(const struct instance *i)
{
	return i->frozen && front_now() - i->frozen_ns > FREEZE_TAKES_NS;
}

static void begin(struct instance *i, struct invocation *v)
{
	bool in_mid_handler = i->state == SUSPENDED || i->state == PAUSED;

	i->current = v;
	i->resumed = in_mid_handler;
	i->freeze_ns = 0;
	if (!in_mid_handler)
		i->alias_count = 0;
	output_start(i);
	set_deadline(i, facts(i)->timeout_ms);
	if (i->state == SUSPENDED && i->withheld) {
		event_to_runtime(i, i->withheld, v);
		i->withheld = NULL;
		ask_when_written(i, KEEPER_START);
	} else if (i->state == IDLE && stands_still(i)) {
		give_event(i);
		ask_when_written(i, KEEPER_START);
	} else { /* awake: the boundary first, then the event; or paused, with no event to give */
		i->start_pending = i->state == IDLE;
		front_ask(i->front, i, KEEPER_START, v->id, 0, false);
	}
	i->state = BUSY;
	i->frozen = false;
}

static struct invocation *take_queued(struct function *function)
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
		begin(i, take_queued(function));
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

/* ---- the end of an invocation ---- */

static void end_invocation(struct instance *i)
{
	struct invocation *v = i->current;

	i->end_pending = true;
	i->deadline_ns = 0;
	send_frozen(i, KEEPER_END, v->id, v->failed ? ONCPU_STATUS_ERROR : ONCPU_STATUS_OK,
		    freezes_at_once(i));
}

static void give_up_on(struct instance *i, const char *type, const char *text)
{
	struct invocation *v = i->current;

	invocation_fail(v, type, "RequestId: %s Error: %s", v->id, text);
	v->responded = true;
	if (!v->wants_tail)
		invocation_deliver(v);
}

void instance_on_next(struct instance *i, struct participant *p, struct exchange *x)
{
	if (p->next)
		exchange_hang_up(p->next); /* it asked again elsewhere */
	p->next = x;
	p->ready = true;
	switch (i->state) {
	case STARTING:
		if (!init_is_over(i))
			return;
		i->state = IDLE;
		i->function->failures = 0;
		set_deadline(i, facts(i)->idle_ms);
		send_frozen(i, KEEPER_READY, NULL, 0, freezes_at_once(i));
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
				give_up_on(i, "Runtime.NoResponse",
					   "The runtime asked for the next event without answering "
					   "this one");
			if (!i->current->wants_tail)
				invocation_deliver(i->current);
		}
		if (everybody_waits(i) && !i->end_pending)
			end_invocation(i);
		return;
	default:
		return;
	}
}

/* ---- answers ---- */

static void refuse(struct exchange *x, unsigned status, const char *type, const char *text)
{
	event_refuse(x, status, type, text);
}

/* AWS's 400 ends three of four runtime clients: so only in strict mode. */
static void accept_anyway(struct instance *i, struct exchange *x, const char *type,
			  const char *text)
{
	if (i->front->options->strict)
		refuse(x, 400, type, text);
	else
		exchange_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n", 16);
}

static void take_answer(struct instance *i, struct exchange *x, bool error)
{
	struct invocation *v = i->current;
	const char *type = exchange_header(x, "Content-Type");
	const char *trailer = exchange_trailer(x, "Lambda-Runtime-Function-Error-Type");
	size_t size;
	char *body;

	if (!exchange_body(x, &size)) {
		invocation_fail(v, "Function.ResponseSizeTooLarge",
				"Response payload size exceeded maximum allowed payload size (%u "
				"bytes).",
				FRONT_BODY_MAX);
		refuse(x, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size");
		return;
	}
	if (trailer && !error) { /* a stream that broke off: what there was of it, and the mark */
		v->failed = true;
		body = exchange_take_body(x, &size);
		invocation_answer(v, body, size, type, "Unhandled");
	} else {
		v->failed |= error;
		body = exchange_take_body(x, &size);
		invocation_answer(v, body, size, error ? NULL : type, error ? "Unhandled" : NULL);
	}
	exchange_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n", 16);
}

void instance_on_response(struct instance *i, const char *id, struct exchange *x, bool error)
{
	struct invocation *v = i->current;

	if (!means_current(i, id) || (i->state != BUSY && i->state != SLEEPING)) {
		accept_anyway(i, x, "InvalidRequestID", "Invalid request ID");
		return;
	}
	if (v->responded) {
		accept_anyway(i, x, "InvalidStateTransition", "The invocation was answered before");
		return;
	}
	output_drain(i); /* what it wrote before it answered */
	take_answer(i, x, error);
	v->responded = true;
	front_ask(i->front, i, KEEPER_RESPONSE, v->id, 0, false);
	if (extensions_wait(i))
		set_deadline(i, facts(i)->grace_ms);
	if (!v->wants_tail && !v->wants_cpu)
		invocation_deliver(v);
}

void instance_on_init_error(struct instance *i, struct exchange *x)
{
	size_t size;
	const char *body = exchange_body(x, &size);

	if (i->state == STARTING && body && !i->init_error) {
		i->init_error = exchange_take_body(x, &size);
		i->init_error_size = size;
	}
	i->init_failed = i->state == STARTING;
	exchange_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n", 16);
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
	send_frozen(i, KEEPER_FREEZE, NULL, 0, true);
}

static void wake_up(struct instance *i)
{
	uint64_t now = front_now();
	struct invocation *v = i->current;

	v->asleep_ns += (int64_t)(now - v->asleep_since_ns);
	i->deadline_ns = now + v->left_ns;
	i->state = BUSY;
	if (i->withheld)
		event_to_sleeper(i, i->withheld, v);
	i->withheld = NULL;
	ask_when_written(i, KEEPER_THAW);
	i->frozen = false;
}

void instance_on_suspend(struct instance *i, const char *id, struct exchange *x, bool by_done)
{
	const char *until = exchange_query(x, "until");
	struct invocation *v = i->current;
	size_t size;
	char *body, *end = NULL;
	long ms;

	if (!means_current(i, id) || i->state != BUSY || v->responded || i->end_pending) {
		refuse(x, 409, "InvalidStateTransition",
		       "there is no unanswered invocation here to suspend");
		return;
	}
	if (event_shares_instance(i)) {
		refuse(x, 409, "SuspendRefused",
		       "several invocations share this instance (AWS_LAMBDA_MAX_CONCURRENCY): "
		       "a freeze would stop them all");
		return;
	}
	if (!exchange_body(x, &size)) {
		refuse(x, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size");
		return;
	}
	if (until) {
		ms = strtol(until, &end, 10);
		if (end == until || *end || ms < 1 || ms > facts(i)->suspend_ms) {
			refuse(x, 400, "InvalidUntil",
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
	send_frozen(i, KEEPER_SUSPEND, v->id, ONCPU_STATUS_SUSPENDED, true);
	if (!v->wants_tail)
		invocation_deliver(v);
}

/* ---- deaths ---- */

/* Ends it now; whoever waits for it is told. */
void instance_end(struct instance *i, const char *type, const char *why)
{
	struct invocation *v = i->current;

	if (i->state == DEAD)
		return;
	if (v && !v->responded)
		give_up_on(i, type, why);
	i->state = DEAD;
	i->deadline_ns = i->freeze_ns = 0;
	front_ask(i->front, i, KEEPER_KILL, NULL, 0, false);
}

static void time_out(struct instance *i, const char *type, const char *text)
{
	struct invocation *v = i->current;

	output_drain(i);
	invocation_fail(v, type, "RequestId: %s Error: %s", v->id, text);
	v->responded = true;
	output_line(i, "", 0);
	front_ask(i->front, i, KEEPER_END, v->id, ONCPU_STATUS_TIMEOUT, false);
	i->end_pending = true;
	i->state = DEAD;
	i->deadline_ns = 0;
	front_ask(i->front, i, KEEPER_KILL, NULL, 0, false);
	if (!v->wants_tail)
		invocation_deliver(v);
}

/* The whole function waits a moment before the next try, and one who waits for it is told. */
static void start_failed(struct instance *i, const char *type, const char *text)
{
	struct function *function = i->function;
	uint64_t wait = BACKOFF_LEAST_MS << (function->failures < 7 ? function->failures : 7);
	struct invocation *v;

	function->failures++;
	function->retry_ns = front_now() + (wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS) * MS;
	if (!function->queue)
		return;
	v = take_queued(function);
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

static void on_exited(struct instance *i, int status)
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
		start_failed(i, "Runtime.ExitError", text);
	else if (i->current && i->current->started == false && !i->current->responded)
		give_up_on(i, "Runtime.ExitError", text);
	else if (i->current && !i->current->responded)
		give_up_on(i, "Runtime.ExitError", text);
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
	if (told) {
		ask_when_written(i, KEEPER_THAW);
		i->frozen = false;
	}
	return told;
}

static void retire(struct instance *i, const char *reason)
{
	if (i->retire && i->deadline_ns)
		return; /* is being told */
	i->retire = true;
	if (tell_shutdown(i, reason))
		set_deadline(i, SHUTDOWN_MS);
	else
		instance_end(i, "Sandbox.Retired", reason);
}

static bool was_suspended(const struct instance *i)
{
	return i->state == SUSPENDED || (i->state == PAUSED && freezes(i) && !i->current->failed);
}

/* Answered, and still at it: what comes next is a later invocation's, and the record says so. */
static void pause_handler(struct instance *i)
{
	struct invocation *v = i->current;

	add_alias(i, v->id);
	i->state = PAUSED;
	i->end_pending = true;
	set_deadline(i, facts(i)->suspend_ms);
	if (was_suspended(i))
		send_frozen(i, KEEPER_SUSPEND, v->id, ONCPU_STATUS_SUSPENDED, true);
	else
		send_frozen(i, KEEPER_END, v->id, v->failed ? ONCPU_STATUS_ERROR : ONCPU_STATUS_OK,
			    freezes(i));
}

void instance_on_deadline(struct instance *i, uint64_t now)
{
	const struct slicer_function *f = facts(i);
	char text[96];

	if (i->freeze_ns && now >= i->freeze_ns) {
		i->freeze_ns = 0;
		if (i->state == IDLE && !i->frozen && !i->end_pending)
			send_frozen(i, KEEPER_FREEZE, NULL, 0, true);
	}
	if (!i->deadline_ns || now < i->deadline_ns)
		return;
	i->deadline_ns = 0;
	switch (i->state) {
	case STARTING:
		snprintf(text, sizeof(text), "Init timed out after %lld.%02lld seconds",
			 (long long)f->init_ms / 1000, (long long)f->init_ms % 1000 / 10);
		start_failed(i, "Sandbox.Timedout", text);
		instance_end(i, "Sandbox.Timedout", text);
		break;
	case IDLE:
		retire(i, "spindown");
		break;
	case BUSY:
		if (i->current->responded && extensions_wait(i)) { /* it never asked again */
			pause_handler(i);
			break;
		}
		snprintf(text, sizeof(text), "Task timed out after %lld.%02lld seconds",
			 (long long)f->timeout_ms / 1000, (long long)f->timeout_ms % 1000 / 10);
		time_out(i, "Sandbox.Timedout", text);
		break;
	case SLEEPING:
		wake_up(i);
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

	return a < b ? a : b;
}

/* ---- what the keeper tells ---- */

static void on_spawned(struct instance *i, const struct keeper_news *news, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = slot_event(i, SLOT_LISTENER) };

	i->log = fd;
	i->pid = news->pid;
	i->cgroup_id = news->cgroup_id;
	i->born_ns = news->time_ns;
	if (news->error) {
		start_failed(i, "Runtime.InitError", news->text);
		i->state = DEAD;
		return;
	}
	epoll_ctl(i->front->epoll, EPOLL_CTL_ADD, i->listener, &event);
	event.data.u64 = slot_event(i, SLOT_LOG);
	if (fd >= 0)
		epoll_ctl(i->front->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Idle and frozen without an open next: no event can reach it, and it cannot ask again. */
static void end_if_deaf(struct instance *i)
{
	if (i->state == IDLE && i->frozen && !i->runtime.next)
		instance_end(i, "Runtime.ExitError", "the idle process closed its connection");
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
			  timed_out	       ? "timeout"
			  : i->current->failed ? "error"
			  : was_suspended(i)   ? "suspended"
					       : NULL);
	if (i->state == DEAD)
		return;
	if (i->state == PAUSED && everybody_waits(i)) /* it asked after all */
		i->state = IDLE;
	if (i->state == BUSY)
		i->state = IDLE;
	if (i->state == IDLE) {
		set_deadline(i, facts(i)->idle_ms);
		if (freezes(i) && !i->frozen)
			i->freeze_ns = front_now() + (uint64_t)facts(i)->freeze_after_ms * MS + 1;
		if (i->retire) {
			i->deadline_ns = 0;
			retire(i, "limit");
		}
		end_if_deaf(i);
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
			give_up_on(i, "Runtime.ExitError", "Runtime exited");
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
		break;
	case KEEPER_START:
		if (!v || strcmp(v->id, news->id) != 0)
			break;
		v->started = true;
		v->start_ns = news->time_ns;
		v->start_total_ns = news->total_ns;
		if (i->start_pending && i->state == BUSY)
			give_event(i);
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
		on_exited(i, news->status);
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
			time_out(i, "Oncpu.CpuLimit", text);
		break;
	default:
		break;
	}
}

void instance_on_gone_exchange(struct instance *i, struct exchange *x, bool delivered)
{
	struct participant *all[FUNCTION_EXTENSIONS + 1] = { &i->runtime };

	(void)delivered;
	for (unsigned e = 0; e < i->extension_count; e++)
		all[e + 1] = &i->extensions[e];
	for (unsigned p = 0; p <= i->extension_count; p++)
		if (all[p]->next == x)
			all[p]->next = NULL;
	end_if_deaf(i);
	if (i->withheld == x) {
		i->withheld = NULL;
		if (i->state == SUSPENDED || i->state == SLEEPING)
			instance_end(i, "Runtime.ExitError",
				     "the suspended process closed its connection");
	}
}
