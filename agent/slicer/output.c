// SPDX-License-Identifier: GPL-2.0
/*
 * A function's output and the platform's lines about it: to the function's log, to the invocation's
 * tail, and to our own stdout. Bounded per invocation: the rest is counted, and the count is said.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/billing.h"
#include "slicer/events.h"
#include "slicer/front.h"
#include "slicer/report.h"
#include "slicer/telemetry.h"
#include "slicer/telemetry_event.h"

#define READ_AT_ONCE (64u << 10)
#define DRAIN_AT_MOST (16u)

static void tail_add(struct invocation *v, const char *text, size_t size)
{
	size_t keep;

	if (size >= FRONT_LOG_TAIL) {
		memcpy(v->tail, text + size - FRONT_LOG_TAIL, FRONT_LOG_TAIL);
		v->tail_used = FRONT_LOG_TAIL;
		return;
	}
	keep = v->tail_used + size > FRONT_LOG_TAIL ? FRONT_LOG_TAIL - size : v->tail_used;
	memmove(v->tail, v->tail + v->tail_used - keep, keep);
	memcpy(v->tail + keep, text, size);
	v->tail_used = keep + size;
}

static void put(struct instance *i, const char *text, size_t size)
{
	if (i->current)
		tail_add(i->current, text, size);
	logbook_write(&i->function->book, text, size);
	if (!i->front->options->quiet)
		fwrite(text, 1, size, stdout);
}

void output_line(struct instance *i, const char *text, size_t size)
{
	put(i, text, size);
}

/* The function's own bytes, or its extensions'. */
static void take(struct instance *i, bool of_extension, const char *text, size_t size)
{
	struct invocation *v = i->current;
	size_t fits = size;

	if (v && v->logged + size > FRONT_LOG_PER_INVOCATION) {
		fits = v->logged < FRONT_LOG_PER_INVOCATION ? FRONT_LOG_PER_INVOCATION - v->logged
							    : 0;
		v->dropped += size - fits;
	}
	if (v)
		v->logged += fits;
	if (!fits)
		return;
	put(i, text, fits);
	telemetry_text(i, of_extension, text, fits);
}

static ssize_t read_once(struct instance *i, int *fd)
{
	static char buffer[READ_AT_ONCE];
	ssize_t n = *fd < 0 ? -1 : read(*fd, buffer, sizeof(buffer));

	if (n > 0)
		take(i, fd == &i->extension_log, buffer, (size_t)n);
	if (n == 0) { /* every writer is gone */
		close(*fd);
		*fd = -1;
	}
	return n;
}

void output_read(struct instance *i)
{
	read_once(i, &i->extension_log);
	read_once(i, &i->log);
	if (!i->front->options->quiet)
		fflush(stdout);
}

void output_drain(struct instance *i)
{
	int *const pipes[] = { &i->extension_log, &i->log };

	for (unsigned p = 0; p < 2; p++)
		for (unsigned n = 0; n < DRAIN_AT_MOST && read_once(i, pipes[p]) > 0; n++)
			;
}

void output_start(struct instance *i)
{
	char line[128];
	int n = report_start(i->current->id, line, sizeof(line));

	if (n > 0)
		put(i, line, (size_t)n);
	telemetry_start(i);
}

static void put_dropped(struct instance *i)
{
	char line[128];
	int n;

	if (!i->current->dropped)
		return;
	n = snprintf(line, sizeof(line), "oncpu: %zu more bytes of output were dropped\n",
		     i->current->dropped);
	put(i, line, (size_t)n);
}

static int64_t billed_ms(const struct report *r)
{
	const struct policies *presets = policies_embedded();
	struct invocation_record record = { .wall_ns = r->duration_ns,
					    .init_wall_ns = r->init_ns,
					    .cold_start = r->init_ns >= 0 };

	return billing_billed_ns(presets, policies_find(presets, "aws-lambda"), &record) / 1000000;
}

void output_soft_limit(struct instance *i, const struct keeper_news *news)
{
	struct invocation *v = i->current;
	char line[TELEMETRY_EVENT];
	int n;

	if (!v || !v->started)
		return;
	n = telemetry_event_soft_limit(front_realtime(), v->id,
				       (int64_t)(news->total_ns - v->start_total_ns),
				       i->function->facts->cpu_soft_ns, line, sizeof(line));
	telemetry_platform(i, line, n);
	if (n > 0 && i->front->options->telemetry)
		printf("%s\n", line);
	fflush(stdout);
}

void output_timed_out(struct instance *i, const char *text)
{
	char time[TELEMETRY_TIME], line[256];
	int n;

	event_time(time, sizeof(time));
	n = snprintf(line, sizeof(line), "%s %s %s\n\n", time, i->current->id, text);
	if (n > 0 && (size_t)n < sizeof(line))
		put(i, line, (size_t)n);
}

void output_report(struct instance *i, const struct keeper_news *news, const char *status)
{
	struct invocation *v = i->current;
	struct report r = { .id = v->id,
			    .init_ns = -1,
			    .cpu_ns = -1,
			    .memory_mb = i->function->facts->memory_mb,
			    .peak_bytes = news->peak_bytes,
			    .status = status };
	char line[1024];
	int n;

	if (v->started && v->end_ns >= v->start_ns) {
		r.duration_ns = (int64_t)(v->end_ns - v->start_ns) - v->asleep_ns;
		r.cpu_ns = (int64_t)(v->end_total_ns - v->start_total_ns);
	}
	if (i->cold && i->ready_ns >= i->born_ns) {
		r.init_ns = (int64_t)(i->ready_ns - i->born_ns);
		i->cold = false;
	}
	r.billed_ms = billed_ms(&r);
	put_dropped(i);
	n = report_end(v->id, line, sizeof(line));
	if (n > 0)
		put(i, line, (size_t)n);
	n = report_line(&r, line, sizeof(line));
	if (n > 0)
		put(i, line, (size_t)n);
	n = report_json(&r, front_realtime(), line, sizeof(line));
	telemetry_platform(i, line, n);
	if (n > 0 && i->front->options->telemetry)
		printf("%s\n", line);
	fflush(stdout);
}
