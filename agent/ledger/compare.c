// SPDX-License-Identifier: GPL-2.0
/*
 * A function's line of /v1/compare and of `oncpu compare`: its sums, and what policies bill for
 * them. The one place where that line is written, whoever asks.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

#include "ledger/compare.h"

void ledger_sum_json(struct json_writer *w, const struct ledger_sum *sum)
{
	jw_key_uint64(w, "count", sum->count);
	jw_key_uint64(w, "cold_starts", sum->cold_starts);
	jw_key_uint64(w, "errors", sum->errors);
	jw_key_uint64(w, "timeouts", sum->timeouts);
	jw_key_uint64(w, "crashed", sum->crashed);
	jw_key_uint64(w, "flagged", sum->flagged);
	jw_key_int64(w, "wall_ns", sum->wall_ns);
	jw_key_int64(w, "cpu_ns", sum->cpu_ns);
	jw_key_int64(w, "init_wall_ns", sum->init_wall_ns);
	jw_key_int64(w, "init_cpu_ns", sum->init_cpu_ns);
	jw_key_int64(w, "after_response_cpu_ns", sum->after_response_cpu_ns);
	jw_key_int64(w, "between_cpu_ns", sum->between_cpu_ns);
	jw_key_int64(w, "run_queue_ns", sum->run_queue_ns);
	jw_key_int64(w, "max_error_bound_ns", sum->max_error_bound_ns);
}

void ledger_sum_billed_json(struct json_writer *w, const struct ledger_sum *sum)
{
	jw_key(w, "billed");
	jw_object_open(w);
	for (uint32_t i = 0; i < sum->billed_count && i < RECORD_MAX_BILLED; i++) {
		jw_key(w, sum->billed[i].policy);
		jw_object_open(w);
		jw_key_uint64(w, "version", sum->billed[i].version);
		jw_key_int64(w, "billed_ns", sum->billed[i].billed_ns);
		jw_object_close(w);
	}
	jw_object_close(w);
}

/* The time that the records stand for: from the asked-for beginning, or the first one's start, to
 * the asked-for end, or now. */
static int64_t observed_ns(const struct comparison *c, const struct bill_group *groups,
			   size_t count)
{
	int64_t from = c->query.since_realtime_ns, to = c->query.until_realtime_ns;
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < count; i++)
		if (groups[i].first_ns < first)
			first = groups[i].first_ns;
	if (!to || to > c->now_realtime_ns)
		to = c->now_realtime_ns;
	if (!from)
		from = first;
	return from < to && from > 0 ? to - from : 0;
}

struct writing {
	const struct comparison *comparison;
	comparison_line_fn visit;
	void *user;
	char *line; /* of COMPARE_JSON_MAX bytes */
};

static int write_line(void *user, const struct ledger_sum *sum, int64_t bucket,
		      const struct bill_group *groups, size_t count)
{
	struct writing *writing = user;
	const struct comparison *c = writing->comparison;
	int64_t observed = observed_ns(c, groups, count);
	uint64_t recomputed = 0;
	struct json_writer w;
	int n;

	(void)bucket;
	for (size_t i = 0; i < count; i++)
		recomputed += groups[i].recomputed;
	jw_begin(&w, writing->line, COMPARE_JSON_MAX);
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.sum/1");
	jw_key_string(&w, "function", sum->function);
	ledger_sum_json(&w, sum);
	ledger_sum_billed_json(&w, sum);
	jw_key_int64(&w, "observed_ns", observed);
	jw_key_uint64(&w, "recomputed", recomputed);
	compare_policies_json(&w, c->set, &c->choice, groups, count, observed);
	jw_object_close(&w);
	n = jw_end(&w);
	return n < 0 ? n : writing->visit(writing->user, writing->line, (size_t)n);
}

int ledger_compare(struct ledger_reader *reader, const struct comparison *comparison,
		   comparison_line_fn visit, void *user)
{
	_cleanup_free_ char *line = malloc(COMPARE_JSON_MAX);
	struct writing writing = { comparison, visit, user, line };

	if (!line)
		return -ENOMEM;
	return ledger_read_bills(reader, &comparison->query, comparison->set, &comparison->choice,
				 0, write_line, &writing);
}
