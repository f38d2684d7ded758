// SPDX-License-Identifier: GPL-2.0
/* See events.h. */
#include "slicer/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "core/record_json.h"

#define ARN_ROOM (ONCPU_NAME_LEN + 64)

static void arn(const struct instance *i, char text[ARN_ROOM])
{
	snprintf(text, ARN_ROOM, "arn:aws:lambda:us-east-1:000000000000:function:%s",
		 i->function->facts->name);
}

/* When the time limit strikes, in ms since the epoch. */
static int64_t deadline_ms(const struct instance *i)
{
	int64_t left = (int64_t)(i->deadline_ns - front_now());

	return (front_realtime() + left) / 1000000;
}

void event_trace(const struct invocation *v, char *text, size_t size)
{
	char hex[33];
	size_t n = 0;

	for (const char *c = v->id; *c && n < 32; c++)
		if (*c != '-')
			hex[n++] = *c;
	hex[n] = '\0';
	snprintf(text, size, "Root=1-%.8s-%.24s;Parent=%.16s;Sampled=0", hex, hex + 8, hex);
}

void event_time(char *text, size_t size)
{
	realtime_format(front_realtime(), text, size);
}

static void add_headers(struct instance *i, struct exchange *x, const struct invocation *v)
{
	char text[ARN_ROOM];

	exchange_add_header(x, "Lambda-Runtime-Aws-Request-Id", v->id);
	snprintf(text, sizeof(text), "%" PRId64, deadline_ms(i));
	exchange_add_header(x, "Lambda-Runtime-Deadline-Ms", text);
	arn(i, text);
	exchange_add_header(x, "Lambda-Runtime-Invoked-Function-Arn", text);
	event_trace(v, text, sizeof(text));
	exchange_add_header(x, "Lambda-Runtime-Trace-Id", text);
	if (v->client_context)
		exchange_add_header(x, "Lambda-Runtime-Client-Context", v->client_context);
}

void event_to_runtime(struct instance *i, struct exchange *x, struct invocation *v)
{
	add_headers(i, x, v);
	exchange_answer_taking(x, 200, "application/json", v->payload, v->payload_size);
	v->payload = NULL;
}

void event_to_sleeper(struct instance *i, struct exchange *x, struct invocation *v)
{
	add_headers(i, x, v);
	exchange_answer(x, 200, "application/json", "{}", 2);
}

static void answer_event(struct exchange *x, const char *type, const char *body, int n)
{
	exchange_add_header(x, "Lambda-Extension-Event-Identifier", type);
	exchange_answer(x, 200, "application/json", body, n > 0 ? (size_t)n : 0);
}

void event_to_extension(struct instance *i, struct exchange *x, struct invocation *v)
{
	char body[2048], text[ARN_ROOM];
	struct json_writer w;

	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "eventType", "INVOKE");
	jw_key_int64(&w, "deadlineMs", deadline_ms(i));
	jw_key_string(&w, "requestId", v->id);
	arn(i, text);
	jw_key_string(&w, "invokedFunctionArn", text);
	event_trace(v, text, sizeof(text));
	jw_key(&w, "tracing");
	jw_object_open(&w);
	jw_key_string(&w, "type", "X-Amzn-Trace-Id");
	jw_key_string(&w, "value", text);
	jw_object_close(&w);
	jw_object_close(&w);
	answer_event(x, v->id, body, jw_end(&w));
}

void event_shutdown(struct instance *i, struct exchange *x, const char *reason, int64_t ms)
{
	char body[256];
	struct json_writer w;

	(void)i;
	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "eventType", "SHUTDOWN");
	jw_key_string(&w, "shutdownReason", reason);
	jw_key_int64(&w, "deadlineMs", front_realtime() / 1000000 + ms);
	jw_object_close(&w);
	answer_event(x, "shutdown", body, jw_end(&w));
}

void event_refuse(struct exchange *x, unsigned status, const char *type, const char *text)
{
	char body[1024];
	struct json_writer w;
	int n;

	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "errorMessage", text);
	jw_key_string(&w, "errorType", type);
	jw_object_close(&w);
	n = jw_end(&w);
	exchange_answer(x, status, "application/json", body, n > 0 ? (size_t)n : 0);
}

bool event_shares_instance(const struct instance *i)
{
	static const char name[] = "AWS_LAMBDA_MAX_CONCURRENCY=";

	for (char *const *v = i->function->facts->variables; *v; v++)
		if (!strncmp(*v, name, sizeof(name) - 1))
			return atoi(*v + sizeof(name) - 1) > 1;
	return false;
}
