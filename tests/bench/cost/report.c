/* SPDX-License-Identifier: GPL-2.0 */
/* The tables, and the same as a line of JSON a row. */

#include "cost.h"

static double ns_of(const struct row *r)
{
	return quiet_of(r->figures, r->n);
}

/* Of the whole, or of what it adds to nothing attached. */
static double figure_of(enum load_kind l, const struct row *r, bool whole)
{
	return ns_of(r) - (whole ? 0 : quiet_base(l));
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
	double floor = figure_of(l, &rows[1], whole);

	printf("\n%s\n%-34s %7s %10s %10s %9s\n", title, "", "figures", "ns", "added ns",
	       "÷ empty");
	for (int i = 0; i < loads[l].count; i++) {
		const struct row *r = &rows[i];
		double ratio = figure_of(l, r, whole) / floor;

		if (!r->n) {
			say_skipped(json, bench, r);
			continue;
		}
		printf("%-34s %7d %10.1f %10.1f", r->name, r->n, ns_of(r), figure_of(l, r, false));
		if (i > 0)
			printf(" %9.2f", ratio);
		verdict(ratio, r->target);
		if (json)
			fprintf(json,
				"{\"bench\":\"%s\",\"row\":\"%s\",\"figures\":%d,\"ns\":%.1f,"
				"\"added_ns\":%.1f,\"ratio_to_empty\":%.3f,\"target\":%.2f}\n",
				bench, r->key, r->n, ns_of(r), figure_of(l, r, false),
				i ? ratio : 0, r->target);
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
		if (r->says_who && r->n && (!best || ns_of(r) < ns_of(best)))
			best = r;
	}
	if (!best || !tracked || !tracked->n)
		return;
	ratio = figure_of(SWITCHES, tracked, false) / figure_of(SWITCHES, best, false);
	printf("both sides tracked ÷ the cheapest peer that says who ran (%s): %.2f", best->name,
	       ratio);
	verdict(ratio, 1.0 / 3);
	if (json)
		fprintf(json,
			"{\"bench\":\"switch\",\"row\":\"tracked_to_best_peer\",\"peer\":\"%s\","
			"\"ratio\":%.3f,\"target\":0.333}\n",
			best->key, ratio);
}
