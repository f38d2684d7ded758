// SPDX-License-Identifier: GPL-2.0
/* Records as JSON, judged by jansson: exact integers, hostile ids, nulls, never past the buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"
#include "core/billing.h"
#include "core/record_json.h"

static struct invocation_record sample(void)
{
	struct invocation_record r = {
		.sequence = 42,
		.host = "node-7",
		.boot_id = "0123456789abcdef0123456789abcdef",
		.function = "thumb",
		.instance = "thumb-1",
		.version = "$LATEST",
		.id = "abc",
		.id_len = 3,
		.status = ONCPU_STATUS_OK,
		.cold_start = true,
		.start_realtime_ns = 1769860800123456789,
		.end_realtime_ns = 1769860800174691356,
		.wall_ns = 51234567,
		.cpu_ns = 3201456,
		.init_wall_ns = 7,
		.init_cpu_ns = 6,
		.quota_us = -1,
		.period_us = -1,
		.memory_mb = -1,
		.max_memory_bytes = -1,
		.where = { -1, -1, -1, -1, -1, -1 },
		.steal_ns = -1,
		.irq_ns = -1,
		.cpu_net_ns = -1,
	};

	billing_apply(policies_embedded(), &r);
	return r;
}

static json_t *load(const char *text, int length)
{
	json_error_t error;
	json_t *root;

	assert_true(length > 0);
	assert_int_equal(strlen(text), length);
	assert_null(strchr(text, '\n'));
	assert_true(text_is_clean(text, (size_t)length));
	root = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!root)
		fail_msg("%s: %s", error.text, text);
	return root;
}

static json_t *written(const struct invocation_record *record)
{
	char text[RECORD_JSON_MAX];

	return load(text, invocation_record_json(record, text, sizeof(text)));
}

static json_t *at(json_t *root, const char *path)
{
	char copy[128], *rest = copy, *part;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((part = strsep(&rest, "/"))) {
		root = json_object_get(root, part);
		if (!root)
			fail_msg("no %s", path);
	}
	return root;
}

static void assert_number(json_t *root, const char *path, int64_t value)
{
	assert_true(json_is_integer(at(root, path)));
	if (json_integer_value(at(root, path)) != value)
		fail_msg("%s: %lld, not %lld", path, (long long)json_integer_value(at(root, path)),
			 (long long)value);
}

static void assert_text(json_t *root, const char *path, const char *text)
{
	assert_string_equal(json_string_value(at(root, path)), text);
}

static void test_record_json_contract(void **state)
{
	struct invocation_record r = sample();
	json_t *root = written(&r);

	(void)state;
	assert_text(root, "schema", "oncpu.invocation/1");
	assert_text(root, "record_id", "node-7-01234567-42");
	assert_text(root, "id", "abc");
	assert_text(root, "function", "thumb");
	assert_text(root, "instance", "thumb-1");
	assert_text(root, "host", "node-7");
	assert_text(root, "version", "$LATEST");
	assert_text(root, "trigger", "other");
	assert_text(root, "status", "ok");
	assert_text(root, "start", "2026-01-31T12:00:00.123456789Z");
	assert_text(root, "end", "2026-01-31T12:00:00.174691356Z");
	assert_true(json_is_true(at(root, "cold_start")));
	static const char *const nulls[] = { "tenant",	  "trace_id",	      "continues",
					     "memory_mb", "max_memory_bytes", "cpu_quota",
					     "where",	  "steal_ns",	      "irq_ns",
					     "cpu_net_ns" };
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		assert_true(json_is_null(at(root, nulls[i])));
	assert_number(root, "init/cpu_ns", 6);
	assert_number(root, "billed/aws-lambda/billed_ms", 52);
	assert_number(root, "billed/aws-lambda/version", 1);
	assert_number(root, "billed/aws-lambda-2018/billed_ms", 100);
	assert_number(root, "billed/on-cpu/billed_ns", 3201456);
	assert_int_equal(json_array_size(at(root, "extensions")), 0);
	assert_int_equal(json_array_size(at(root, "segments")), 0);
	assert_int_equal(json_array_size(at(root, "flags")), 0);
	assert_null(json_object_get(root, "marks_lost"));
	assert_null(json_object_get(root, "events_lost"));
	assert_null(json_object_get(root, "id_hex"));
	assert_int_equal(json_object_size(root), 36);
	json_decref(root);
}

/* Each number stands in its own place, to the last digit. */
static void test_record_json_exact_numbers(void **state)
{
	struct invocation_record r = sample();
	int64_t big = 9007199254740993; /* 2^53 + 1: a double cannot hold it */
	json_t *root;

	(void)state;
	r.wall_ns = INT64_MAX;
	r.cpu_ns = big;
	r.cpu_error_bound_ns = big + 2;
	r.init_wall_ns = big + 4;
	r.init_cpu_ns = INT64_MIN;
	r.after_response_wall_ns = big + 6;
	r.after_response_cpu_ns = big + 8;
	r.between_wall_ns = big + 10;
	r.between_cpu_ns = -1;
	r.freeze_count = 3;
	r.freeze_wall_ns = big + 12;
	r.freeze_cpu_ns = big + 14;
	r.run_queue_ns = big + 16;
	r.voluntary = big + 18;
	r.involuntary = big + 20;
	r.threads = 5;
	r.memory_mb = 128;
	r.max_memory_bytes = big + 22;
	r.quota_us = 50000;
	r.period_us = 100000;
	r.marks_lost = 9;
	r.events_lost = 8;
	r.where = (struct record_where){ 0, big + 24, big + 26, big + 28, big + 30, big + 32 };
	r.steal_ns = big + 34;
	r.irq_ns = big + 36;
	r.cpu_net_ns = 0;
	root = written(&r);
	assert_number(root, "wall_ns", INT64_MAX);
	assert_number(root, "cpu_ns", big);
	assert_number(root, "cpu_error_bound_ns", big + 2);
	assert_number(root, "init/wall_ns", big + 4);
	assert_number(root, "init/cpu_ns", INT64_MIN);
	assert_number(root, "after_response/wall_ns", big + 6);
	assert_number(root, "after_response/cpu_ns", big + 8);
	assert_number(root, "between/wall_ns", big + 10);
	assert_number(root, "between/cpu_ns", -1);
	assert_number(root, "freeze/count", 3);
	assert_number(root, "freeze/wall_ns", big + 12);
	assert_number(root, "freeze/cpu_ns", big + 14);
	assert_number(root, "run_queue_ns", big + 16);
	assert_number(root, "context_switches/voluntary", big + 18);
	assert_number(root, "context_switches/involuntary", big + 20);
	assert_number(root, "threads", 5);
	assert_number(root, "memory_mb", 128);
	assert_number(root, "max_memory_bytes", big + 22);
	assert_number(root, "cpu_quota/quota_us", 50000);
	assert_number(root, "cpu_quota/period_us", 100000);
	assert_number(root, "marks_lost", 9);
	assert_number(root, "events_lost", 8);
	assert_number(root, "where/running_ns", 0);
	assert_number(root, "where/run_queue_ns", big + 24);
	assert_number(root, "where/throttled_ns", big + 26);
	assert_number(root, "where/blocked_io_ns", big + 28);
	assert_number(root, "where/idle_ns", big + 30);
	assert_number(root, "where/frozen_ns", big + 32);
	assert_int_equal(json_object_size(at(root, "where")), 6);
	assert_number(root, "steal_ns", big + 34);
	assert_number(root, "irq_ns", big + 36);
	assert_number(root, "cpu_net_ns", 0);
	json_decref(root);
}

