// SPDX-License-Identifier: GPL-2.0
/* What a runtime answers: a result, an error, that it cannot start; or nothing. */
#include <stdlib.h>
#include <string.h>

#include "slicer/base64.h"
#include "slicer/events.h"
#include "slicer/life.h"
#include "slicer/telemetry.h"

void instance_give_up(struct instance *i, const char *type, const char *text)
{
	struct invocation *v = i->current;

	invocation_fail(v, type, "RequestId: %s Error: %s", v->id, text);
	v->responded = true;
	if (!v->wants_tail)
		invocation_deliver(v);
}

/* AWS's 400 and 403 end three of four runtime clients: so only in strict mode. */
static void accept_anyway(struct instance *i, struct exchange *x, unsigned status, const char *type,
			  const char *text)
{
	if (i->front->options->strict)
		event_refuse(x, status, type, text);
	else
		exchange_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n", 16);
}

static void fail_by_trailers(struct invocation *v, struct exchange *x, const char *type)
{
	const char *text = exchange_trailer(x, "Lambda-Runtime-Function-Error-Body");
	size_t size = 0;
	char *details = text ? base64_decode(text, &size) : NULL;

	v->failed = true;
	if (details)
		invocation_answer(v, details, size, NULL, "Unhandled");
	else
		invocation_fail(v, type, "the stream broke off");
}

void instance_on_piece(struct instance *i, const char *id, struct exchange *x)
{
	struct invocation *v = i->current;
	size_t size;
	char *piece;

	if (!v || !v->streams || v->responded || !instance_means(i, id) ||
	    (i->state != BUSY && i->state != SLEEPING))
		return;
	piece = exchange_take_body(x, &size);
	v->produced += size;
	streaming_piece(v, piece, size);
	free(piece);
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
				runtime_api_streams(x) ? FRONT_STREAM_MAX : FRONT_BODY_MAX);
		event_refuse(x, 413, "RequestEntityTooLarge",
			     "Exceeded maximum allowed payload size");
		return;
	}
	if (trailer && !error && v->streams) {
		body = exchange_take_body(x, &size);
		streaming_piece(v, body, size);
		free(body);
		fail_by_trailers(v, x, trailer);
	} else if (trailer && !error) { /* broken off: what there was of it, and the mark */
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

	if (!instance_means(i, id) || (i->state != BUSY && i->state != SLEEPING)) {
		accept_anyway(i, x, 400, "InvalidRequestID", "Invalid request ID");
		return;
	}
	if (v->responded) {
		accept_anyway(i, x, 403, "InvalidStateTransition",
			      "The invocation was answered before");
		return;
	}
	output_drain(i); /* what it wrote before it answered */
	v->answered_ns = front_now();
	take_answer(i, x, error);
	v->responded = true;
	v->produced += v->answer_size;
	front_ask(i->front, i, KEEPER_RESPONSE, v->id, 0, false);
	if (instance_extensions_wait(i))
		set_deadline(i, facts(i)->grace_ms);
	if (!v->wants_tail && !v->wants_cpu)
		invocation_deliver(v);
}

void instance_on_init_error(struct instance *i, struct exchange *x)
{
	size_t size;
	const char *body = exchange_body(x, &size);

	if (i->state == STARTING && !i->init_failed)
		telemetry_init_done(i, "error", "Runtime.InitError");
	if (i->state == STARTING && body && !i->init_error) {
		i->init_error = exchange_take_body(x, &size);
		i->init_error_size = size;
	}
	i->init_failed = i->state == STARTING;
	exchange_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n", 16);
}
