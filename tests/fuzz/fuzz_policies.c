// SPDX-License-Identifier: GPL-2.0
/*
 * A user's file of policies: refused with one line that names it, or a set that bills every basis
 * by at least itself, in whole granules, and says itself as JSON.
 */
#include <jansson.h>

#include "core/billing.h"
#include "tests/fuzz/fuzz.h"

static void bill(const struct bill_rule *rule, int64_t basis)
{
	int64_t billed = bill_round(rule, basis);

	PROMISE(rule->granularity_ns >= 1 && rule->minimum_ns >= 0);
	PROMISE(billed >= rule->minimum_ns && billed % rule->granularity_ns == 0);
	PROMISE(billed >= basis || billed > INT64_MAX - rule->granularity_ns);
}

static void say(const struct policies *set)
{
	static char text[POLICIES_JSON_MAX];
	int n = policies_json(set, text, sizeof(text));
	json_t *o;

	if (n == -28) /* ENOSPC: more than an answer holds */
		return;
	PROMISE(n > 0);
	o = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	PROMISE(o);
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[POLICY_ERROR_LEN] = "";
	struct policies *set = NULL;
	int r = policies_parse("policies.json", (const char *)data, size, NULL, &set, error);

	if (r) {
		PROMISE(r < 0 && !set && is_one_line(error));
		return 0;
	}
	PROMISE(set->count >= 1 && set->count <= POLICIES_MAX);
	PROMISE(set->rule_count <= POLICIES_MAX_RULES && set->host < set->count);
	for (unsigned i = 0; i < set->count; i++)
		PROMISE(set->list[i].time < set->rule_count && set->list[i].name[0]);
	for (unsigned i = 0; i < set->rule_count; i++) {
		bill(&set->rules[i], 0);
		bill(&set->rules[i], 1);
		bill(&set->rules[i], 123456789);
		bill(&set->rules[i], INT64_MAX - 1);
	}
	say(set);
	policies_free(&set);
	return 0;
}
