// SPDX-License-Identifier: GPL-2.0
/*
 * InvokeWithResponseStream: the caller gets an event stream (event_stream.h) of PayloadChunk events
 * as the function writes, and InvokeComplete at the end, with the error if there was one. What the
 * caller does not take yet is kept, up to FRONT_STREAM_MAX: a slow caller does not hold up a
 * function.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "slicer/base64.h"
#include "slicer/event_stream.h"
#include "slicer/front.h"

#define STREAM_TYPE "application/vnd.amazon.eventstream"

static void send_event(struct invocation *v, const char *type, const char *content_type,
		       const void *payload, size_t size)
{
	char *message;

	if (!v->stream_begun) {
		invocation_add_headers(v);
		exchange_stream(v->caller, 200, STREAM_TYPE);
		v->stream_begun = true;
	}
	message = event_stream_message(type, content_type, payload, size, &size);
	if (message)
		exchange_stream_write(v->caller, message, size);
	else
		exchange_hang_up(v->caller);
	free(message);
}

void streaming_piece(struct invocation *v, const void *data, size_t size)
{
	if (v->caller && size)
		send_event(v, "PayloadChunk", "application/octet-stream", data, size);
}

/* "errorType" of the error's JSON, or what Lambda calls the others. */
static void put_error(struct json_writer *w, const struct invocation *v)
{
	json_t *root = json_loadb(v->answer ? v->answer : "", v->answer_size, 0, NULL);
	const char *type = json_string_value(json_object_get(root, "errorType"));

	jw_key_string(w, "ErrorCode", type ? type : v->function_error);
	jw_key(w, "ErrorDetails");
	jw_bytes(w, v->answer ? v->answer : "", v->answer_size);
	json_decref(root);
}

void streaming_end(struct invocation *v)
{
	char tail[BASE64_ROOM(FRONT_LOG_TAIL)];
	size_t room = sizeof(tail) + 1024 + (v->function_error ? 6 * v->answer_size : 0);
	char *complete = malloc(room);
	struct json_writer w;
	int n;

	if (!v->function_error && v->answer)
		streaming_piece(v, v->answer, v->answer_size);
	jw_begin(&w, complete, complete ? room : 0);
	jw_object_open(&w);
	if (v->function_error)
		put_error(&w, v);
	if (v->wants_tail) {
		base64_encode(v->tail, v->tail_used, tail);
		jw_key_string(&w, "LogResult", tail);
	}
	jw_object_close(&w);
	n = complete ? jw_end(&w) : -1;
	if (n > 0)
		send_event(v, "InvokeComplete", "application/json", complete, (size_t)n);
	free(complete);
	exchange_set_data(v->caller, NULL);
	if (n > 0)
		exchange_stream_end(v->caller);
	else
		exchange_hang_up(v->caller);
	v->caller = NULL;
}
