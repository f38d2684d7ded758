// SPDX-License-Identifier: GPL-2.0
/* See telemetry_event.h. Names and shapes are those of AWS's schema 2022-12-13; what only oncpu
 * knows has names that begin with "oncpu". */
#include "slicer/telemetry_event.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_writer.h"
#include "core/record_json.h"
#include "slicer/telemetry_queue.h"

static void put_time(struct json_writer *w, const char *name, int64_t ns)
{
	char time[TELEMETRY_TIME];

	realtime_format(ns, time, sizeof(time));
	jw_key_string(w, name, time);
}

static void begin(struct json_writer *w, int64_t now, const char *type, char *buffer, size_t size)
{
	jw_begin(w, buffer, size);
	jw_object_open(w);
	put_time(w, "time", now);
	jw_key_string(w, "type", type);
	jw_key(w, "record");
}

static void begin_record(struct json_writer *w, int64_t now, const char *type, char *buffer,
			 size_t size)
{
	begin(w, now, type, buffer, size);
	jw_object_open(w);
}

static int end_record(struct json_writer *w)
{
	jw_object_close(w);
	jw_object_close(w);
	return jw_end(w);
}

static void put_ms(struct json_writer *w, const char *name, int64_t ns)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRId64 ".%06" PRId64, ns / 1000000, ns % 1000000);

	jw_key(w, name);
	jw_raw(w, text, (size_t)n);
}

static void put_outcome(struct json_writer *w, const char *status, const char *error_type)
{
	jw_key_string(w, "status", status);
	if (error_type)
		jw_key_string(w, "errorType", error_type);
}

static void put_tracing(struct json_writer *w, const char *trace)
{
	jw_key(w, "tracing");
	jw_object_open(w);
	jw_key_string(w, "type", "X-Amzn-Trace-Id");
	jw_key_string(w, "value", trace);
	jw_object_close(w);
}

static void put_init(struct json_writer *w)
{
	jw_key_string(w, "initializationType", "on-demand");
	jw_key_string(w, "phase", "init");
}

int telemetry_event_init_start(int64_t now, const char *function, const char *instance,
			       int64_t memory_mb, char *buffer, size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "platform.initStart", buffer, size);
	put_init(&w);
	jw_key_string(&w, "functionName", function);
	jw_key_string(&w, "functionVersion", "$LATEST");
	jw_key_string(&w, "instanceId", instance);
	jw_key_int64(&w, "instanceMaxMemory", memory_mb << 20);
	return end_record(&w);
}

int telemetry_event_init_done(int64_t now, const char *status, const char *error_type, char *buffer,
			      size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "platform.initRuntimeDone", buffer, size);
	put_init(&w);
	put_outcome(&w, status, error_type);
	return end_record(&w);
}

int telemetry_event_init_report(int64_t now, int64_t duration_ns, const char *status, char *buffer,
				size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "platform.initReport", buffer, size);
	put_init(&w);
	put_outcome(&w, status, NULL);
	jw_key(&w, "metrics");
	jw_object_open(&w);
	put_ms(&w, "durationMs", duration_ns);
	jw_object_close(&w);
	return end_record(&w);
}

int telemetry_event_start(int64_t now, const char *id, const char *trace, char *buffer, size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "platform.start", buffer, size);
	jw_key_string(&w, "requestId", id);
	jw_key_string(&w, "version", "$LATEST");
	put_tracing(&w, trace);
	return end_record(&w);
}

static void put_span(struct json_writer *w, const char *name, int64_t start, int64_t duration_ns)
{
	jw_object_open(w);
	jw_key_string(w, "name", name);
	put_time(w, "start", start);
	put_ms(w, "durationMs", duration_ns);
	jw_object_close(w);
}

int telemetry_event_done(int64_t start, int64_t now, const char *id, const char *status,
			 const char *error_type, int64_t response_ns, uint64_t produced_bytes,
			 const char *trace, char *buffer, size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "platform.runtimeDone", buffer, size);
	jw_key_string(&w, "requestId", id);
	put_outcome(&w, status, error_type);
	put_tracing(&w, trace);
	jw_key(&w, "spans");
	jw_array_open(&w);
	if (response_ns >= 0) {
		put_span(&w, "responseLatency", start, response_ns);
		put_span(&w, "runtimeOverhead", start + response_ns, now - start - response_ns);
	}
	jw_array_close(&w);
	jw_key(&w, "metrics");
	jw_object_open(&w);
	put_ms(&w, "durationMs", now - start);
	jw_key_uint64(&w, "producedBytes", produced_bytes);
	jw_object_close(&w);
	return end_record(&w);
}

int telemetry_event_extension(int64_t now, const char *name, unsigned wants, const char *error_type,
			      char *buffer, size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "platform.extension", buffer, size);
	jw_key_string(&w, "name", name);
	jw_key_string(&w, "state", error_type ? "Failed" : "Ready");
	jw_key(&w, "events");
	jw_array_open(&w);
	if (wants & TELEMETRY_WANTS_INVOKE)
		jw_string(&w, "INVOKE");
	if (wants & TELEMETRY_WANTS_SHUTDOWN)
		jw_string(&w, "SHUTDOWN");
	jw_array_close(&w);
	if (error_type)
		jw_key_string(&w, "errorType", error_type);
	return end_record(&w);
}

int telemetry_event_subscription(int64_t now, const char *name, unsigned kinds, char *buffer,
				 size_t size)
{
	static const char *const names[] = { "platform", "function", "extension" };
	struct json_writer w;

	begin_record(&w, now, "platform.telemetrySubscription", buffer, size);
	jw_key_string(&w, "name", name);
	jw_key_string(&w, "state", "Subscribed");
	jw_key(&w, "types");
	jw_array_open(&w);
	for (unsigned k = 0; k < 3; k++)
		if (kinds & 1u << k)
			jw_string(&w, names[k]);
	jw_array_close(&w);
	return end_record(&w);
}

int telemetry_event_soft_limit(int64_t now, const char *id, int64_t used_ns, int64_t limit_ns,
			       char *buffer, size_t size)
{
	struct json_writer w;

	begin_record(&w, now, "oncpu.cpuSoftLimit", buffer, size);
	jw_key_string(&w, "requestId", id);
	put_ms(&w, "onCpuMs", used_ns);
	put_ms(&w, "softLimitMs", limit_ns);
	return end_record(&w);
}

int telemetry_event_line(int64_t now, const char *type, const char *text, size_t n, char *buffer,
			 size_t size)
{
	struct json_writer w;

	begin(&w, now, type, buffer, size);
	jw_bytes(&w, text, n);
	jw_object_close(&w);
	return jw_end(&w);
}
