/* SPDX-License-Identifier: GPL-2.0 */
/* See rates.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "cli/rates.h"

#define NS_PER_S 1000000000

const struct rate_column_name rate_columns[RATE_COLUMNS] = {
	[RATE_FUNCTION] = { "function", "FUNCTION", 'n' },
	[RATE_INSTANCES] = { "instances", "INSTANCES", 'i' },
	[RATE_RATE] = { "rate", "RATE/s", 'r' },
	[RATE_WALL] = { "wall", "WALL/s", 'w' },
	[RATE_CPU] = { "cpu", "ON-CPU/s", 'c' },
	[RATE_BILLED] = { "billed", "BILLED/s", 'b' },
	[RATE_RATIO] = { "ratio", "÷ ON-CPU", 'x' },
	[RATE_ERRORS] = { "errors", "ERRORS", 'e' },
	[RATE_COLD] = { "cold", "COLD", 's' },
};

int reading_add(void *user, const struct function_line *line)
{
	struct reading *r = user;

	if (r->count == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		struct function_line *grown = realloc(r->lines, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		r->lines = grown;
		r->room = room;
	}
	r->lines[r->count++] = *line;
	return 0;
}

void reading_free(struct reading *reading)
{
	free(reading->lines);
	memset(reading, 0, sizeof(*reading));
}

static uint64_t failures(const struct ledger_sum *sum)
{
	return sum->errors + sum->timeouts + sum->crashed;
}

static const struct ledger_sum *sum_in(const struct reading *r, const char *function)
{
	static const struct ledger_sum nothing;

	for (size_t i = 0; i < r->count; i++)
		if (!strcmp(r->lines[i].sum.function, function))
			return &r->lines[i].sum;
	return &nothing; /* its first invocation was since */
}

static struct rate rate_of(const struct function_line *line, const struct ledger_sum *before,
			   int64_t interval_ns, const char *policy)
{
	const struct ledger_sum *after = &line->sum;
	struct rate r = { .instances = line->instances_open,
			  .in_invocation = line->in_invocation,
			  .interval_ns = interval_ns,
			  .total_count = after->count,
			  .total_errors = failures(after),
			  .total_cold_starts = after->cold_starts };

	snprintf(r.function, sizeof(r.function), "%s", after->function);
	r.known = interval_ns > 0 && after->count >= before->count &&
		  failures(after) >= failures(before) &&
		  after->cold_starts >= before->cold_starts && after->wall_ns >= before->wall_ns;
	if (!r.known)
		return r;
	r.count = after->count - before->count;
	r.errors = failures(after) - failures(before);
	r.cold_starts = after->cold_starts - before->cold_starts;
	r.wall_ns = after->wall_ns - before->wall_ns;
	r.cpu_ns = after->cpu_ns - before->cpu_ns;
	r.billed_ns = source_billed(after, policy) - source_billed(before, policy);
	return r;
}

int rates_between(const struct reading *before, const struct reading *after, const char *policy,
		  struct rate **ret_rates)
{
	struct rate *rates = calloc(after->count + 1, sizeof(*rates));

	if (!rates)
		return -ENOMEM;
	for (size_t i = 0; i < after->count; i++)
		rates[i] = rate_of(&after->lines[i], sum_in(before, after->lines[i].sum.function),
				   after->at_ns - before->at_ns, policy);
	*ret_rates = rates;
	return 0;
}

struct rate rates_total(const struct rate *rates, size_t count)
{
	struct rate t = { .function = "total", .known = true };

	for (size_t i = 0; i < count; i++) {
		const struct rate *r = &rates[i];

		t.known &= r->known;
		t.interval_ns = r->interval_ns;
		t.instances += r->instances;
		t.in_invocation += r->in_invocation;
		t.count += r->count;
		t.errors += r->errors;
		t.cold_starts += r->cold_starts;
		t.wall_ns += r->wall_ns;
		t.cpu_ns += r->cpu_ns;
		t.billed_ns += r->billed_ns;
		t.total_count += r->total_count;
		t.total_errors += r->total_errors;
		t.total_cold_starts += r->total_cold_starts;
	}
	return t;
}

/* ---- the order ---- */

struct order {
	enum rate_column column;
	bool reverse;
};

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* billed ÷ on-CPU, without dividing */
static int compare_ratio(const struct rate *a, const struct rate *b)
{
	__int128 left = (__int128)a->billed_ns * b->cpu_ns,
		 right = (__int128)b->billed_ns * a->cpu_ns;

	if (a->cpu_ns <= 0 || b->cpu_ns <= 0) /* no ratio: last */
		return (a->cpu_ns > 0) - (b->cpu_ns > 0);
	return (left > right) - (left < right);
}

