/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu compare */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/format.h"

struct comparison {
	bool json;
	struct table table;
	struct ledger_sum total;
	uint64_t functions;
};

static int64_t billed(const struct ledger_sum *s, const char *policy)
{
	for (uint32_t i = 0; i < s->billed_count; i++)
		if (!strcmp(s->billed[i].policy, policy))
			return s->billed[i].billed_ns;
	return 0;
}

static void add_billed(struct ledger_sum *total, const struct ledger_sum *s)
{
	for (uint32_t i = 0; i < s->billed_count; i++) {
		uint32_t at = 0;

		while (at < total->billed_count &&
		       strcmp(total->billed[at].policy, s->billed[i].policy))
			at++;
		if (at == RECORD_MAX_BILLED)
			continue;
		if (at == total->billed_count) {
			total->billed[at] = s->billed[i];
			total->billed_count++;
		} else {
			total->billed[at].billed_ns += s->billed[i].billed_ns;
		}
	}
}

static int print_json(const struct ledger_sum *s)
{
	char line[2048];
	struct json_writer w;

	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "function", s->function);
	jw_key_uint64(&w, "count", s->count);
	jw_key_uint64(&w, "cold_starts", s->cold_starts);
	jw_key_int64(&w, "wall_ns", s->wall_ns);
	jw_key_int64(&w, "cpu_ns", s->cpu_ns);
	jw_key_int64(&w, "init_cpu_ns", s->init_cpu_ns);
	jw_key_int64(&w, "between_cpu_ns", s->between_cpu_ns);
	jw_key(&w, "billed_ns");
	jw_object_open(&w);
	for (uint32_t i = 0; i < s->billed_count; i++)
		jw_key_int64(&w, s->billed[i].policy, s->billed[i].billed_ns);
	jw_object_close(&w);
	jw_object_close(&w);
	if (jw_end(&w) < 0 || puts(line) < 0)
		return -1;
	return 0;
}

static void fill_row(char (*cell)[CELL_MAX], const struct ledger_sum *s)
{
	format_text(s->function, 24, cell[0]);
	snprintf(cell[1], CELL_MAX, "%" PRIu64, s->count);
	snprintf(cell[2], CELL_MAX, "%" PRIu64, s->cold_starts);
	format_ns(s->wall_ns, cell[3]);
	format_ns(s->cpu_ns, cell[4]);
	format_ns(billed(s, "aws-lambda-2018"), cell[5]);
	format_ratio(billed(s, "aws-lambda-2018"), s->cpu_ns, cell[6]);
	format_ns(billed(s, "aws-lambda"), cell[7]);
	format_ratio(billed(s, "aws-lambda"), s->cpu_ns, cell[8]);
	format_ns(billed(s, "on-cpu"), cell[9]);
	snprintf(cell[10], CELL_MAX, "%" PRIu64, s->flagged);
}

static int on_sum(void *user, const struct ledger_sum *s)
{
	struct comparison *c = user;
	char(*cell)[CELL_MAX];

	c->functions++;
	if (c->json)
		return print_json(s);
	cell = table_row(&c->table);
	if (!cell)
		return -1;
	fill_row(cell, s);
	c->total.count += s->count;
	c->total.cold_starts += s->cold_starts;
	c->total.wall_ns += s->wall_ns;
	c->total.cpu_ns += s->cpu_ns;
	c->total.init_cpu_ns += s->init_cpu_ns;
	c->total.flagged += s->flagged;
	add_billed(&c->total, s);
	return 0;
}

static void print_table(struct comparison *c)
{
	char used[CELL_MAX], paid[CELL_MAX], ratio[CELL_MAX];
	char(*cell)[CELL_MAX];

	snprintf(c->total.function, sizeof(c->total.function), "total");
	if (c->functions > 1 && (cell = table_row(&c->table)))
		fill_row(cell, &c->total);
	table_print(&c->table, stdout);
	format_ns(c->total.cpu_ns, used);
	format_ns(billed(&c->total, "aws-lambda"), paid);
	format_ratio(billed(&c->total, "aws-lambda"), c->total.cpu_ns, ratio);
	printf("\n%" PRIu64 " invocations used %s of CPU and would be billed %s on AWS Lambda "
	       "today, cold starts' initialisation included: %s what they used.\n",
	       c->total.count, used, paid, ratio);
}

static int command_compare(int argc, char **argv)
{
	struct comparison c = { .table = { .columns = 11,
					   .titles = { "FUNCTION", "COUNT", "COLD", "WALL",
						       "ON-CPU", "AWS 2018", "÷ ON-CPU",
						       "AWS TODAY", "÷ ON-CPU", "ON-CPU BILL",
						       "FLAGGED" },
					   .right = { [1] = true,
						      [2] = true,
						      [3] = true,
						      [4] = true,
						      [5] = true,
						      [6] = true,
						      [7] = true,
						      [8] = true,
						      [9] = true,
						      [10] = true } } };
	struct selection s = {};
	struct place place;
	int o, error;

	place_defaults(&place);
	while ((o = command_next(&compare_command, argc, argv)) != -1) {
		switch (o) {
		case 'j':
			c.json = true;
			break;
		case 'f':
			s.function = optarg;
			break;
		case 't':
			s.since = optarg;
			break;
		case 's':
			place.state_dir = optarg;
			break;
		case 'S':
			place.socket = optarg;
			break;
		default:
			return command_misused("compare", argc, argv);
		}
	}
	if (optind < argc)
		return command_fail("compare takes no argument (%s)", argv[optind]), 2;
	error = source_sums(&place, &s, on_sum, &c);
	if (!error && !c.json && c.functions)
		print_table(&c);
	else if (!error && !c.json)
		fprintf(stderr, "no invocations%s%s yet\n", s.function ? " of " : "",
			s.function ? s.function : "");
	table_free(&c.table);
	return error ? 1 : 0;
}

static const struct command_option options[] = {
	OPTION_JSON("one object a function, a line each"),
	{ "function", 'f', "NAME", "only this function" },
	OPTION_SINCE,
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command compare_command = {
	.name = "compare",
	.summary = "what each function used, and what it would be billed",
	.options = options,
	.section = 1,
	.run = command_compare,
};
