// SPDX-License-Identifier: GPL-2.0
/* What is summed of an invocation: the same in the roll-up as in a sum over rows. Pure functions.
 */
#include "ledger/internal.h"

const char *const tally_names[TALLY_COLUMNS] = {
	[TALLY_COUNT] = "count",
	[TALLY_COLD_STARTS] = "cold_starts",
	[TALLY_ERRORS] = "errors",
	[TALLY_TIMEOUTS] = "timeouts",
	[TALLY_CRASHED] = "crashed",
	[TALLY_FLAGGED] = "flagged",
	[TALLY_WALL] = "wall_ns",
	[TALLY_CPU] = "cpu_ns",
	[TALLY_INIT_WALL] = "init_wall_ns",
	[TALLY_INIT_CPU] = "init_cpu_ns",
	[TALLY_AFTER_CPU] = "after_response_cpu_ns",
	[TALLY_BETWEEN_CPU] = "between_cpu_ns",
	[TALLY_RUN_QUEUE] = "run_queue_ns",
	[TALLY_MAX_BOUND] = "max_error_bound_ns",
};

int64_t tally_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

static bool is_error(int32_t status)
{
	return status == ONCPU_STATUS_ERROR || status < 0 || status >= ONCPU_STATUS_COUNT;
}

void tally_of_record(const struct invocation_record *record, int64_t values[TALLY_COLUMNS])
{
	bool has_init = record->init_wall_ns != -1;

	values[TALLY_COUNT] = 1;
	values[TALLY_COLD_STARTS] = record->cold_start;
	values[TALLY_ERRORS] = is_error(record->status);
	values[TALLY_TIMEOUTS] = record->status == ONCPU_STATUS_TIMEOUT;
	values[TALLY_CRASHED] = record->status == ONCPU_STATUS_CRASHED;
	values[TALLY_FLAGGED] = record->flags != 0;
	values[TALLY_WALL] = record->wall_ns;
	values[TALLY_CPU] = record->cpu_ns;
	values[TALLY_INIT_WALL] = has_init ? record->init_wall_ns : 0;
	values[TALLY_INIT_CPU] = has_init ? record->init_cpu_ns : 0;
	values[TALLY_AFTER_CPU] = record->after_response_cpu_ns;
	values[TALLY_BETWEEN_CPU] = record->between_cpu_ns;
	values[TALLY_RUN_QUEUE] = record->run_queue_ns == -1 ? 0 : record->run_queue_ns;
	values[TALLY_MAX_BOUND] = record->cpu_error_bound_ns;
}

void tally_merge(int64_t into[TALLY_COLUMNS], const int64_t from[TALLY_COLUMNS])
{
	for (int i = 0; i < TALLY_MAX_BOUND; i++)
		into[i] = tally_add(into[i], from[i]);
	if (from[TALLY_MAX_BOUND] > into[TALLY_MAX_BOUND])
		into[TALLY_MAX_BOUND] = from[TALLY_MAX_BOUND];
}
