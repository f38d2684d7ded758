// SPDX-License-Identifier: GPL-2.0
/* See report.h. The format is AWS's own, as in its documentation and its emulator. */
#include "slicer/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json_writer.h"
#include "core/record_json.h"

/* Hundredths of a millisecond, rounded to the nearest as %.2f does. */
static int64_t hundredths(int64_t ns)
{
	return (ns + 5000) / 10000;
}

#define MS_FORMAT "%" PRId64 ".%02" PRId64 " ms"
#define MS_VALUE(ns) hundredths(ns) / 100, hundredths(ns) % 100

static int fit(int n, size_t size)
{
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

int report_start(const char *id, char *buffer, size_t size)
{
	return fit(snprintf(buffer, size, "START RequestId: %s Version: $LATEST\n", id), size);
}

int report_end(const char *id, char *buffer, size_t size)
{
	return fit(snprintf(buffer, size, "END RequestId: %s\n", id), size);
}

static int64_t peak_mb(const struct report *r)
{
	return (int64_t)((r->peak_bytes + (1 << 20) - 1) >> 20);
}

int report_line(const struct report *r, char *buffer, size_t size)
{
	char memory[48] = "", init[48] = "", cpu[48] = "", status[48] = "";

	if (r->peak_bytes)
		snprintf(memory, sizeof(memory), "Max Memory Used: %" PRId64 " MB\t", peak_mb(r));
	if (r->init_ns >= 0)
		snprintf(init, sizeof(init), "Init Duration: " MS_FORMAT "\t",
			 MS_VALUE(r->init_ns));
	if (r->status)
		snprintf(status, sizeof(status), "Status: %s\t", r->status);
	if (r->cpu_ns >= 0)
		snprintf(cpu, sizeof(cpu), "On-CPU: " MS_FORMAT "\t", MS_VALUE(r->cpu_ns));
	return fit(snprintf(buffer, size,
			    "REPORT RequestId: %s\tDuration: " MS_FORMAT
			    "\tBilled Duration: %" PRId64 " ms\tMemory Size: %" PRId64
			    " MB\t%s%s%s%s\n",
			    r->id, MS_VALUE(r->duration_ns), r->billed_ms, r->memory_mb, memory,
			    init, status, cpu),
		   size);
}

/* A number of milliseconds with its fraction, exactly. */
static void put_ms(struct json_writer *w, const char *name, int64_t ns)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRId64 ".%06" PRId64, ns / 1000000, ns % 1000000);

	jw_key(w, name);
	jw_raw(w, text, (size_t)n);
}

int report_json(const struct report *r, int64_t realtime_ns, char *buffer, size_t size)
{
	struct json_writer w;
	char time[40];

	realtime_format(realtime_ns, time, sizeof(time));
	jw_begin(&w, buffer, size);
	jw_object_open(&w);
	jw_key_string(&w, "time", time);
	jw_key_string(&w, "type", "platform.report");
	jw_key(&w, "record");
	jw_object_open(&w);
	jw_key_string(&w, "requestId", r->id);
	jw_key_string(&w, "status", r->status ? r->status : "success");
	jw_key(&w, "metrics");
	jw_object_open(&w);
	put_ms(&w, "durationMs", r->duration_ns);
	jw_key_int64(&w, "billedDurationMs", r->billed_ms);
	jw_key_int64(&w, "memorySizeMB", r->memory_mb);
	if (r->peak_bytes)
		jw_key_int64(&w, "maxMemoryUsedMB", peak_mb(r));
	if (r->init_ns >= 0)
		put_ms(&w, "initDurationMs", r->init_ns);
	if (r->cpu_ns >= 0)
		put_ms(&w, "onCpuMs", r->cpu_ns);
	jw_object_close(&w);
	jw_object_close(&w);
	jw_object_close(&w);
	return jw_end(&w);
}
