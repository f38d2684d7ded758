// SPDX-License-Identifier: GPL-2.0
/* See telemetry.h. */
#include "slicer/telemetry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "slicer/courier.h"
#include "slicer/events.h"
#include "slicer/slots.h"
#include "slicer/telemetry_event.h"

#define EARLY_BYTES (64u << 10) /* kept for those that subscribe later in the init */
#define RETRY_NS 100000000ull	/* after a batch that was not taken; doubles */
enum { TRIES = 5, LINE = 64 << 10, LINE_ROOM = 6 * LINE + 128 };

struct subscriber {
	struct telemetry_queue queue;
	struct courier courier;
	bool refused; /* its server is somebody else's */
	unsigned tries;
	uint64_t retry_ns; /* the batch goes out again; 0 = none waits */
	char *batch;	   /* that waits */
	size_t batch_size, batch_items;
};

struct early { /* then `size` bytes of JSON */
	uint32_t kind, size;
};

struct telemetry {
	struct subscriber *subscribers[FUNCTION_EXTENSIONS];
	bool started; /* nobody subscribes any more */
	char *early;
	size_t early_size, early_lost;
};

/* ---- events ---- */

static void keep_early(struct telemetry *t, enum telemetry_kind kind, const char *event,
		       size_t size)
{
	struct early head = { (uint32_t)kind, (uint32_t)size };

	if (!t->early)
		t->early = malloc(EARLY_BYTES);
	if (!t->early || t->early_size + sizeof(head) + size > EARLY_BYTES) {
		t->early_lost++;
		return;
	}
	memcpy(t->early + t->early_size, &head, sizeof(head));
	memcpy(t->early + t->early_size + sizeof(head), event, size);
	t->early_size += sizeof(head) + size;
}

static void put(struct instance *i, enum telemetry_kind kind, const char *event, size_t size)
{
	struct telemetry *t = i->telemetry;
	uint64_t now = front_now();

	if (!t->started)
		keep_early(t, kind, event, size);
	for (unsigned e = 0; e < FUNCTION_EXTENSIONS; e++)
		if (t->subscribers[e] && !t->subscribers[e]->refused)
			telemetry_queue_put(&t->subscribers[e]->queue, kind, event, size, now);
}

void telemetry_platform(struct instance *i, const char *event, int size)
{
	if (i->telemetry && size > 0)
		put(i, TELEMETRY_PLATFORM, event, (size_t)size);
}

void telemetry_text(struct instance *i, bool of_extension, const char *text, size_t size)
{
	static char event[LINE_ROOM];
	const char *end = text + size, *stop;
	int64_t now = i->telemetry ? front_realtime() : 0;

	for (; i->telemetry && text < end; text = stop + 1) {
		size_t length;
		int n;

		stop = memchr(text, '\n', (size_t)(end - text));
		stop = stop ? stop : end;
		length = (size_t)(stop - text) < LINE ? (size_t)(stop - text) : LINE;
		n = telemetry_event_line(now, of_extension ? "extension" : "function", text, length,
					 event, sizeof(event));
		if (n > 0)
			put(i, of_extension ? TELEMETRY_EXTENSION : TELEMETRY_FUNCTION, event,
			    (size_t)n);
	}
}

void telemetry_extension(struct instance *i, const struct participant *p, const char *error_type)
{
	unsigned wants = (p->wants_invoke ? TELEMETRY_WANTS_INVOKE : 0u) |
			 (p->wants_shutdown ? TELEMETRY_WANTS_SHUTDOWN : 0u);
	char event[TELEMETRY_EVENT];

	telemetry_platform(i, event,
			   telemetry_event_extension(front_realtime(), p->name, wants, error_type,
						     event, sizeof(event)));
}

void telemetry_init_done(struct instance *i, const char *status, const char *error_type)
{
	char event[TELEMETRY_EVENT];

	telemetry_platform(i, event,
			   telemetry_event_init_done(front_realtime(), status, error_type, event,
						     sizeof(event)));
}

