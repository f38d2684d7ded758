/* SPDX-License-Identifier: GPL-2.0 */
/* See comparison.h. The lines' numbers as they are; nothing is computed here but sums of them. */
#include "cli/comparison.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cli/csv.h"
#include "cli/format.h"
#include "cli/money.h"
#include "core/compare.h"

#define BAR_CELLS 24

/* A function under a policy. Unknown numbers are NONE. */
#define NONE INT64_MIN
struct comparison_row {
	char function[64], policy[POLICY_NAME_LEN], currency[4];
	uint64_t version, count, cold_starts, recomputed;
	int64_t wall_ns, cpu_ns;
	int64_t billed_ns, ratio_milli, cost_e12, million_e12, month_e12, request_e12, used_e12;
	int64_t parts_ns[BILL_PARTS], parts_e12[BILL_PARTS], memory_e12, waste_e12;
	int64_t rank_e12; /* what could be saved of the function under the first policy */
	size_t order;	  /* of the policy within the function */
};

static int64_t number(const json_t *o, const char *name)
{
	const json_t *value = json_object_get(o, name);

	return json_is_integer(value) ? json_integer_value(value) : NONE;
}

static struct comparison_row *new_row(struct comparison_view *view)
{
	if (view->count == view->room) {
		size_t room = view->room ? 2 * view->room : 64;
		void *grown = reallocarray(view->rows, room, sizeof(*view->rows));

		if (!grown)
			return NULL;
		view->rows = grown;
		view->room = room;
	}
	memset(&view->rows[view->count], 0, sizeof(*view->rows));
	return &view->rows[view->count++];
}

static void copy_text(const json_t *o, const char *name, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, name));

	snprintf(to, size, "%s", text ? text : "");
}

static void fill(struct comparison_row *row, const json_t *o, const json_t *p)
{
	const json_t *waste = json_object_get(p, "waste");
	char name[48];

	copy_text(o, "function", row->function, sizeof(row->function));
	copy_text(p, "policy", row->policy, sizeof(row->policy));
	copy_text(p, "currency", row->currency, sizeof(row->currency));
	row->version = (uint64_t)number(p, "version");
	row->count = (uint64_t)number(o, "count");
	row->cold_starts = (uint64_t)number(o, "cold_starts");
	row->recomputed = json_object_get(o, "recomputed") ? (uint64_t)number(o, "recomputed") : 0;
	row->wall_ns = number(o, "wall_ns");
	row->cpu_ns = number(o, "cpu_ns");
	row->billed_ns = number(p, "billed_ns");
	row->ratio_milli = number(p, "billed_per_cpu_milli");
	row->cost_e12 = number(p, "cost_e12");
	row->million_e12 = number(p, "cost_per_million_e12");
	row->month_e12 = number(p, "cost_per_month_e12");
	row->request_e12 = number(p, "request_e12");
	row->used_e12 = number(p, "used_e12");
	row->memory_e12 = number(waste, "memory_e12");
	row->waste_e12 = number(waste, "total_e12");
	for (int i = 0; i < BILL_PARTS; i++) {
		snprintf(name, sizeof(name), "%s_ns", bill_part_name((enum bill_part)i));
		row->parts_ns[i] = number(waste, name);
		snprintf(name, sizeof(name), "%s_e12", bill_part_name((enum bill_part)i));
		row->parts_e12[i] = number(waste, name);
	}
}

int comparison_add(struct comparison_view *view, const char *line, size_t length)
{
	json_t *o = json_loadb(line, length, 0, NULL), *p;
	struct comparison_row *row;
	int64_t rank = NONE;
	int error = o ? 0 : -EPROTO;
	size_t i;

	json_array_foreach(json_object_get(o, "policies"), i, p)
	{
		row = new_row(view);
		if (!row) {
			error = -ENOMEM;
			break;
		}
		fill(row, o, p);
		row->order = i;
		if (i == 0)
			rank = row->waste_e12 != NONE ? row->waste_e12 : row->cost_e12;
		row->rank_e12 = rank;
	}
	json_decref(o);
	return error;
}

void comparison_free(struct comparison_view *view)
{
	free(view->rows);
	view->rows = NULL;
	view->count = view->room = 0;
}

