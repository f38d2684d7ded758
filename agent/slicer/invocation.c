// SPDX-License-Identifier: GPL-2.0
/* One trigger, from the caller's request to the caller's answer. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/json_writer.h"
#include "slicer/base64.h"
#include "slicer/front.h"

/* A random UUID, as Lambda's request ids are. */
static void fresh_id(char id[FRONT_ID])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		memset(b, 0, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(id, FRONT_ID,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

struct invocation *invocation_new(void)
{
	struct invocation *v = calloc(1, sizeof(*v));

	if (v)
		fresh_id(v->id);
	return v;
}

void invocation_free(struct invocation *v)
{
	if (!v)
		return;
	if (v->caller)
		exchange_set_data(v->caller, NULL);
	free(v->payload);
	free(v->client_context);
	free(v->answer);
	free(v->answer_type);
	free(v);
}

void invocation_answer(struct invocation *v, char *body, size_t size, const char *type,
		       const char *function_error)
{
	if (v->answer) { /* the first one stands */
		free(body);
		return;
	}
	v->answer = body;
	v->answer_size = size;
	free(v->answer_type);
	v->answer_type = type ? strdup(type) : NULL;
	v->function_error = function_error;
}

void invocation_fail(struct invocation *v, const char *type, const char *format, ...)
{
	char text[512], *body = malloc(2048);
	struct json_writer w;
	va_list arguments;
	int n;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!body)
		return;
	jw_begin(&w, body, 2048);
	jw_object_open(&w);
	jw_key_string(&w, "errorType", type);
	jw_key_string(&w, "errorMessage", text);
	jw_object_close(&w);
	n = jw_end(&w);
	v->failed = true;
	invocation_answer(v, body, n > 0 ? (size_t)n : 0, NULL, "Unhandled");
}

void invocation_add_headers(struct invocation *v)
{
	char tail[BASE64_ROOM(FRONT_LOG_TAIL)], number[32];

	exchange_add_header(v->caller, "X-Amzn-RequestId", v->id);
	exchange_add_header(v->caller, "X-Amz-Executed-Version", "$LATEST");
	if (v->function_error)
		exchange_add_header(v->caller, "X-Amz-Function-Error", v->function_error);
	if (v->wants_tail && !v->streams) {
		base64_encode(v->tail, v->tail_used, tail);
		exchange_add_header(v->caller, "X-Amz-Log-Result", tail);
	}
	if (v->wants_cpu && v->started && v->response_total_ns >= v->start_total_ns &&
	    v->response_total_ns) {
		snprintf(number, sizeof(number), "%llu",
			 (unsigned long long)(v->response_total_ns - v->start_total_ns));
		exchange_add_header(v->caller, "X-Oncpu-Cpu-Ns", number);
	}
}

void invocation_deliver(struct invocation *v)
{
	if (!v->caller)
		return;
	if (v->streams) {
		streaming_end(v);
		return;
	}
	invocation_add_headers(v);
	exchange_set_data(v->caller, NULL);
	if (v->answer)
		exchange_answer_taking(v->caller, 200,
				       v->answer_type ? v->answer_type : "application/json",
				       v->answer, v->answer_size);
	else
		exchange_answer(v->caller, 200, "application/json", "null", 4);
	v->answer = NULL;
	v->caller = NULL;
}