void telemetry_init_report(struct instance *i, const char *status)
{
	uint64_t over = i->ready_ns > i->born_ns ? i->ready_ns : front_now();
	char event[TELEMETRY_EVENT];

	if (!i->telemetry)
		return;
	telemetry_platform(i, event,
			   telemetry_event_init_report(front_realtime(),
						       (int64_t)(over - i->born_ns), status, event,
						       sizeof(event)));
	i->telemetry->started = true;
	free(i->telemetry->early);
	i->telemetry->early = NULL;
}

void telemetry_start(struct instance *i)
{
	char event[TELEMETRY_EVENT], trace[128];

	event_trace(i->current, trace, sizeof(trace));
	telemetry_platform(i, event,
			   telemetry_event_start(front_realtime(), i->current->id, trace, event,
						 sizeof(event)));
}

void telemetry_runtime_done(struct instance *i, const char *status, const char *error_type)
{
	struct invocation *v = i->current;
	int64_t now = front_realtime(), began, answered = -1;
	char event[TELEMETRY_EVENT], trace[128];

	if (!i->telemetry || !v || v->runtime_done)
		return;
	v->runtime_done = true;
	began = now - (int64_t)(front_now() - v->taken_ns);
	if (v->answered_ns)
		answered = (int64_t)(v->answered_ns - v->taken_ns);
	event_trace(v, trace, sizeof(trace));
	telemetry_platform(i, event,
			   telemetry_event_done(began, now, v->id, status, error_type, answered,
						v->produced, trace, event, sizeof(event)));
}

/* ---- delivery ---- */

