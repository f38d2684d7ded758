// SPDX-License-Identifier: GPL-2.0
/*
 * /v1/events: records as they are stored, as Server-Sent Events.
 *
 * Each reader follows the ledger at its own pace, in a thread of its own; the loop only says that
 * something was stored. So a slow reader costs no memory and misses nothing, and one that comes
 * back with Last-Event-ID goes on where it was. `event: lost` is said where the ledger has let go
 * of what comes next for it: retention, or a ledger that is not the one it knew.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "api/internal.h"
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/log.h"

#define COMMENT_EVERY_MS 15000
#define READ_EVERY_MS 50 /* the ledger, at most: opening it costs a good part of a millisecond */
#define BATCH 256
#define EVENT_BYTES (RECORD_JSON_MAX + 512)
#define ID_BYTES 160

struct live_reader {
	struct live_reader *next, **link; /* in the api's list */
	int wake;			  /* an eventfd */
};

struct events {
	struct live_reader live;
	struct api *api;
	struct http_stream *stream;
	struct ledger_reader *reader; /* NULL: nothing has been stored yet */
	struct ledger_place place;
	char function[ONCPU_NAME_LEN]; /* "" = all */
	char last_id[ID_BYTES];	       /* of the last event that went out, or that the client had */
	char boot_id[RECORD_BOOT_LEN]; /* of the last one that went out */
	uint64_t sequence;
	bool gap; /* what comes next may not be what came next */
	size_t used;
	char block[BLOCK_BYTES];
};

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* ---- in the producer's thread: what goes out ---- */

static int flush(struct events *e)
{
	int err = http_stream_write(e->stream, e->block, e->used);

	e->used = 0;
	return err;
}

static int put(struct events *e, const char *text, size_t n)
{
	if (n > sizeof(e->block) - e->used)
		return -ENOSPC;
	memcpy(e->block + e->used, text, n);
	e->used += n;
	return 0;
}

static int put_text(struct events *e, const char *text)
{
	return put(e, text, strlen(text));
}

/* count -1: nobody knows how many. */
static int put_lost(struct events *e, int64_t count)
{
	struct json_writer w;
	char line[512];
	int n;

	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.lost/1");
	jw_key_string(&w, "after", e->last_id);
	if (count < 0)
		jw_key_null(&w, "count");
	else
		jw_key_int64(&w, "count", count);
	jw_object_close(&w);
	n = jw_end(&w);
	if (n < 0 || put_text(e, "event: lost\ndata: ") || put(e, line, (size_t)n) ||
	    put_text(e, "\n\n"))
		return -ENOSPC;
	return 0;
}

/* Before the record that comes after a gap. */
static int tell_gap(struct events *e, const char *boot_id, uint64_t sequence)
{
	bool counted = e->sequence && !e->function[0] && strcmp(boot_id, e->boot_id) == 0;

	if (!e->gap)
		return 0;
	e->gap = false;
	if (counted && sequence == e->sequence + 1)
		return 0;
	return put_lost(e, counted ? (int64_t)(sequence - e->sequence - 1) : -1);
}

static int put_event(struct events *e, const char *kind, const char *host, const char *boot_id,
		     uint64_t sequence, int (*write)(const void *record, char *to, size_t size),
		     const void *record)
{
	int n, err;

	if (sizeof(e->block) - e->used < EVENT_BYTES && flush(e))
		return -EPIPE;
	err = tell_gap(e, boot_id, sequence);
	if (!err)
		err = record_id_format(host, boot_id, sequence, e->last_id, sizeof(e->last_id));
	if (err)
		return err;
	if (put_text(e, "event: ") || put_text(e, kind) || put_text(e, "\nid: ") ||
	    put_text(e, e->last_id) || put_text(e, "\ndata: "))
		return -ENOSPC;
	n = write(record, e->block + e->used, sizeof(e->block) - e->used);
	if (n < 0)
		return n;
	e->used += (size_t)n;
	memcpy(e->boot_id, boot_id, sizeof(e->boot_id));
	e->sequence = sequence;
	return put_text(e, "\n\n");
}

static int write_invocation(const void *record, char *to, size_t size)
{
	return invocation_record_json(record, to, size);
}

static int write_instance(const void *record, char *to, size_t size)
{
	return instance_record_json(record, to, size);
}

static int on_invocation(void *user, const struct invocation_record *r)
{
	return put_event(user, "invocation", r->host, r->boot_id, r->sequence, write_invocation, r);
}

static int on_instance(void *user, const struct instance_record *r)
{
	return put_event(user, "instance", r->host, r->boot_id, r->sequence, write_instance, r);
}

/* ---- where it begins ---- */

/* 0, -ENOENT: no ledger yet. */
static int open_ledger(struct events *e)
{
	return e->reader ? 0 : ledger_reader_open(e->api->config.ledger_directory, &e->reader);
}