static int compare_by(const struct rate *a, const struct rate *b, enum rate_column column)
{
	switch (column) {
	case RATE_INSTANCES:
		return compare(a->instances, b->instances);
	case RATE_RATE:
		return compare(a->count, b->count);
	case RATE_WALL:
		return (a->wall_ns > b->wall_ns) - (a->wall_ns < b->wall_ns);
	case RATE_CPU:
		return (a->cpu_ns > b->cpu_ns) - (a->cpu_ns < b->cpu_ns);
	case RATE_BILLED:
		return (a->billed_ns > b->billed_ns) - (a->billed_ns < b->billed_ns);
	case RATE_RATIO:
		return compare_ratio(a, b);
	case RATE_ERRORS:
		return compare(a->total_errors, b->total_errors);
	case RATE_COLD:
		return compare(a->total_cold_starts, b->total_cold_starts);
	default:
		return strcmp(b->function, a->function);
	}
}

static int compare_rows(const void *left, const void *right, void *user)
{
	const struct rate *a = left, *b = right;
	const struct order *o = user;
	int order = compare_by(a, b, o->column);

	if (order)
		return o->reverse ? order : -order;
	return strcmp(a->function, b->function);
}

void rates_sort(struct rate *rates, size_t count, enum rate_column column, bool reverse)
{
	struct order order = { column, reverse };

	qsort_r(rates, count, sizeof(*rates), compare_rows, &order);
}

/* ---- a row ---- */

void rate_per_second(uint64_t count, int64_t interval_ns, char cell[CELL_MAX])
{
	unsigned __int128 tenths = (unsigned __int128)count * 10 * NS_PER_S;
	uint64_t rounded;

	if (interval_ns <= 0) {
		snprintf(cell, CELL_MAX, "–");
		return;
	}
	rounded = (uint64_t)((tenths + (uint64_t)interval_ns / 2) / (uint64_t)interval_ns);
	snprintf(cell, CELL_MAX, "%" PRIu64 ".%" PRIu64, rounded / 10, rounded % 10);
}

static void ns_per_second(int64_t ns, int64_t interval_ns, char cell[CELL_MAX])
{
	if (interval_ns <= 0)
		snprintf(cell, CELL_MAX, "–");
	else
		format_ns((int64_t)((__int128)ns * NS_PER_S / interval_ns), cell);
}

void rate_cells(const struct rate *r, char (*cells)[CELL_MAX])
{
	int64_t interval = r->known ? r->interval_ns : 0;

	format_text(r->function, 32, cells[RATE_FUNCTION]);
	snprintf(cells[RATE_INSTANCES], CELL_MAX, "%" PRIu64, r->instances);
	rate_per_second(r->count, interval, cells[RATE_RATE]);
	ns_per_second(r->wall_ns, interval, cells[RATE_WALL]);
	ns_per_second(r->cpu_ns, interval, cells[RATE_CPU]);
	ns_per_second(r->billed_ns, interval, cells[RATE_BILLED]);
	format_ratio(r->billed_ns, r->cpu_ns, cells[RATE_RATIO]);
	snprintf(cells[RATE_ERRORS], CELL_MAX, "%" PRIu64, r->total_errors);
	snprintf(cells[RATE_COLD], CELL_MAX, "%" PRIu64, r->total_cold_starts);
}

static void put_part(struct json_writer *w, const char *name, bool known, int64_t value)
{
	if (known)
		jw_key_int64(w, name, value);
	else
		jw_key_null(w, name);
}

int rate_json(const struct rate *r, const char *policy, char *buffer, size_t size)
{
	struct json_writer w;

	jw_begin(&w, buffer, size);
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.top/1");
	jw_key_string(&w, "function", r->function);
	jw_key_uint64(&w, "instances", r->instances);
	jw_key_uint64(&w, "in_invocation", r->in_invocation);
	jw_key_int64(&w, "interval_ns", r->interval_ns);
	put_part(&w, "count", r->known, (int64_t)r->count);
	put_part(&w, "errors", r->known, (int64_t)r->errors);
	put_part(&w, "cold_starts", r->known, (int64_t)r->cold_starts);
	put_part(&w, "wall_ns", r->known, r->wall_ns);
	put_part(&w, "cpu_ns", r->known, r->cpu_ns);
	jw_key_string(&w, "policy", policy);
	put_part(&w, "billed_ns", r->known, r->billed_ns);
	jw_key_uint64(&w, "total_count", r->total_count);
	jw_key_uint64(&w, "total_errors", r->total_errors);
	jw_key_uint64(&w, "total_cold_starts", r->total_cold_starts);
	jw_object_close(&w);
	return jw_end(&w);
}