static void watch(struct instance *i, unsigned e, bool is_new)
{
	struct courier *c = &i->telemetry->subscribers[e]->courier;
	struct epoll_event event = { .events = courier_wants(c),
				     .data.u64 = slot_event(i, SLOT_DELIVERY + e) };

	if (c->fd >= 0)
		epoll_ctl(i->front->epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
}

static void later(struct subscriber *s)
{
	s->batch = courier_stop(&s->courier, &s->batch_size);
	if (++s->tries < TRIES) {
		s->retry_ns = front_now() + (RETRY_NS << s->tries);
		return;
	}
	telemetry_queue_lost(&s->queue, s->batch_items, s->batch_size);
	free(s->batch);
	s->batch = NULL;
	s->retry_ns = 0;
	s->tries = 0;
}

static void send_batch(struct instance *i, unsigned e)
{
	struct subscriber *s = i->telemetry->subscribers[e];
	char *batch = s->batch;

	s->batch = NULL;
	s->retry_ns = 0;
	if (courier_start(&s->courier, batch, s->batch_size))
		later(s);
	else
		watch(i, e, true);
}

void telemetry_run(struct instance *i, uint64_t now, bool all)
{
	char time[TELEMETRY_TIME];

	for (unsigned e = 0; i->telemetry && e < FUNCTION_EXTENSIONS; e++) {
		struct subscriber *s = i->telemetry->subscribers[e];

		if (!s || s->refused || (i->frozen && !all) || courier_is_busy(&s->courier))
			continue;
		if (s->batch && s->retry_ns > now && !all)
			continue;
		if (!s->batch && (all || telemetry_queue_due(&s->queue, now))) {
			event_time(time, sizeof(time));
			s->batch = telemetry_queue_take(&s->queue, time, &s->batch_size,
							&s->batch_items);
		}
		if (s->batch)
			send_batch(i, e);
	}
}

uint64_t telemetry_when(const struct instance *i)
{
	uint64_t when = UINT64_MAX;

	for (unsigned e = 0; i->telemetry && !i->frozen && e < FUNCTION_EXTENSIONS; e++) {
		const struct subscriber *s = i->telemetry->subscribers[e];
		uint64_t its;

		if (!s || s->refused || courier_is_busy(&s->courier))
			continue;
		its = s->batch ? s->retry_ns : telemetry_queue_when(&s->queue);
		when = its < when ? its : when;
	}
	return when;
}

static void refuse(struct instance *i, unsigned e)
{
	struct subscriber *s = i->telemetry->subscribers[e];
	size_t size;

	log_warning("extension %s of %s wants its telemetry at port %u, which is not its own: it "
		    "gets none",
		    i->extensions[e].name, i->function->facts->name, s->courier.port);
	free(courier_stop(&s->courier, &size));
	telemetry_queue_free(&s->queue);
	s->refused = true;
}

void telemetry_on_io(struct instance *i, unsigned e)
{
	struct subscriber *s = i->telemetry ? i->telemetry->subscribers[e] : NULL;

	if (!s || s->courier.fd < 0)
		return;
	switch (courier_go_on(&s->courier)) {
	case COURIER_CONNECTED:
		if (!front_is_own(i->front, i, s->courier.fd)) {
			refuse(i, e);
			return;
		}
		break;
	case COURIER_DONE:
		s->tries = 0;
		if (i->shutting_down) /* and what came since */
			telemetry_run(i, front_now(), true);
		break;
	case COURIER_FAILED:
		later(s);
		return;
	default:
		break;
	}
	watch(i, e, false);
}

/* ---- subscriptions ---- */

static void replay(const struct telemetry *t, struct telemetry_queue *queue)
{
	struct early head;

	for (size_t at = 0; at < t->early_size; at += sizeof(head) + head.size) {
		memcpy(&head, t->early + at, sizeof(head));
		telemetry_queue_put(queue, head.kind, t->early + at + sizeof(head), head.size,
				    front_now());
	}
	telemetry_queue_lost(queue, t->early_lost, 0);
}

int telemetry_subscribe(struct instance *i, unsigned e, const struct telemetry_queue *wanted,
			unsigned port, const char *host, const char *path)
{
	struct telemetry *t = i->telemetry;
	char event[TELEMETRY_EVENT];
	struct subscriber *s;

	if (!t || t->started)
		return -EACCES;
	s = t->subscribers[e];
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->courier.fd = -1;
		t->subscribers[e] = s;
		s->queue = *wanted;
		replay(t, &s->queue);
	} else { /* the latest one stands; what waits, waits on */
		s->queue.kinds = wanted->kinds;
		s->queue.max_items = wanted->max_items;
		s->queue.max_bytes = wanted->max_bytes;
		s->queue.timeout_ns = wanted->timeout_ns;
	}
	s->courier.port = port;
	snprintf(s->courier.host, sizeof(s->courier.host), "%s", host);
	snprintf(s->courier.path, sizeof(s->courier.path), "%s", path);
	telemetry_platform(i, event,
			   telemetry_event_subscription(front_realtime(), i->extensions[e].name,
							wanted->kinds, event, sizeof(event)));
	return 0;
}

/* ---- life ---- */

void telemetry_open(struct instance *i)
{
	int64_t born = front_realtime() - (int64_t)(front_now() - i->born_ns);
	char event[TELEMETRY_EVENT], name[32];

	if (i->telemetry)
		return;
	i->telemetry = calloc(1, sizeof(*i->telemetry));
	snprintf(name, sizeof(name), "f%u-i%u", i->function->index, i->index);
	telemetry_platform(i, event,
			   telemetry_event_init_start(born, i->function->facts->name, name,
						      i->function->facts->memory_mb, event,
						      sizeof(event)));
}

void telemetry_free(struct instance *i)
{
	for (unsigned e = 0; i->telemetry && e < FUNCTION_EXTENSIONS; e++) {
		struct subscriber *s = i->telemetry->subscribers[e];
		size_t size;

		if (!s)
			continue;
		free(courier_stop(&s->courier, &size));
		telemetry_queue_free(&s->queue);
		free(s->batch);
		free(s);
	}
	if (i->telemetry)
		free(i->telemetry->early);
	free(i->telemetry);
	i->telemetry = NULL;
}
