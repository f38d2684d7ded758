// SPDX-License-Identifier: GPL-2.0
/* Policies as data: the presets, a user's file on top of them, and every kind of refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/billing.h"

#define HEAD "{\"schema\":\"oncpu.policies/1\",\"policies\":["
#define PRICE "{\"e12\":5,\"per\":1,\"date\":\"2026-01-31\",\"source\":\"s\",\"verified\":false}"
#define RULE "\"rule\":{\"text\":\"t\",\"date\":\"2026-01-31\",\"source\":\"s\",\"verified\":true}"
#define TIME                                                                                       \
	"\"time\":{\"basis\":\"wall\",\"granularity_ns\":7000,\"minimum_ns\":14000,"               \
	"\"init\":false,\"restore\":false,\"after_response\":true,\"between\":false}"
#define NAMED(name) "\"name\":\"" name "\",\"version\":3,\"title\":\"A\",\"currency\":\"EUR\"," RULE
#define ACME "{" NAMED("acme") "," TIME ",\"request\":{\"price\":" PRICE "}}"

static int parse(const char *text, const char *host, struct policies **ret_set,
		 char error[POLICY_ERROR_LEN])
{
	*ret_set = NULL;
	return policies_parse("acme.json", text, strlen(text), host, ret_set, error);
}

static void test_policies_presets(void **state)
{
	static const char *const names[] = {
		"aws-lambda-2018",    "aws-lambda-2020",
		"aws-lambda",	      "aws-lambda-snapstart",
		"cloud-run-request",  "cloud-run-instance",
		"azure-consumption",  "azure-flex",
		"cloudflare-workers", "vercel-fluid",
		"digitalocean",	      "huawei",
		"sandbox-floor",      "on-cpu",
	};
	const struct policies *set = policies_embedded();

	(void)state;
	assert_int_equal(set->count, sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(policies_find(set, names[i]));
	assert_string_equal(set->list[set->host].name, "aws-lambda");
	/* the roll-up has room for the rules of all of them */
	assert_true(set->rule_count <= 16);
	assert_int_equal(policies_find(set, "aws-lambda")->memory_price.e12, 16666700);
	assert_int_equal(policies_find(set, "aws-lambda")->request_price.e12 /
				 policies_find(set, "aws-lambda")->request_price.per,
			 200000);
}

static void test_policies_of_a_user(void **state)
{
	char error[POLICY_ERROR_LEN];
	struct policies *set;
	const struct policy *acme;

	(void)state;
	assert_int_equal(parse(HEAD ACME "]}", "acme", &set, error), 0);
	assert_int_equal(set->count, policies_embedded()->count + 1);
	acme = policies_find(set, "acme");
	assert_int_equal(acme->version, 3);
	assert_string_equal(acme->currency, "EUR");
	assert_int_equal(set->rules[acme->time].granularity_ns, 7000);
	assert_ptr_equal(&set->list[set->host], acme);
	assert_int_equal(set->stored_count, 4);
	policies_free(&set);
}

/* By name: the preset is gone, and its rule with it, where nobody else has it. */
static void test_policies_replace(void **state)
{
	char error[POLICY_ERROR_LEN], text[BILL_RULE_TEXT_LEN];
	struct policies *set;

	(void)state;
	assert_int_equal(parse(HEAD "{" NAMED("azure-flex") "," TIME "}]}", NULL, &set, error), 0);
	assert_int_equal(set->count, policies_embedded()->count);
	assert_int_equal(set->rule_count, policies_embedded()->rule_count);
	assert_string_equal(policies_find(set, "azure-flex")->currency, "EUR");
	for (unsigned i = 0; i < set->rule_count; i++) {
		bill_rule_text(&set->rules[i], text, sizeof(text));
		assert_null(strstr(text, "minimum=1000000000"));
	}
	policies_free(&set);
}