/* Most to save first; then by name, and policies as they were asked for. */
static int by_savings(const void *a, const void *b)
{
	const struct comparison_row *left = a, *right = b;
	int names = strcmp(left->function, right->function);

	if (names && left->rank_e12 != right->rank_e12)
		return left->rank_e12 > right->rank_e12 ? -1 : 1;
	return names ? names : (left->order > right->order) - (left->order < right->order);
}

static void sort(struct comparison_view *view)
{
	if (view->count)
		qsort(view->rows, view->count, sizeof(*view->rows), by_savings);
}

/* ---- the table ---- */

/* "waiting 61 %, init 22 %": the largest parts of the cost, in whole per cent. */
static void say_waste(const struct comparison_row *r, char cell[CELL_MAX])
{
	int64_t part[BILL_PARTS + 2];
	const char *name[BILL_PARTS + 2];
	size_t used = 0;

	cell[0] = '\0';
	if (r->waste_e12 == NONE || r->cost_e12 <= 0)
		return;
	for (int i = 0; i < BILL_PARTS; i++) {
		part[i] = r->parts_e12[i];
		name[i] =
			i == BILL_PART_AFTER ? "after response" : bill_part_name((enum bill_part)i);
	}
	part[BILL_PARTS] = r->memory_e12;
	name[BILL_PARTS] = "memory";
	part[BILL_PARTS + 1] = r->request_e12 == NONE ? 0 : r->request_e12;
	name[BILL_PARTS + 1] = "request fee";
	for (int shown = 0; shown < 3; shown++) {
		int most = 0;
		int64_t percent;

		for (int i = 1; i < BILL_PARTS + 2; i++)
			if (part[i] > part[most])
				most = i;
		percent = bill_scale(part[most], 100, r->cost_e12);
		if (part[most] <= 0 || percent < 1)
			break;
		used += (size_t)snprintf(cell + used, CELL_MAX - used, "%s%s %" PRId64 " %%",
					 used ? ", " : "", name[most], percent);
		part[most] = 0;
	}
}

/* The cost as a bar, as long as it is against the function's dearest: used, wasted, fee. */
static void draw_bar(const struct comparison_row *r, int64_t dearest, char cell[CELL_MAX])
{
	int64_t used, waste, whole;
	size_t at = 0;

	cell[0] = '\0';
	if (r->cost_e12 == NONE || r->cost_e12 <= 0 || dearest <= 0)
		return;
	whole = bill_scale(r->cost_e12, BAR_CELLS, dearest);
	used = r->used_e12 == NONE ? 0 : bill_scale(r->used_e12, BAR_CELLS, dearest);
	waste = r->waste_e12 == NONE ? whole : bill_scale(r->waste_e12, BAR_CELLS, dearest);
	for (int64_t i = 0; i < whole && i < BAR_CELLS; i++)
		at += (size_t)snprintf(cell + at, CELL_MAX - at, "%s",
				       i < used		  ? "█"
				       : i < used + waste ? "▒"
							  : "·");
	if (!whole)
		snprintf(cell, CELL_MAX, "▏");
}

static void known_ns(int64_t ns, char cell[CELL_MAX])
{
	if (ns == NONE)
		snprintf(cell, CELL_MAX, "–");
	else
		format_ns(ns, cell);
}

static void known_money(int64_t e12, const char *currency, char cell[CELL_MAX])
{
	if (e12 == NONE)
		snprintf(cell, CELL_MAX, "–");
	else
		format_money(e12, currency, cell);
}

static void ratio(int64_t milli, char cell[CELL_MAX])
{
	if (milli == NONE)
		snprintf(cell, CELL_MAX, "–");
	else
		snprintf(cell, CELL_MAX, "%" PRId64 ".%02" PRId64 "×", (milli + 5) / 1000,
			 (milli + 5) / 10 % 100);
}

/* Names of functions once; the rows below it are the same function's. */
static void fill_cells(char (*cell)[CELL_MAX], const struct comparison_row *r, bool first,
		       int64_t dearest, bool bars)
{
	size_t c = 0;

	if (first) {
		format_text(r->function, 24, cell[0]);
		snprintf(cell[1], CELL_MAX, "%" PRIu64, r->count);
		snprintf(cell[2], CELL_MAX, "%" PRIu64, r->cold_starts);
		known_ns(r->wall_ns, cell[3]);
		known_ns(r->cpu_ns, cell[4]);
	}
	c = 5;
	snprintf(cell[c++], CELL_MAX, "%s", r->policy);
	known_ns(r->billed_ns, cell[c++]);
	ratio(r->ratio_milli, cell[c++]);
	known_money(r->million_e12, r->currency, cell[c++]);
	known_money(r->month_e12, r->currency, cell[c++]);
	if (bars)
		draw_bar(r, dearest, cell[c++]);
	say_waste(r, cell[c]);
}

