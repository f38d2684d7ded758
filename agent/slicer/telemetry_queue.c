// SPDX-License-Identifier: GPL-2.0
/* See telemetry_queue.h. */
#include "slicer/telemetry_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"

enum { FIRST_BYTES = 4096, NOTICE = 320 }; /* of a platform.logsDropped event */

static bool grow(struct telemetry_queue *q, size_t wanted)
{
	size_t capacity = q->capacity ? q->capacity : FIRST_BYTES;
	char *grown;

	if (wanted <= q->capacity)
		return true;
	while (capacity < wanted)
		capacity *= 2;
	grown = realloc(q->text, capacity);
	if (!grown)
		return false;
	q->text = grown;
	q->capacity = capacity;
	return true;
}

/* [ event , event … with room for , notice ] and a NUL */
static bool add(struct telemetry_queue *q, const char *event, size_t size)
{
	if (!grow(q, q->size + size + NOTICE + 4))
		return false;
	q->text[q->size++] = q->items ? ',' : '[';
	memcpy(q->text + q->size, event, size);
	q->size += size;
	q->items++;
	return true;
}

void telemetry_queue_put(struct telemetry_queue *q, enum telemetry_kind kind, const char *event,
			 size_t size, uint64_t now_ns)
{
	if (!(q->kinds & kind))
		return;
	if (q->items >= q->max_items || q->size + size > q->max_bytes || !add(q, event, size)) {
		telemetry_queue_lost(q, 1, size);
		return;
	}
	if (q->items == 1)
		q->first_ns = now_ns;
}

void telemetry_queue_lost(struct telemetry_queue *q, size_t items, size_t bytes)
{
	q->dropped_items += items;
	q->dropped_bytes += bytes;
}

static bool is_full(const struct telemetry_queue *q)
{
	return q->items >= q->max_items || q->size >= q->max_bytes || q->dropped_items;
}

bool telemetry_queue_due(const struct telemetry_queue *q, uint64_t now_ns)
{
	return q->items && (is_full(q) || now_ns - q->first_ns >= q->timeout_ns);
}

uint64_t telemetry_queue_when(const struct telemetry_queue *q)
{
	return !q->items ? UINT64_MAX : is_full(q) ? 0 : q->first_ns + q->timeout_ns;
}

static void add_notice(struct telemetry_queue *q, const char *time)
{
	char notice[NOTICE];
	struct json_writer w;
	int n;

	jw_begin(&w, notice, sizeof(notice));
	jw_object_open(&w);
	jw_key_string(&w, "time", time);
	jw_key_string(&w, "type", "platform.logsDropped");
	jw_key(&w, "record");
	jw_object_open(&w);
	jw_key_string(&w, "reason", "the subscriber has not taken what was sent to it in time");
	jw_key_uint64(&w, "droppedRecords", q->dropped_items);
	jw_key_uint64(&w, "droppedBytes", q->dropped_bytes);
	jw_object_close(&w);
	jw_object_close(&w);
	n = jw_end(&w);
	if (n > 0 && add(q, notice, (size_t)n))
		q->dropped_items = q->dropped_bytes = 0;
}

char *telemetry_queue_take(struct telemetry_queue *q, const char *time, size_t *ret_size,
			   size_t *ret_items)
{
	char *text;

	if (!q->items)
		return NULL;
	if (q->dropped_items)
		add_notice(q, time);
	text = q->text;
	text[q->size++] = ']';
	text[q->size] = '\0';
	*ret_size = q->size;
	*ret_items = q->items;
	q->text = NULL;
	q->size = q->capacity = q->items = 0;
	return text;
}

void telemetry_queue_free(struct telemetry_queue *q)
{
	free(q->text);
	memset(q, 0, sizeof(*q));
}