/* What we write is what we read: the same policies, in the same words. */
static void test_policies_json_round_trip(void **state)
{
	static char first[POLICIES_JSON_MAX], second[POLICIES_JSON_MAX];
	char error[POLICY_ERROR_LEN];
	struct policies *set;

	(void)state;
	assert_true(policies_json(policies_embedded(), first, sizeof(first)) > 10000);
	assert_int_equal(parse(first, NULL, &set, error), 0);
	assert_memory_equal(set, policies_embedded(), sizeof(*set));
	assert_true(policies_json(set, second, sizeof(second)) > 0);
	assert_string_equal(first, second);
	assert_int_equal(policies_json(set, second, 1000), -ENOSPC);
	policies_free(&set);
}

static void refused(const char *text, const char *path, const char *why)
{
	char error[POLICY_ERROR_LEN] = "", head[128];
	struct policies *set;

	assert_int_equal(parse(text, NULL, &set, error), -EINVAL);
	assert_null(set);
	snprintf(head, sizeof(head), "acme.json: %s: ", path);
	if (strncmp(error, head, strlen(head)) != 0 || !strstr(error, why))
		fail_msg("\"%s\" is not \"%s…%s…\"", error, head, why);
}

/* A policy with one field other than it should be. */
static void refused_field(const char *from, const char *to, const char *path, const char *why)
{
	static const char whole[] = HEAD "{" NAMED(
		"acme") "," TIME
			",\"memory\":{\"size\":\"observed\",\"default_mb\":128,\"step_mb\":128,"
			"\"minimum_mb\":128,\"maximum_mb\":1536,\"price\":" PRICE "},"
			"\"cpu\":{\"vcpus\":\"configured\",\"default_milli\":1000,\"price\":" PRICE
			"},"
			"\"request\":{\"price\":" PRICE "},"
			"\"free_tier\":{\"gib_seconds\":1,\"vcpu_seconds\":2,\"requests\":3}}]}";
	char text[4096], error[POLICY_ERROR_LEN], full[160];
	const char *at = strstr(whole, from);
	struct policies *set;

	assert_int_equal(parse(whole, NULL, &set, error), 0);
	policies_free(&set);
	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
	snprintf(full, sizeof(full), "policies[0] \"acme\"%s%s", *path ? "." : "", path);
	refused(text, full, why);
}

static void test_policies_refusals_of_fields(void **state)
{
	(void)state;
	refused_field("\"wall\"", "\"wal\"", "time.basis", "none of the known ones (wall, cpu");
	refused_field("7000", "0", "time.granularity_ns", "is no whole number from 1 to");
	refused_field("7000", "7000.5", "time.granularity_ns", "is no whole number");
	refused_field("7000", "-1", "time.granularity_ns", "is no whole number");
	refused_field("\"granularity_ns\":7000,", "", "time.granularity_ns", "is missing: a whole");
	refused_field("14000", "14001", "time.minimum_ns", "is no multiple of granularity_ns");
	refused_field("\"init\":false", "\"init\":0", "time.init", "is neither true or false");
	refused_field("\"wall\",", "\"wall\",\"default_milli\":5,", "time.default_milli",
		      "floor only");
	refused_field("\"wall\"", "\"life\"", "time.basis", "all of an instance's life");
	refused_field("\"between\":false", "\"between\":false,\"betwen\":1", "time",
		      "there is no field \"betwen\" here (known: basis");
	refused_field("\"observed\"", "\"seen\"", "memory.size", "configured, observed or max");
	refused_field("\"step_mb\":128", "\"step_mb\":0", "memory.step_mb", "from 1 to");
	refused_field("1536", "64", "memory.maximum_mb", "less than minimum_mb");
	refused_field("\"e12\":5", "\"e12\":-5", "memory.price.e12", "from 0 to");
	refused_field("\"e12\":5", "\"e12\":5e-6", "memory.price.e12", "is no whole number");
	refused_field("\"per\":1", "\"per\":0", "memory.price.per", "from 1 to");
	refused_field("\"price\":" PRICE "},\"cpu\"", "\"prise\":1},\"cpu\"", "memory",
		      "no field \"prise\"");
	refused_field("\"2026-01-31\"", "\"31.1.2026\"", "rule.date", "no date like 2026-01-31");
	refused_field("\"2026-01-31\"", "\"2026-1-031\"", "rule.date", "no date like");
	refused_field("\"source\":\"s\"", "\"source\":\"\"", "rule.source", "text of 1 to");
	refused_field("\"title\":\"A\"", "\"title\":\"A\\u0007\"", "title", "control characters");
	refused_field("\"EUR\"", "\"eur\"", "currency", "ISO 4217");
	refused_field("\"EUR\"", "\"EU\"", "currency", "ISO 4217");
	refused_field("\"version\":3", "\"version\":0", "version", "from 1 to");
	refused_field("\"requests\":3", "\"requests\":\"3\"", "free_tier.requests",
		      "no whole number");
	refused_field("\"request\":{\"price\":" PRICE "}", "\"request\":[]", "request",
		      "is no object");
}

