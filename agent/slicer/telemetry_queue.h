/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The events that one subscriber has not got yet. Pure: no I/O, no clock.
 *
 * Bounded: what does not fit is dropped and counted, and the count is told as a
 * platform.logsDropped event as soon as there is room again. An owner that never takes anything
 * costs max_bytes.
 */
#ifndef ONCPU_SLICER_TELEMETRY_QUEUE_H
#define ONCPU_SLICER_TELEMETRY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum telemetry_kind { TELEMETRY_PLATFORM = 1, TELEMETRY_FUNCTION = 2, TELEMETRY_EXTENSION = 4 };

/* Lambda's ranges and defaults of a subscription's "buffering". */
enum {
	TELEMETRY_ITEMS_LEAST = 1000,
	TELEMETRY_ITEMS_MOST = 10000,
	TELEMETRY_BYTES_LEAST = 262144,
	TELEMETRY_BYTES_MOST = 1048576,
	TELEMETRY_TIMEOUT_LEAST_MS = 25,
	TELEMETRY_TIMEOUT_DEFAULT_MS = 1000,
	TELEMETRY_TIMEOUT_MOST_MS = 30000
};

struct telemetry_queue {
	unsigned kinds; /* of enum telemetry_kind, or-ed */
	size_t max_items, max_bytes;
	uint64_t timeout_ns;
	/* the events, joined by commas; room for the brackets is kept */
	char *text;
	size_t size, capacity, items;
	uint64_t first_ns; /* when the oldest came */
	uint64_t dropped_items, dropped_bytes;
};

/* Adds one event, a JSON object; one of another kind is none of the queue's. */
void telemetry_queue_put(struct telemetry_queue *q, enum telemetry_kind kind, const char *event,
			 size_t size, uint64_t now_ns);
/* A batch is wanted: full by number or size, or the oldest event has waited long enough. */
bool telemetry_queue_due(const struct telemetry_queue *q, uint64_t now_ns);
/* When it will be; UINT64_MAX = never, it is empty. */
uint64_t telemetry_queue_when(const struct telemetry_queue *q);
/* A batch that nobody took: its events are dropped, and counted. */
void telemetry_queue_lost(struct telemetry_queue *q, size_t items, size_t bytes);
/* All of it as a JSON array, the caller's to free(); after dropped events with what was dropped as
 * its last event, at this time (text of RFC 3339). NULL = it is empty, or no memory. */
char *telemetry_queue_take(struct telemetry_queue *q, const char *time, size_t *ret_size,
			   size_t *ret_items);
void telemetry_queue_free(struct telemetry_queue *q);

#endif