static void test_record_json_unknown_is_null(void **state)
{
	struct invocation_record r = sample();
	json_t *root;

	(void)state;
	r.init_wall_ns = r.init_cpu_ns = -1;
	r.version[0] = '\0';
	r.status = 77;
	root = written(&r);
	assert_true(json_is_null(at(root, "init")));
	assert_true(json_is_null(at(root, "version")));
	assert_text(root, "status", "error");
	assert_number(root, "status_code", 77);
	json_decref(root);
}

static void assert_hex(json_t *root, const char *path, const char *bytes, size_t n)
{
	const char *hex = json_string_value(at(root, path));

	assert_int_equal(strlen(hex), 2 * n);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		assert_int_equal(byte, (unsigned char)bytes[i]);
	}
}

static void test_record_json_hostile_ids(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} hostile[] = {
		{ "\",\"cpu_ns\":0,\"x\":\"", 18 },
		{ "a\0b", 3 },
		{ "\n\r\t\b\x1b[2J", 8 },
		{ "\\", 1 },
		{ "\\\"", 2 },
		{ "\xff\xfe", 2 },
		{ "\xe2\x82", 2 },
		{ "\xed\xa0\x80", 3 },
		{ "\xc2\x85\x7f", 3 },
		{ "gr\xc3\xbc\xc3\x9f", 6 },
		{ "0123456789012345678901234567890123456789012345678901234567890123", 64 },
		{ "012345678901234567890123456789012345678901234567890123456789012\xe2", 64 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct invocation_record r = sample();
		size_t n = hostile[i].n;
		uint32_t code;
		json_t *root;
		bool utf8 = true;

		memcpy(r.id, hostile[i].bytes, n);
		memcpy(r.continues, hostile[i].bytes, n);
		r.id_len = r.continues_len = (uint32_t)n;
		for (size_t k = 0, step; k < n && utf8; k += step) {
			step = text_decode(r.id + k, n - k, &code);
			utf8 = step > 0;
		}
		root = written(&r);
		if (utf8) {
			assert_int_equal(json_string_length(at(root, "id")), n);
			assert_memory_equal(json_string_value(at(root, "id")), r.id, n);
			assert_memory_equal(json_string_value(at(root, "continues")), r.id, n);
		} else {
			assert_non_null(strstr(json_string_value(at(root, "id")), "\xef\xbf\xbd"));
		}
		assert_int_equal(json_object_get(root, "id_hex") == NULL, text_is_clean(r.id, n));
		if (!text_is_clean(r.id, n)) {
			assert_hex(root, "id_hex", r.id, n);
			assert_hex(root, "continues_hex", r.id, n);
		}
		json_decref(root);
	}
}

