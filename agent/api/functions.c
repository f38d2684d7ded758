// SPDX-License-Identifier: GPL-2.0
/*
 * /v1/functions: the sums of each function, its newest record, and what of it runs now. The
 * running part is copied in the loop; functions that only run so far have a line, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "ledger/compare.h"
#include "base/json_writer.h"

struct function {
	char name[ONCPU_NAME_LEN];
	uint32_t open, in_invocation;
	int64_t memory_mb, last_end_realtime_ns; /* -1, 0 = not known */
	bool told;
};

struct functions {
	size_t count, room;
	struct function list[]; /* sorted by name */
};

static struct function *find(struct functions *functions, const char *name, size_t *ret_at)
{
	size_t low = 0, high = functions ? functions->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(functions->list[middle].name, name);

		if (order == 0)
			return &functions->list[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return NULL;
}

/* The function's entry, made where there is none; NULL = out of memory. */
static struct function *enter(struct answer *answer, const char *name)
{
	struct functions *functions = answer->extra;
	size_t at = 0;
	struct function *found = find(functions, name, &at);

	if (found)
		return found;
	if (!functions || functions->count == functions->room) {
		size_t room = functions ? 2 * functions->room : 64;
		struct functions *grown =
			realloc(functions, sizeof(*functions) + room * sizeof(functions->list[0]));

		if (!grown)
			return NULL;
		if (!functions)
			grown->count = 0;
		grown->room = room;
		answer->extra = functions = grown;
	}
	found = &functions->list[at];
	memmove(found + 1, found, (functions->count - at) * sizeof(*found));
	*found = (struct function){ .memory_mb = -1 };
	snprintf(found->name, sizeof(found->name), "%s", name);
	functions->count++;
	return found;
}

static void on_view(void *user, const struct instance_view *view)
{
	struct function *function = enter(user, view->function[0] ? view->function : "unknown");

	if (!function)
		return;
	function->open++;
	function->in_invocation += view->in_invocation;
}

/* ---- in the producer's thread ---- */

static int on_newest(void *user, const struct ledger_newest *newest)
{
	struct function *function = enter(user, newest->function);

	if (!function)
		return -ENOMEM;
	function->memory_mb = newest->memory_mb;
	function->last_end_realtime_ns = newest->end_realtime_ns;
	return 0;
}

static void write_now(struct json_writer *w, const struct function *function)
{
	char when[40];

	jw_key_uint64(w, "instances_open", function->open);
	jw_key_uint64(w, "in_invocation", function->in_invocation);
	if (function->memory_mb >= 0)
		jw_key_int64(w, "memory_mb", function->memory_mb);
	else
		jw_key_null(w, "memory_mb");
	if (function->last_end_realtime_ns &&
	    realtime_format(function->last_end_realtime_ns, when, sizeof(when)) == 0)
		jw_key_string(w, "last_end", when);
	else
		jw_key_null(w, "last_end");
}

static int write_function(struct answer *answer, const struct ledger_sum *sum,
			  const struct function *function)
{
	char *line = answer_line_begin(answer);
	struct json_writer w;

	if (!line)
		return -EPIPE;
	jw_begin(&w, line, RECORD_JSON_MAX);
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.function/1");
	jw_key_string(&w, "function", function->name);
	ledger_sum_json(&w, sum);
	write_now(&w, function);
	ledger_sum_billed_json(&w, sum);
	jw_object_close(&w);
	return answer_line_end(answer, jw_end(&w));
}

static int on_sum(void *user, const struct ledger_sum *sum)
{
	struct function *function = enter(user, sum->function);

	if (!function)
		return -ENOMEM;
	function->told = true;
	return write_function(user, sum, function);
}

static int read_functions(struct answer *answer, const struct ledger_query *query)
{
	static const struct ledger_sum none;
	struct functions *functions;
	int err = 0;

	if (answer->reader)
		err = ledger_read_newest(answer->reader, query->since_realtime_ns, on_newest,
					 answer);
	if (!err && answer->reader)
		err = ledger_read_sums(answer->reader, query, on_sum, answer);
	functions = answer->extra;
	for (size_t i = 0; !err && functions && i < functions->count; i++)
		if (!functions->list[i].told)
			err = write_function(answer, &none, &functions->list[i]);
	return err;
}

int on_get_functions(void *user, struct http_request *request)
{
	struct answer *answer = answer_new(user, read_functions);

	if (!answer)
		return -ENOMEM;
	answer->view = on_view;
	answer->without_ledger = true;
	return answer_run(answer, request, "since", NDJSON);
}
