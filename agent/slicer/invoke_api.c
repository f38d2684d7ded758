// SPDX-License-Identifier: GPL-2.0
/*
 * The Invoke front, as Lambda's: POST /2015-03-31/functions/{name}/invocations, and the same with
 * an answer in pieces: POST /2021-11-15/functions/{name}/response-streaming-invocations. The name
 * may also be an ARN or have a qualifier; only $LATEST exists.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "slicer/front.h"

#define FUNCTIONS "/2015-03-31/functions/"
#define INVOCATIONS "/invocations"
#define STREAM_FUNCTIONS "/2021-11-15/functions/"
#define STREAM_INVOCATIONS "/response-streaming-invocations"

/* AWS's clients take the type from a header and the text from "Message". */
static void refuse(struct exchange *x, unsigned status, const char *type, const char *text)
{
	char body[1024];
	struct json_writer w;
	int n;

	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "Type", status < 500 ? "User" : "Service");
	jw_key_string(&w, "Message", text);
	jw_key_string(&w, "message", text);
	jw_object_close(&w);
	n = jw_end(&w);
	exchange_add_header(x, "X-Amzn-ErrorType", type);
	exchange_answer(x, status, "application/json", body, n > 0 ? (size_t)n : 0);
}

/* arn:aws:lambda:…:function:NAME[:QUALIFIER], ACCOUNT:function:NAME, NAME[:QUALIFIER] */
static struct function *find_function(struct front *f, const char *text, size_t n)
{
	static const char before[] = "function:";
	const char *at = memmem(text, n, before, sizeof(before) - 1), *colon;

	if (at) {
		n -= (size_t)(at - text) + sizeof(before) - 1;
		text = at + sizeof(before) - 1;
	}
	colon = memchr(text, ':', n);
	if (colon && strncmp(colon + 1, "$LATEST", n - (size_t)(colon + 1 - text)) == 0)
		n = (size_t)(colon - text);
	for (unsigned i = 0; i < f->options->function_count; i++) {
		const char *name = f->functions[i].facts->name;

		if (strlen(name) == n && !memcmp(name, text, n))
			return &f->functions[i];
	}
	return NULL;
}

/* Somebody can take it now, or as soon as a loose end is tied up. */
static bool has_room(const struct front *f, const struct function *function)
{
	unsigned room = 0;

	for (uint32_t n = 0; n < f->highest; n++) {
		const struct instance *i = f->instances[n];

		if (!i || i->function != function)
			continue;
		/* a dead one is replaced within milliseconds: whoever calls again right after a
		 * time-out or a crash is not turned away */
		room += i->state != BUSY && i->state != SLEEPING;
		room += i->state == BUSY &&
			(i->end_pending || (i->current && i->current->responded));
	}
	if (function->instances < (unsigned)function->facts->concurrency)
		room += (unsigned)function->facts->concurrency - function->instances;
	return function->queued < room;
}

static bool header_is(struct exchange *x, const char *name, const char *value)
{
	const char *given = exchange_header(x, name);

	return given && !strcasecmp(given, value);
}

static bool is_json(const char *text, size_t size)
{
	json_t *root = json_loadb(text, size, JSON_DECODE_ANY, NULL);

	json_decref(root);
	return root;
}

/* What Lambda's emulator and its service make of an empty payload differs: an empty object here. */
static char *take_payload(struct exchange *x, size_t *ret_size)
{
	char *body = exchange_take_body(x, ret_size);

	if (!body || *ret_size)
		return body;
	free(body);
	*ret_size = 2;
	return strdup("{}");
}

static void enqueue(struct function *function, struct invocation *v)
{
	*function->queue_end = v;
	function->queue_end = &v->next;
	function->queued++;
}

static void invoke(struct front *f, struct function *function, struct exchange *x, bool streams)
{
	const char *context = exchange_header(x, "X-Amz-Client-Context");
	bool event = header_is(x, "X-Amz-Invocation-Type", "Event");
	struct invocation *v;
	const char *body;
	size_t size;

	body = exchange_body(x, &size);
	if (!body || size > FRONT_PAYLOAD_MAX) {
		refuse(x, 413, "RequestTooLargeException",
		       "the payload is larger than 6291456 bytes");
		return;
	}
	if (size && !is_json(body, size)) {
		refuse(x, 400, "InvalidRequestContentException", "the payload is not JSON");
		return;
	}
	if (header_is(x, "X-Amz-Invocation-Type", "DryRun")) {
		exchange_answer(x, 204, NULL, "", 0);
		return;
	}
	if (event ? function->queued >= FRONT_QUEUE : !has_room(f, function)) {
		exchange_add_header(x, "Retry-After", "1");
		refuse(x, 429, "TooManyRequestsException",
		       event ? "the queue of events is full"
			     : "every instance is busy (raise --concurrency)");
		return;
	}
	v = invocation_new();
	if (!v) {
		refuse(x, 500, "ServiceException", "no memory");
		return;
	}
	v->payload = take_payload(x, &v->payload_size);
	v->client_context = context ? strdup(context) : NULL;
	v->event = event;
	v->streams = streams && !event;
	if (event) {
		exchange_add_header(x, "X-Amzn-RequestId", v->id);
		exchange_answer(x, 202, NULL, "", 0);
	} else {
		v->caller = x;
		v->wants_tail = header_is(x, "X-Amz-Log-Type", "Tail");
		v->wants_cpu = exchange_header(x, "X-Oncpu-Cpu") != NULL;
		exchange_set_data(x, v);
	}
	enqueue(function, v);
	function_dispatch(f, function);
}

/* …/functions/{name}/… of either kind: where the name begins and ends; NULL = neither. */
static const char *name_in(const char *path, const char **ret_end, bool *ret_streams)
{
	const char *end = strrchr(path, '/');

	*ret_end = end;
	*ret_streams = !strncmp(path, STREAM_FUNCTIONS, sizeof(STREAM_FUNCTIONS) - 1);
	if (*ret_streams)
		path += sizeof(STREAM_FUNCTIONS) - 1;
	else if (!strncmp(path, FUNCTIONS, sizeof(FUNCTIONS) - 1))
		path += sizeof(FUNCTIONS) - 1;
	else
		return NULL;
	if (!end || end < path || strcmp(end, *ret_streams ? STREAM_INVOCATIONS : INVOCATIONS) != 0)
		return NULL;
	return path;
}

void invoke_api(struct front *f, struct exchange *x)
{
	const char *path = exchange_path(x), *name, *end = NULL;
	struct function *function;
	bool streams;
	char text[256];

	if (!strcmp(path, "/ping")) {
		exchange_answer(x, 200, "text/plain", "pong", 4);
		return;
	}
	name = name_in(path, &end, &streams);
	if (!name) {
		refuse(x, 404, "ResourceNotFoundException",
		       "this is POST " FUNCTIONS "{name}" INVOCATIONS);
		return;
	}
	if (strcmp(exchange_method(x), "POST") != 0) {
		exchange_add_header(x, "Allow", "POST");
		refuse(x, 405, "MethodNotAllowed", "an invocation is a POST");
		return;
	}
	function = find_function(f, name, (size_t)(end - name));
	if (!function) {
		snprintf(text, sizeof(text), "Function not found: %.*s",
			 end - name < 128 ? (int)(end - name) : 128, name);
		refuse(x, 404, "ResourceNotFoundException", text);
		return;
	}
	invoke(f, function, x, streams);
}