/* The dearest policy of the function whose rows begin here, of those in the first one's currency.
 */
static int64_t dearest_of(const struct comparison_view *view, size_t from)
{
	const struct comparison_row *first = &view->rows[from];
	int64_t most = 0;

	for (size_t i = from; i < view->count; i++) {
		const struct comparison_row *r = &view->rows[i];

		if (strcmp(r->function, first->function) != 0)
			break;
		if (strcmp(r->currency, first->currency) == 0 && r->cost_e12 > most)
			most = r->cost_e12;
	}
	return most;
}

static void add_known(int64_t *into, int64_t value)
{
	if (*into == NONE || value == NONE || __builtin_add_overflow(*into, value, into))
		*into = NONE;
}

/* Sums of the functions' rows of one policy: as bills are added, of their rounded lines. */
static struct comparison_row total_of(const struct comparison_view *view, const char *policy)
{
	struct comparison_row sum = { .function = "total" };

	for (size_t i = 0; i < view->count; i++) {
		const struct comparison_row *r = &view->rows[i];

		if (strcmp(r->policy, policy) != 0)
			continue;
		memcpy(sum.policy, r->policy, sizeof(sum.policy));
		memcpy(sum.currency, r->currency, sizeof(sum.currency));
		sum.count += r->count;
		sum.cold_starts += r->cold_starts;
		add_known(&sum.wall_ns, r->wall_ns);
		add_known(&sum.cpu_ns, r->cpu_ns);
		add_known(&sum.billed_ns, r->billed_ns);
		add_known(&sum.cost_e12, r->cost_e12);
		add_known(&sum.month_e12, r->month_e12);
		add_known(&sum.request_e12, r->request_e12);
		add_known(&sum.used_e12, r->used_e12);
		add_known(&sum.waste_e12, r->waste_e12);
		add_known(&sum.memory_e12, r->memory_e12);
		for (int k = 0; k < BILL_PARTS; k++)
			add_known(&sum.parts_e12[k], r->parts_e12[k]);
	}
	sum.ratio_milli = sum.billed_ns != NONE && sum.cpu_ns > 0
				  ? bill_scale(sum.billed_ns, 1000, sum.cpu_ns)
				  : NONE;
	sum.million_e12 = sum.cost_e12 != NONE && sum.count
				  ? bill_scale(sum.cost_e12, 1000000, (int64_t)sum.count)
				  : NONE;
	return sum;
}

static int add_totals(const struct comparison_view *view, struct table *table)
{
	struct comparison_row totals[POLICIES_MAX];
	int64_t dearest = 0;
	size_t n = 0;

	/* the first function's rows name the policies */
	for (; n < view->count && n < POLICIES_MAX &&
	       strcmp(view->rows[n].function, view->rows[0].function) == 0;
	     n++)
		totals[n] = total_of(view, view->rows[n].policy);
	if (n == view->count)
		return 0; /* one function is its own total */
	for (size_t i = 0; i < n; i++)
		if (totals[i].cost_e12 > dearest && !strcmp(totals[i].currency, totals[0].currency))
			dearest = totals[i].cost_e12;
	for (size_t i = 0; i < n; i++) {
		char(*cell)[CELL_MAX] = table_row(table);

		if (!cell)
			return -ENOMEM;
		fill_cells(cell, &totals[i], i == 0, dearest, view->bars);
	}
	return 0;
}

