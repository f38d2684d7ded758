// SPDX-License-Identifier: GPL-2.0
/* What a gateway posts: taken or refused, with why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "api/boundaries.h"

static struct api_boundary b;
static char error[API_BOUNDARY_ERROR_LEN];

static int parse(const char *text)
{
	return api_boundary_parse(text, strlen(text), &b, error);
}

static void test_boundaries_taken(void **state)
{
	(void)state;
	assert_int_equal(
		parse("{\"cgroup\":\"/f/thumb-1\",\"boundary\":\"start\",\"id\":\"a\xc3\xa4\"}"),
		0);
	assert_string_equal(b.cgroup, "/f/thumb-1");
	assert_int_equal(b.kind, ONCPU_EV_START);
	assert_int_equal(b.id_len, 3);
	assert_memory_equal(b.id, "a\xc3\xa4", 3);
	assert_int_equal(b.pid, 0);
	assert_int_equal(parse(" {\"pid\": 4194304, \"boundary\": \"response\"} "), 0);
	assert_int_equal(b.pid, 4194304);
	assert_int_equal(b.kind, ONCPU_EV_RESPONSE);
	assert_int_equal(b.id_len, 0);
	assert_int_equal(parse("{\"pid\":2,\"boundary\":\"end\",\"status\":\"timeout\"}"), 0);
	assert_int_equal(b.status, ONCPU_STATUS_TIMEOUT);
	assert_int_equal(parse("{\"pid\":2,\"boundary\":\"end\"}"), 0);
	assert_int_equal(b.status, ONCPU_STATUS_OK);
}

static void test_boundaries_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{ "", "no JSON object" },
		{ "[]", "no JSON object" },
		{ "{\"pid\":2,\"boundary\":\"start\"} x", "no JSON object" },
		{ "{\"pid\":2,\"pid\":3,\"boundary\":\"start\"}", "no JSON object" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"id\":\"a\\u0000b\"}", "no JSON object" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"id\":\"\xff\"}", "no JSON object" },
		{ "{}", "by cgroup or by pid" },
		{ "{\"boundary\":\"start\"}", "by cgroup or by pid" },
		{ "{\"pid\":2,\"cgroup\":\"/a\",\"boundary\":\"start\"}", "by cgroup or by pid" },
		{ "{\"pid\":2}", "boundary is missing" },
		{ "{\"pid\":1,\"boundary\":\"start\"}", "pid" },
		{ "{\"pid\":-2,\"boundary\":\"start\"}", "pid" },
		{ "{\"pid\":4194305,\"boundary\":\"start\"}", "pid" },
		{ "{\"pid\":2.0,\"boundary\":\"start\"}", "pid" },
		{ "{\"pid\":\"2\",\"boundary\":\"start\"}", "pid" },
		{ "{\"cgroup\":\"a\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/a/\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/a//b\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/a/../b\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/..\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/a/./b\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":\"/a\\n\",\"boundary\":\"start\"}", "cgroup" },
		{ "{\"cgroup\":7,\"boundary\":\"start\"}", "cgroup" },
		{ "{\"pid\":2,\"boundary\":\"init\"}", "none of start" },
		{ "{\"pid\":2,\"boundary\":\"exit\"}", "none of start" },
		{ "{\"pid\":2,\"boundary\":5}", "none of start" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"id\":\"\"}", "id" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"id\":7}", "id" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"id\":\"1234567890123456789012345678901234567"
		  "8901234567890123456789012345\"}",
		  "id" },
		{ "{\"pid\":2,\"boundary\":\"end\",\"status\":\"suspended\"}", "status" },
		{ "{\"pid\":2,\"boundary\":\"end\",\"status\":0}", "status" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"status\":\"ok\"}", "end only" },
		{ "{\"pid\":2,\"boundary\":\"start\",\"function\":\"x\"}", "\"function\"" },
	};
	struct api_boundary before;

	(void)state;
	memset(&b, 7, sizeof(b));
	before = b;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		error[0] = '\0';
		if (parse(wrong[i].text) != -EINVAL || !strstr(error, wrong[i].why))
			fail_msg("%s: %s", wrong[i].text, error);
	}
	assert_memory_equal(&b, &before, sizeof(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boundaries_taken),
		cmocka_unit_test(test_boundaries_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
