/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu compare: what each function used, and what policies bill for it. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/comparison.h"

enum form { FORM_TABLE, FORM_JSON, FORM_CSV };

struct compare {
	enum form form;
	struct comparison_view view;
	uint64_t lines;
};

static int on_line(void *user, const char *line, size_t length)
{
	struct compare *c = user;

	c->lines++;
	if (c->form == FORM_JSON)
		return fwrite(line, 1, length, stdout) == length && putchar('\n') == '\n' ? 0
											  : -EIO;
	return comparison_add(&c->view, line, length);
}

static int show(struct compare *c, const struct selection *s)
{
	if (c->form == FORM_JSON)
		return 0;
	if (c->form == FORM_CSV)
		return comparison_csv(&c->view, stdout);
	if (c->lines)
		return comparison_print(&c->view, stdout);
	fprintf(stderr, "no invocations%s%s yet\n", s->function ? " of " : "",
		s->function ? s->function : "");
	return 0;
}

static int command_compare(int argc, char **argv)
{
	struct compare c = { .view = { .bars = isatty(STDOUT_FILENO) } };
	struct pricing pricing = { 0 };
	struct selection s = { 0 };
	struct place place;
	int o, error;

	place_defaults(&place);
	while ((o = command_next(&compare_command, argc, argv)) != -1) {
		switch (o) {
		case 'j':
			c.form = FORM_JSON;
			break;
		case 'c':
			c.form = FORM_CSV;
			break;
		case 'P':
			if (pricing_add(&pricing, optarg))
				return command_fail("too many policies (--policy all shows every "
						    "one)"),
				       2;
			break;
		default:
			if (!source_option(o, optarg, &place, &s, &pricing))
				return command_misused("compare", argc, argv);
			break;
		}
	}
	if (optind < argc)
		return command_fail("compare takes no argument (%s)", argv[optind]), 2;
	error = source_compare(&place, &s, &pricing, on_line, &c);
	if (!error && show(&c, &s))
		error = command_fail("cannot write the output");
	comparison_free(&c.view);
	return error ? 1 : 0;
}

static const struct command_option options[] = {
	OPTION_JSON("one object a function, a line each, as GET /v1/compare"),
	{ "csv", 'c', NULL, "a row a function and policy, in whole ns and 10⁻¹² currency units" },
	{ "function", 'f', "NAME", "only this function" },
	OPTION_SINCE,
	{ "policy", 'P', "NAME",
	  "what to compare, repeatable, or with commas; \"all\" (the host's own, aws-lambda, "
	  "cloudflare-workers and on-cpu)" },
	{ "policies", 'F', "FILE", "policies of your own, on top of the built-in ones" },
	{ "host-policy", 'H', "NAME", "with --policies: the host's own (aws-lambda)" },
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command compare_command = {
	.name = "compare",
	.summary = "what each function used, and what it would be billed",
	.options = options,
	.section = 1,
	.description =
		"A row a function and policy: what the policy bills, how many times the CPU time "
		"that the function used that is, its price for a million invocations and for a "
		"month "
		"(730 hours) at the rate seen, and what of it bought no CPU time: waiting, init, "
		"time "
		"after the answer, time between, rounding, and memory that was never used. The "
		"parts "
		"add up to the whole. Functions with the most to save come first.\n"
		"\n"
		"The price is without free tiers and taxes. oncpu policies shows each policy's "
		"rule "
		"and prices with their dates and sources.",
	.examples = " oncpu compare --since 1h --policy all\n"
		    " oncpu compare --policies acme.json --policy acme,aws-lambda --csv",
	.run = command_compare,
};
