/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu policies: each policy's rule and prices, with dates and sources. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/money.h"
#include "core/policy.h"

static void print_price(const char *what, const char *unit, const struct policy *p,
			const struct bill_price *price)
{
	char money[CELL_MAX], per[32] = "";

	format_money(price->e12, p->currency, money);
	if (price->per != 1)
		snprintf(per, sizeof(per), "%" PRId64 " ", price->per);
	printf("  %-9s %s for %s%s · %s, %s: %s\n", what, money, per, unit, price->date,
	       price->verified ? "verified" : "unverified", price->source);
}

static void print_policy(const struct policies *set, const struct policy *p)
{
	char rule[BILL_RULE_TEXT_LEN];

	bill_rule_text(&set->rules[p->time], rule, sizeof(rule));
	printf("%s, version %" PRIu32 ": %s%s\n", p->name, p->version, p->title,
	       p == &set->list[set->host] ? " (the host's own)" : "");
	printf("  %s\n", p->text);
	printf("  %-9s %s · %s, %s: %s\n", "rule", rule, p->rule_date,
	       p->rule_verified ? "verified" : "unverified", p->rule_source);
	if (p->has_memory)
		print_price("memory", "GiB-seconds", p, &p->memory_price);
	if (p->has_cpu)
		print_price("vCPU", "vCPU-seconds", p, &p->cpu_price);
	if (p->has_request)
		print_price("request", "requests", p, &p->request_price);
	if (p->has_free_tier)
		printf("  %-9s %" PRId64 " GiB-s, %" PRId64 " vCPU-s, %" PRId64
		       " requests a month (not taken off by compare)\n",
		       "free", p->free_gib_seconds, p->free_vcpu_seconds, p->free_requests);
	putchar('\n');
}

static int print_json(const struct policies *set)
{
	_cleanup_free_ char *text = malloc(POLICIES_JSON_MAX);
	int n = text ? policies_json(set, text, POLICIES_JSON_MAX) : -ENOMEM;

	return n > 0 && puts(text) >= 0 ? 0 : command_fail("cannot write the output");
}

static int command_policies(int argc, char **argv)
{
	struct pricing pricing = { 0 };
	struct policies *set;
	bool json = false;
	int o, code = 0;

	while ((o = command_next(&policies_command, argc, argv)) != -1) {
		switch (o) {
		case 'j':
			json = true;
			break;
		case 'F':
			pricing.policies = optarg;
			break;
		case 'H':
			pricing.host = optarg;
			break;
		default:
			return command_misused("policies", argc, argv);
		}
	}
	if (optind < argc)
		return command_fail("policies takes no argument (%s)", argv[optind]), 2;
	set = pricing_policies(&pricing);
	if (!set)
		return 1;
	if (json)
		code = print_json(set);
	for (unsigned i = 0; i < set->count && !json; i++)
		print_policy(set, &set->list[i]);
	policies_free(&set);
	return code;
}

static const struct command_option options[] = {
	OPTION_JSON("as policies.json has it: a beginning for a file of your own"),
	{ "policies", 'F', "FILE", "policies of your own, on top of the built-in ones: checks it" },
	{ "host-policy", 'H', "NAME", "the host's own (aws-lambda)" },
	OPTIONS_END,
};
const struct command policies_command = {
	.name = "policies",
	.summary = "the billing policies: rules and prices, with dates and sources",
	.options = options,
	.section = 1,
	.description =
		"What compare, price, forecast and export bill by. A price marked unverified was "
		"not "
		"read at the platform's own place. A file of your own adds policies and replaces "
		"built-in ones by name; the agent takes it as policies = FILE in its "
		"configuration.",
	.examples = " oncpu policies --json >mine.json\n oncpu policies --policies mine.json",
	.run = command_policies,
};