static void say_sentence(const struct comparison_view *view, FILE *to)
{
	struct comparison_row sum = total_of(view, view->rows[0].policy);
	char used[CELL_MAX], paid[CELL_MAX], times[CELL_MAX], money[CELL_MAX], saved[CELL_MAX];
	uint64_t recomputed = 0;

	known_ns(sum.cpu_ns, used);
	known_ns(sum.billed_ns, paid);
	ratio(sum.ratio_milli, times);
	known_money(sum.cost_e12, sum.currency, money);
	known_money(sum.waste_e12, sum.currency, saved);
	fprintf(to, "\n%" PRIu64 " invocations used %s of CPU and would be billed %s under %s",
		sum.count, used, paid, sum.policy);
	if (sum.ratio_milli != NONE)
		fprintf(to, ": %s what they used", times);
	fprintf(to, ". They cost %s", money);
	if (sum.waste_e12 != NONE)
		fprintf(to, ", of which %s bought no CPU time", saved);
	fprintf(to, ".\n");
	for (size_t i = 0; i < view->count; i++)
		if (view->rows[i].order == 0)
			recomputed += view->rows[i].recomputed;
	if (recomputed)
		fprintf(to,
			"(%" PRIu64
			" invocations were summed one by one: the agent did not roll up "
			"under these policies when it stored them.)\n",
			recomputed);
}

int comparison_print(struct comparison_view *view, FILE *to)
{
	struct table table = { .columns = view->bars ? 12 : 11,
			       .titles = { "FUNCTION", "COUNT", "COLD", "WALL", "ON-CPU", "POLICY",
					   "BILLED", "÷ ON-CPU", "PER MILLION", "PER MONTH" },
			       .right = { [1] = true,
					  [2] = true,
					  [3] = true,
					  [4] = true,
					  [6] = true,
					  [7] = true,
					  [8] = true,
					  [9] = true } };
	int64_t dearest = 0;
	int error = 0;

	table.titles[10] = view->bars ? "█ USED ▒ WASTED · FEE" : "OF THE COST";
	table.titles[11] = "OF THE COST";
	sort(view);
	for (size_t i = 0; i < view->count && !error; i++) {
		bool first =
			i == 0 || strcmp(view->rows[i].function, view->rows[i - 1].function) != 0;
		char(*cell)[CELL_MAX] = table_row(&table);

		if (!cell) {
			error = -ENOMEM;
			break;
		}
		if (first)
			dearest = dearest_of(view, i);
		fill_cells(cell, &view->rows[i], first, dearest, view->bars);
	}
	if (!error && view->count)
		error = add_totals(view, &table);
	if (!error)
		table_print(&table, to);
	if (!error && view->count)
		say_sentence(view, to);
	table_free(&table);
	return error ? error : ferror(to) ? -EIO : 0;
}

/* ---- CSV, RFC 4180 ---- */

static void put_number(FILE *to, int64_t value)
{
	if (value == NONE)
		fputs(",", to);
	else
		fprintf(to, ",%" PRId64, value);
}

int comparison_csv(struct comparison_view *view, FILE *to)
{
	fputs("function,policy,version,currency,count,cold_starts,wall_ns,cpu_ns,billed_ns,"
	      "billed_per_cpu_milli,cost_e12,cost_per_million_e12,cost_per_month_e12,used_e12,"
	      "request_e12",
	      to);
	for (int i = 0; i < BILL_PARTS; i++)
		fprintf(to, ",%s_ns", bill_part_name((enum bill_part)i));
	for (int i = 0; i < BILL_PARTS; i++)
		fprintf(to, ",%s_e12", bill_part_name((enum bill_part)i));
	fputs(",memory_e12,waste_e12\r\n", to);
	sort(view);
	for (size_t i = 0; i < view->count; i++) {
		const struct comparison_row *r = &view->rows[i];

		csv_put(to, r->function);
		fprintf(to, ",%s,%" PRIu64 ",%s,%" PRIu64 ",%" PRIu64, r->policy, r->version,
			r->currency, r->count, r->cold_starts);
		put_number(to, r->wall_ns);
		put_number(to, r->cpu_ns);
		put_number(to, r->billed_ns);
		put_number(to, r->ratio_milli);
		put_number(to, r->cost_e12);
		put_number(to, r->million_e12);
		put_number(to, r->month_e12);
		put_number(to, r->used_e12);
		put_number(to, r->request_e12);
		for (int k = 0; k < BILL_PARTS; k++)
			put_number(to, r->parts_ns[k]);
		for (int k = 0; k < BILL_PARTS; k++)
			put_number(to, r->parts_e12[k]);
		put_number(to, r->memory_e12);
		put_number(to, r->waste_e12);
		fputs("\r\n", to);
	}
	return ferror(to) ? -EIO : 0;
}