static void test_record_json_flags_and_statuses(void **state)
{
	struct invocation_record r = sample();
	json_t *root, *names;

	(void)state;
	r.flags = (1ull << RECORD_FLAG_COUNT) - 1;
	root = written(&r);
	names = at(root, "flags");
	assert_int_equal(json_array_size(names), RECORD_FLAG_COUNT);
	for (unsigned i = 0; i < RECORD_FLAG_COUNT; i++) {
		const char *name = record_flag_name((enum record_flag)i);

		assert_string_equal(json_string_value(json_array_get(names, i)), name);
		assert_non_null(record_flag_help((enum record_flag)i));
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(name, record_flag_name((enum record_flag)k));
	}
	json_decref(root);
	assert_null(record_flag_name(RECORD_FLAG_COUNT));
	assert_null(record_flag_help(RECORD_FLAG_COUNT));
	assert_string_equal(record_flag_name(RECORD_FLAG_AUDIT_MISMATCH), "audit_mismatch");
	assert_string_equal(record_status_name(ONCPU_STATUS_SUSPENDED), "suspended");
	assert_string_equal(record_status_name(-5), "error");
}

/* The largest record fits RECORD_JSON_MAX; in every smaller buffer: -ENOSPC and nothing past it. */
static void test_record_json_worst_case_is_bounded(void **state)
{
	char text[RECORD_JSON_MAX + 1];
	struct invocation_record r;
	int need;

	(void)state;
	memset(&r, 0x1f, sizeof(r));
	r.host[RECORD_HOST_LEN - 1] = r.boot_id[RECORD_BOOT_LEN - 1] = '\0';
	r.function[ONCPU_NAME_LEN - 1] = r.instance[RECORD_INSTANCE_LEN - 1] = '\0';
	r.version[RECORD_VERSION_LEN - 1] = '\0';
	r.doubt.cause[sizeof(r.doubt.cause) - 1] = '\0';
	r.id_len = r.continues_len = ONCPU_ID_LEN;
	r.flags = UINT64_MAX;
	r.status = INT32_MIN;
	r.cold_start = false;
	r.billed_count = 0;
	billing_apply(policies_embedded(), &r);
	need = invocation_record_json(&r, text, RECORD_JSON_MAX);
	assert_in_range(need, 8192, RECORD_JSON_MAX - 1024);
	json_decref(load(text, need));
	for (size_t size = 0; size <= (size_t)need; size++) {
		text[size] = '#';
		assert_int_equal(invocation_record_json(&r, text, size), -ENOSPC);
		assert_int_equal(text[size], '#');
	}
}

