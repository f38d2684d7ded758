/* SPDX-License-Identifier: GPL-2.0 */
/* The tables, and the same as a line of JSON a row. */
#include <stdlib.h>
#include <string.h>

#include "cost.h"

enum { ENOUGH = 3 }; /* undisturbed figures; fewer make no median */

static double median(const double *values, int n)
{
	double v[MAX_ROUNDS];

	memcpy(v, values, (size_t)n * sizeof(*v));
	qsort(v, (size_t)n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Median of the undisturbed ones; of all, where those are too few. */
static double median_of(enum load_kind l, const struct row *r, bool added)
{
	bool all = undisturbed_figures(l, r) < ENOUGH;
	double v[MAX_ROUNDS];
	int n = 0;

	for (int i = 0; i < r->n; i++) {
		const struct figure *f = &r->figures[i];

		if (all || undisturbed(l, f))
			v[n++] = added ? f->ns - (f->before + f->after) / 2 : f->ns;
	}
	return median(v, n);
}

static void verdict(double ratio, double target)
{
	if (target > 0)
		printf("   target ≤ %.2f: %s", target, ratio <= target ? "met" : "MISSED");
	printf("\n");
}

static void say_skipped(FILE *json, const char *bench, const struct row *r)
{
	const char *why =
		r->failed ? "it ended, or attached nothing" : "not installed, or no time left";

	printf("%-34s skipped: %s\n", r->name, why);
	if (json)
		fprintf(json, "{\"bench\":\"%s\",\"row\":\"%s\",\"skipped\":\"%s\"}\n", bench,
			r->key, why);
}

void table(FILE *json, enum load_kind l, const char *title, const char *bench, bool whole)
{
	const struct row *rows = loads[l].rows;
	double floor = median_of(l, &rows[1], !whole);

	printf("\n%s\n%-34s %7s %10s %10s %9s\n", title, "", "figures", "ns", "added ns",
	       "÷ empty");
	for (int i = 0; i < loads[l].count; i++) {
		const struct row *r = &rows[i];
		int good = undisturbed_figures(l, r);
		double ns, added, ratio;

		if (!r->n) {
			say_skipped(json, bench, r);
			continue;
		}
		ns = median_of(l, r, false);
		added = median_of(l, r, true);
		ratio = (whole ? ns : added) / floor;
		printf("%-34s %7d %10.1f %10.1f", r->name, good < ENOUGH ? r->n : good, ns, added);
		if (i > 0)
			printf(" %9.2f", ratio);
		if (good < ENOUGH)
			printf("   (disturbed)");
		verdict(ratio, r->target);
		if (json)
			fprintf(json,
				"{\"bench\":\"%s\",\"row\":\"%s\",\"figures\":%d,\"undisturbed\":%"
				"d,"
				"\"ns\":%.1f,\"added_ns\":%.1f,\"ratio_to_empty\":%.3f,"
				"\"target\":%.2f}\n",
				bench, r->key, r->n, good, ns, added, i ? ratio : 0, r->target);
	}
}

void compare_with_peers(FILE *json)
{
	const struct row *best = NULL, *tracked = NULL;
	double ratio;

	for (int i = 0; i < loads[SWITCHES].count; i++) {
		const struct row *r = &loads[SWITCHES].rows[i];

		if (r->phase == TRACKED)
			tracked = r;
		if (r->phase == PEER && r->n &&
		    (!best || median_of(SWITCHES, r, true) < median_of(SWITCHES, best, true)))
			best = r;
	}
	if (!best || !tracked || !tracked->n)
		return;
	ratio = median_of(SWITCHES, tracked, true) / median_of(SWITCHES, best, true);
	printf("both sides tracked ÷ the cheapest peer (%s): %.2f", best->name, ratio);
	verdict(ratio, 1.0 / 3);
	if (json)
		fprintf(json,
			"{\"bench\":\"switch\",\"row\":\"tracked_to_best_peer\",\"peer\":\"%s\","
			"\"ratio\":%.3f,\"target\":0.333}\n",
			best->key, ratio);
}