static int find_place(struct events *e)
{
	int err = open_ledger(e);

	e->place = (struct ledger_place){ .hour = INT64_MIN };
	if (err)
		return err == -ENOENT ? 0 : err;
	if (!e->last_id[0])
		return ledger_place_end(e->reader, &e->place);
	err = ledger_place_of(e->reader, e->last_id, &e->place);
	if (err == -EINVAL) {
		http_stream_problem(e->stream, 400, "Last-Event-ID %.128s is no record_id of oncpu",
				    e->last_id);
		return -EINVAL;
	}
	if (err != -ENOENT)
		return err;
	return put_lost(e, -1);
}

/* ---- waiting ---- */

/* Something was stored: 1. Nothing, and it is time for a comment: 0. -EPIPE: the client is gone. */
static int wait_for_more(struct events *e, int64_t read_ms)
{
	struct pollfd polled[2] = { { .fd = http_stream_fd(e->stream) },
				    { .fd = e->live.wake, .events = POLLIN } };
	int n = poll(polled, 2, COMMENT_EVERY_MS);
	int64_t rest;
	uint64_t count;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (polled[0].revents || atomic_load(&e->api->stopping))
		return -EPIPE;
	if (n == 0)
		return 0;
	/* what is stored in the next moments is read together */
	rest = read_ms + READ_EVERY_MS - monotonic_ms();
	if (rest > 0 && poll(polled, 1, (int)rest) != 0)
		return -EPIPE;
	if (read(e->live.wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	return 1;
}

static int read_on(struct events *e)
{
	int n = open_ledger(e);

	if (n)
		return n == -ENOENT ? 0 : n;
	e->gap |= !ledger_place_kept(e->reader, &e->place);
	n = ledger_follow(e->reader, &e->place, e->function[0] ? e->function : NULL, BATCH,
			  on_invocation, on_instance, e);
	return n < 0 ? n : flush(e) ? -EPIPE : n;
}

static int follow(struct events *e)
{
	int64_t read_ms = 0;
	int n = BATCH;

	while (n >= 0) {
		if (n > 0) {
			read_ms = monotonic_ms();
			n = read_on(e);
		}
		if (n == BATCH)
			continue;
		if (n >= 0)
			n = wait_for_more(e, read_ms);
		if (n == 0 && (put_text(e, ":\n\n") || flush(e)))
			n = -EPIPE;
	}
	return n;
}

static int produce(void *user, struct http_stream *stream)
{
	struct events *e = user;
	int err;

	e->stream = stream;
	err = put_text(e, "retry: 2000\n\n");
	if (!err)
		err = find_place(e);
	if (err == -EINVAL)
		return 0; /* it has been told */
	if (!err)
		err = flush(e);
	if (!err)
		err = follow(e);
	if (err == -EPIPE) /* left, or the agent stops: an end like any other */
		return 0;
	log_warning("an answer of /v1/events was cut short: %s", ledger_error());
	return err;
}

/* ---- in the loop ---- */

static void events_free(void *user)
{
	struct events *e = user;
	struct live *live = &e->api->live;

	pthread_mutex_lock(&live->lock);
	*e->live.link = e->live.next;
	if (e->live.next)
		e->live.next->link = e->live.link;
	pthread_mutex_unlock(&live->lock);
	ledger_reader_close(&e->reader);
	close(e->live.wake);
	free(e);
}

static struct events *events_new(struct api *api)
{
	struct events *e = calloc(1, sizeof(*e));
	struct live *live = &api->live;

	if (!e)
		return NULL;
	e->api = api;
	e->live.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->live.wake < 0) {
		free(e);
		return NULL;
	}
	pthread_mutex_lock(&live->lock);
	e->live.next = live->first;
	e->live.link = &live->first;
	if (e->live.next)
		e->live.next->link = &e->live.next;
	live->first = &e->live;
	pthread_mutex_unlock(&live->lock);
	return e;
}

void live_wake(struct live *live)
{
	pthread_mutex_lock(&live->lock);
	for (const struct live_reader *r = live->first; r; r = r->next)
		(void)!eventfd_write(r->wake, 1);
	pthread_mutex_unlock(&live->lock);
}

int on_get_events(void *user, struct http_request *request)
{
	const char *last_id = http_header(request, "Last-Event-ID");
	char error[QUERY_ERROR_LEN];
	struct api_query query = { 0 };
	struct events *e;

	if (api_query_parse(&query, request, "function", error))
		return http_reply_problem(request, 400, "%s", error);
	if (last_id && strlen(last_id) >= ID_BYTES)
		return http_reply_problem(request, 400, "Last-Event-ID is no record_id of oncpu");
	e = events_new(user);
	if (!e)
		return -ENOMEM;
	memcpy(e->function, query.function, sizeof(e->function));
	if (last_id)
		memcpy(e->last_id, last_id, strlen(last_id) + 1);
	return http_reply_live(request, "text/event-stream", produce, events_free, e);
}
