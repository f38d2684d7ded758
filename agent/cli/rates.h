/* SPDX-License-Identifier: GPL-2.0 */
/* From two readings of what the functions have done: rates, sorted. Pure. */
#ifndef ONCPU_CLI_RATES_H
#define ONCPU_CLI_RATES_H

#include "cli/cli.h"
#include "cli/format.h"

/* One reading. `at_ns`: CLOCK_MONOTONIC. All zeros is an empty one. */
struct reading {
	int64_t at_ns;
	struct function_line *lines;
	size_t count, room;
};
int reading_add(void *reading, const struct function_line *line); /* a function_fn; 0, -ENOMEM */
void reading_free(struct reading *reading);

/* One function's interval. What was billed and used is of invocations that ended in it. */
struct rate {
	char function[ONCPU_NAME_LEN];
	uint64_t instances, in_invocation; /* now */
	bool known; /* false: its sums shrank (retention), so there is no difference */
	int64_t interval_ns;
	uint64_t count, errors,
		cold_starts; /* in the interval; errors: timeouts and crashes, too */
	int64_t wall_ns, cpu_ns, billed_ns;
	uint64_t total_count, total_errors, total_cold_starts; /* since --since */
};
/* One a function of `after`, in its order: *ret_rates is the caller's to free. 0, -ENOMEM. */
int rates_between(const struct reading *before, const struct reading *after, const char *policy,
		  struct rate **ret_rates);
/* The sum of them; known if each is. */
struct rate rates_total(const struct rate *rates, size_t count);

enum rate_column {
	RATE_FUNCTION,
	RATE_INSTANCES,
	RATE_RATE,
	RATE_WALL,
	RATE_CPU,
	RATE_BILLED,
	RATE_RATIO,
	RATE_ERRORS,
	RATE_COLD,
	RATE_COLUMNS
};
/* The word for --sort, the key of the screen, and the title. */
struct rate_column_name {
	const char *word, *title;
	char key;
};
extern const struct rate_column_name rate_columns[RATE_COLUMNS];

/* Largest first (names: first first), ties by name; `reverse` turns all but the ties round. */
void rates_sort(struct rate *rates, size_t count, enum rate_column column, bool reverse);
/* One row as text. */
void rate_cells(const struct rate *rate, char (*cells)[CELL_MAX]);
/* a / interval, a second: "12.3", or "–". */
void rate_per_second(uint64_t count, int64_t interval_ns, char cell[CELL_MAX]);
int rate_json(const struct rate *rate, const char *policy, char *buffer, size_t size);

#endif