static void test_record_json_instance(void **state)
{
	struct instance_record r = { .sequence = 7,
				     .host = "h\"",
				     .boot_id = "0123456789abcdef0123456789abcdef",
				     .function = "f",
				     .instance = "i",
				     .uid = INT64_MAX,
				     .cgroup_id = 12,
				     .flags = 1ull << RECORD_FLAG_ADOPTED,
				     .total_cpu_ns = 15,
				     .init_cpu_ns = 1,
				     .invocations_cpu_ns = 2,
				     .freeze_cpu_ns = 4,
				     .between_cpu_ns = 8,
				     .last_between_wall_ns = 16,
				     .last_between_cpu_ns = 5,
				     .invocations = 32,
				     .unmatched = 64,
				     .marks_lost = 3 };
	char text[RECORD_JSON_MAX];
	json_t *root = load(text, instance_record_json(&r, text, sizeof(text)));

	(void)state;
	assert_text(root, "schema", "oncpu.instance/1");
	assert_text(root, "record_id", "h\"-01234567-7");
	assert_text(root, "start", "1970-01-01T00:00:00.000000000Z");
	assert_number(root, "uid", INT64_MAX);
	assert_number(root, "total_cpu_ns", 15);
	assert_number(root, "init_cpu_ns", 1);
	assert_number(root, "invocations_cpu_ns", 2);
	assert_number(root, "freeze_cpu_ns", 4);
	assert_number(root, "between_cpu_ns", 8);
	assert_number(root, "last_between/wall_ns", 16);
	assert_number(root, "last_between/cpu_ns", 5);
	assert_number(root, "invocations", 32);
	assert_number(root, "unmatched", 64);
	assert_number(root, "marks_lost", 3);
	assert_null(json_object_get(root, "events_lost"));
	assert_true(json_is_null(at(root, "audit"))); /* never compared */
	assert_string_equal(json_string_value(json_array_get(at(root, "flags"), 0)), "adopted");
	json_decref(root);

	r.audits = 5;
	r.audit_mismatches = 1;
	r.audit_difference_ns = -INT64_MAX;
	r.audit_worst_ns = INT64_MAX;
	root = load(text, instance_record_json(&r, text, sizeof(text)));
	assert_number(root, "audit/count", 5);
	assert_number(root, "audit/mismatches", 1);
	assert_number(root, "audit/difference_ns", -INT64_MAX);
	assert_number(root, "audit/worst_ns", INT64_MAX);
	json_decref(root);
}

/* Against the C library, over all that int64 nanoseconds can say. */
static void test_realtime_format(void **state)
{
	uint64_t random = 88172645463325252u;
	char text[64] = "untouched", expected[64], stamp[32];

	(void)state;
	assert_int_equal(realtime_format(0, text, 30), -ENOSPC);
	assert_string_equal(text, "untouched");
	for (int i = 0; i < 100000; i++) {
		int64_t ns = (int64_t)random, seconds = ns / 1000000000, rest = ns % 1000000000;
		struct tm tm;
		time_t t;

		if (rest < 0) {
			rest += 1000000000;
			seconds--;
		}
		t = (time_t)seconds;
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
		snprintf(expected, sizeof(expected), "%s.%09lldZ", stamp, (long long)rest);
		assert_int_equal(realtime_format(ns, text, 31), 0);
		assert_string_equal(text, expected);
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		if (i == 0)
			random = (uint64_t)INT64_MIN;
		else if (i == 1)
			random = INT64_MAX;
	}
}

static void test_record_id_format(void **state)
{
	char text[24] = "untouched";

	(void)state;
	assert_int_equal(record_id_format("h", "0123456789", 18446744073709551615u, text, 24),
			 -ENOSPC);
	assert_string_equal(text, "untouched");
	assert_int_equal(record_id_format("h", "0123456789", 1, text, 24), 0);
	assert_string_equal(text, "h-01234567-1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_json_contract),
		cmocka_unit_test(test_record_json_exact_numbers),
		cmocka_unit_test(test_record_json_unknown_is_null),
		cmocka_unit_test(test_record_json_hostile_ids),
		cmocka_unit_test(test_record_json_flags_and_statuses),
		cmocka_unit_test(test_record_json_worst_case_is_bounded),
		cmocka_unit_test(test_record_json_instance),
		cmocka_unit_test(test_realtime_format),
		cmocka_unit_test(test_record_id_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
