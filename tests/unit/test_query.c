// SPDX-License-Identifier: GPL-2.0
/* The query strings of the API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "api/query.h"

#define NOW 1769860800000000000ll /* 2026-01-31T12:00:00Z */
#define ALL "function id last since until status limit cursor fields"

static char error[QUERY_ERROR_LEN];

static int set(struct api_query *q, const char *name, const char *value)
{
	return api_query_set(q, ALL, NOW, name, value, strlen(value), error);
}

static void test_query_times(void **state)
{
	int64_t ns = -7;

	(void)state;
	assert_int_equal(api_time_parse("1769860800000000001", NOW, &ns), 0);
	assert_true(ns == NOW + 1);
	assert_int_equal(api_time_parse("2026-01-31T12:00:00Z", NOW, &ns), 0);
	assert_true(ns == NOW);
	assert_int_equal(api_time_parse("2026-01-31T12:00:00.123456789Z", NOW, &ns), 0);
	assert_true(ns == NOW + 123456789);
	assert_int_equal(api_time_parse("2026-01-31T12:00:00.5Z", NOW, &ns), 0);
	assert_true(ns == NOW + 500000000);
	assert_int_equal(api_time_parse("15m", NOW, &ns), 0);
	assert_true(ns == NOW - 900000000000ll);
	ns = -7;
	static const char *const wrong[] = { "",
					     "-1",
					     "soon",
					     "2026-02-30T12:00:00Z",
					     "2026-01-31T24:00:00Z",
					     "2026-01-31T12:00:00",
					     "2026-01-31T12:00:00+01:00",
					     "2026-01-31T12:00:00.Z",
					     "9999-01-01T00:00:00Z",
					     "99999999999999999999",
					     "T" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (api_time_parse(wrong[i], NOW, &ns) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
	assert_true(ns == -7);
}

static void test_query_parameters(void **state)
{
	struct api_query q = { 0 };
	struct ledger_query l;

	(void)state;
	l = api_query_ledger(&q);
	assert_true(!l.function && !l.id && !l.last);
	assert_int_equal(set(&q, "function", "thumb"), 0);
	assert_int_equal(set(&q, "last", "100"), 0);
	assert_int_equal(set(&q, "since", "1h"), 0);
	assert_int_equal(api_query_set(&q, ALL, NOW, "id", "a\0b", 3, error), 0);
	l = api_query_ledger(&q);
	assert_string_equal(l.function, "thumb");
	assert_int_equal(l.id_len, 3);
	assert_memory_equal(l.id, "a\0b", 3);
	assert_int_equal(l.last, 100);
	assert_true(l.since_realtime_ns == NOW - 3600000000000ll && l.until_realtime_ns == 0);
}

static void test_query_refuses(void **state)
{
	struct api_query q = { 0 };
	char id[65];

	(void)state;
	memset(id, 'x', sizeof(id));
	assert_int_equal(set(&q, "functions", "a"), -EINVAL);
	assert_non_null(strstr(error, "known: function id"));
	assert_int_equal(set(&q, "", "a"), -EINVAL);
	assert_int_equal(set(&q, "function id", "a"), -EINVAL);
	assert_int_equal(set(&q, "function", ""), -EINVAL);
	assert_int_equal(set(&q, "function", "a\nb"), -EINVAL);
	assert_int_equal(api_query_set(&q, ALL, NOW, "function", "a\0b", 3, error), -EINVAL);
	assert_int_equal(api_query_set(&q, ALL, NOW, "id", id, 64, error), 0);
	assert_int_equal(api_query_set(&q, ALL, NOW, "id", id, 65, error), -EINVAL);
	assert_int_equal(set(&q, "last", "0"), -EINVAL);
	assert_int_equal(set(&q, "last", "-1"), -EINVAL);
	assert_int_equal(set(&q, "last", "1e3"), -EINVAL);
	assert_int_equal(set(&q, "until", "yesterday"), -EINVAL);
	assert_int_equal(api_query_set(&q, "function", NOW, "id", "x", 1, error), -EINVAL);
}

static void test_query_cursor(void **state)
{
	static const char *const wrong[] = {
		"",	   "1",	       "1.2.3",	   "1.2.3.4.5",
		"1.2.3.",  ".1.2.3",   "1.-2.3.4", "1.4294967296.3.4",
		"a.2.3.4", "1.2.3.4 ", "1..3.4",   "1.2.3.99999999999999999999"
	};
	struct ledger_place place = { .hour = 491628,
				      .suffix = 4294967295u,
				      .end_realtime_ns = INT64_MIN,
				      .key = INT64_MAX };
	struct ledger_place back = { .hour = -7 };
	char text[QUERY_CURSOR_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (api_cursor_parse(wrong[i], &back) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
	assert_true(back.hour == -7);
	assert_int_equal(api_cursor_format(&place, text), 0);
	assert_int_equal(api_cursor_parse(text, &back), 0);
	assert_memory_equal(&place, &back, sizeof(place));
}

static void test_query_pages(void **state)
{
	struct api_query q = { .cursor.hour = INT64_MAX };

	(void)state;
	assert_int_equal(set(&q, "limit", "0"), -EINVAL);
	assert_int_equal(set(&q, "limit", "1001"), -EINVAL);
	assert_int_equal(set(&q, "cursor", "x"), -EINVAL);
	assert_int_equal(api_query_check(&q, error), 0);
	assert_int_equal(q.limit, 0); /* no page was asked for */
	assert_int_equal(set(&q, "cursor", "491628.0.5.6"), 0);
	assert_int_equal(api_query_check(&q, error), 0);
	assert_int_equal(q.limit, QUERY_PAGE_DEFAULT);
	assert_int_equal(set(&q, "limit", "1000"), 0);
	assert_int_equal(api_query_check(&q, error), 0);
	assert_int_equal(q.limit, 1000);
	assert_int_equal(set(&q, "last", "5"), 0);
	assert_int_equal(api_query_check(&q, error), -EINVAL);
}

static void test_query_status_and_fields(void **state)
{
	struct api_query q = { 0 };

	(void)state;
	assert_int_equal(set(&q, "status", "failed"), -EINVAL);
	assert_int_equal(set(&q, "status", "ok"), 0);
	assert_int_equal(set(&q, "status", "crashed"), 0);
	assert_int_equal(api_query_ledger(&q).statuses,
			 1 << ONCPU_STATUS_OK | 1 << ONCPU_STATUS_CRASHED);
	assert_int_equal(set(&q, "fields", "start,no_such,end"), -EINVAL);
	assert_non_null(strstr(error, "\"no_such\""));
	assert_int_equal(set(&q, "fields", "start,end"), 0);
	assert_string_equal(q.fields, ",start,end,");
}

/* Repeated names are one list, and its length is bounded. */
static void test_query_policies(void **state)
{
	struct api_query q = { 0 };
	char name[24];

	(void)state;
	assert_int_equal(api_query_set(&q, "policy", NOW, "policy", "a,b", 3, error), 0);
	assert_int_equal(api_query_set(&q, "policy", NOW, "policy", "c", 1, error), 0);
	assert_string_equal(q.policies, "a,b,c");
	assert_int_equal(api_query_set(&q, "policy", NOW, "policy", "", 0, error), -EINVAL);
	assert_int_equal(api_query_set(&q, "policy", NOW, "policy", "d\0e", 3, error), -EINVAL);
	assert_string_equal(q.policies, "a,b,c");
	memset(name, 'x', sizeof(name) - 1);
	name[23] = '\0';
	for (int i = 0; i < 42; i++)
		assert_int_equal(api_query_set(&q, "policy", NOW, "policy", name, 23, error), 0);
	assert_int_equal(api_query_set(&q, "policy", NOW, "policy", name, 23, error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query_times),
		cmocka_unit_test(test_query_parameters),
		cmocka_unit_test(test_query_refuses),
		cmocka_unit_test(test_query_policies),
		cmocka_unit_test(test_query_cursor),
		cmocka_unit_test(test_query_pages),
		cmocka_unit_test(test_query_status_and_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
