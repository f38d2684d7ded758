/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What policies bill for a ledger's invocations, a line of JSON per function: the content of
 * GET /v1/compare, and of `oncpu compare` where no agent runs.
 *
 *	{"schema":"oncpu.sum/1","function":…,"count":…, … the sums of struct ledger_sum …,
 *	 "observed_ns": the time that a month is projected from, 0 = none,
 *	 "recomputed": invocations that had to be summed from rows: the roll-up did not know a rule,
 *	 "policies":[{"policy","version","currency","billed_ns","billed_per_cpu_milli","cost_e12",
 *	   "memory_cost_e12","cpu_cost_e12","request_e12","used_e12",
 *	   "waste":{"waiting_ns",…,"rounding_ns","waiting_e12",…,"memory_e12","total_e12"},
 *	   "cost_per_million_e12","cost_per_month_e12"}]}
 *
 * used_e12 + request_e12 + waste.total_e12 = cost_e12, and the parts of waste in ns = billed_ns −
 * cpu_ns; core/compare.h says what each is.
 */
#ifndef ONCPU_LEDGER_COMPARE_H
#define ONCPU_LEDGER_COMPARE_H

#include "base/json_writer.h"
#include "core/compare.h"
#include "ledger/ledger.h"

struct comparison {
	struct ledger_query query;
	const struct policies *set;
	struct compare_choice choice;
	int64_t now_realtime_ns;
};
typedef int (*comparison_line_fn)(void *user, const char *line, size_t length);
/* Lines by function's name; each lives during the call. What `visit` returns but 0 ends it. */
int ledger_compare(struct ledger_reader *reader, const struct comparison *comparison,
		   comparison_line_fn visit, void *user);

/* The members of a sum, but for its function, within an object that is open; and "billed". */
void ledger_sum_json(struct json_writer *w, const struct ledger_sum *sum);
void ledger_sum_billed_json(struct json_writer *w, const struct ledger_sum *sum);

#endif