static void test_policies_refusals_of_the_whole(void **state)
{
	char error[POLICY_ERROR_LEN];
	struct policies *set;

	(void)state;
	refused("[]", "", "is no object");
	refused("{\"schema\":\"oncpu.policies/2\",\"policies\":[]}", "schema", "oncpu.policies/1");
	refused("{\"schema\":\"oncpu.policies/1\"}", "policies", "is no array");
	refused(HEAD "7]}", "policies[0]", "is no object");
	refused(HEAD "{}]}", "policies[0].name", "is missing: a text");
	refused(HEAD ACME "," ACME "]}", "policies[1].name", "stands in policies[0] already");
	refused(HEAD "{" NAMED("a b") "," TIME "}]}", "policies[0].name", "other bytes than");
	refused(HEAD "{" NAMED("all") "," TIME "}]}", "policies[0].name", "every policy");
	refused(HEAD "{" NAMED("a-name-that-is-too-long-") "," TIME "}]}", "policies[0].name",
		"1 to 23 bytes");
	assert_int_equal(parse("{\"schema\":", NULL, &set, error), -EINVAL);
	assert_non_null(strstr(error, "acme.json:1:10: is no JSON"));
	assert_int_equal(parse(HEAD ACME "]}", "acne", &set, error), -EINVAL);
	assert_non_null(strstr(error, "there is no policy \"acne\" for the host"));
}

static void test_policies_are_bounded(void **state)
{
	char *text = calloc(1, 1 << 20), error[POLICY_ERROR_LEN];
	struct policies *set;
	size_t n = (size_t)sprintf(text, HEAD);

	(void)state;
	for (int i = 0; i < 60; i++)
		n += (size_t)sprintf(text + n,
				     "%s{\"name\":\"p%d\",\"version\":1,\"title\":\"A\","
				     "\"currency\":\"EUR\"," RULE "," TIME "}",
				     i ? "," : "", i);
	strcpy(text + n, "]}");
	assert_int_equal(parse(text, NULL, &set, error), -EINVAL);
	assert_non_null(strstr(error, "policies[50] \"p50\": more than 64 policies"));
	memset(text, ' ', POLICIES_MAX_BYTES + 1);
	text[POLICIES_MAX_BYTES + 1] = '\0';
	assert_int_equal(parse(text, NULL, &set, error), -EINVAL);
	assert_non_null(strstr(error, "more than 262144 bytes"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policies_presets),
		cmocka_unit_test(test_policies_of_a_user),
		cmocka_unit_test(test_policies_replace),
		cmocka_unit_test(test_policies_json_round_trip),
		cmocka_unit_test(test_policies_refusals_of_fields),
		cmocka_unit_test(test_policies_refusals_of_the_whole),
		cmocka_unit_test(test_policies_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
