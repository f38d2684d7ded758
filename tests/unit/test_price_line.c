// SPDX-License-Identifier: GPL-2.0
/* Lines to price: AWS's forms as they are met, our records whole, and what is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "core/compare.h"
#include "core/price_line.h"
#include "core/record_json.h"

#define MS 1000000ll

static struct price_line parse(const char *text)
{
	struct price_line line;

	price_line_parse(text, strlen(text), &line);
	return line;
}

static void neither(const char *text)
{
	if (parse(text).kind != PRICE_LINE_NEITHER)
		fail_msg("taken: %s", text);
}

static void test_price_line_report(void **state)
{
	static const char *const forms[] = {
		"REPORT RequestId: 6f-1\tDuration: 1307.68 ms\tBilled Duration: 2366 ms\t"
		"Memory Size: 1024 MB\tMax Memory Used: 200 MB\tInit Duration: 1058.15 ms\t",
		"2025-04-01T12:00:00.123Z 6f-1 REPORT RequestId: 6f-1\tDuration: 1307.68 ms\t"
		"Billed Duration: 2366 ms\tMemory Size: 1024 MB\tMax Memory Used: 200 MB\t"
		"Init Duration: 1058.15 ms\r",
		"REPORT RequestId: 6f-1 Duration: 1307.68 ms Billed Duration: 2366 ms "
		"Memory Size: 1024 MB Max Memory Used: 200 MB Init Duration: 1058.15 ms "
		"XRAY TraceId: 1-5e SegmentId: 3f Sampled: true",
		"{\"timestamp\":1,\"logGroup\":\"/aws/lambda/x\",\"message\":\"REPORT RequestId: "
		"6f-1"
		"\\tDuration: 1307.68 ms\\tBilled Duration: 2366 ms\\tMemory Size: 1024 MB\\t"
		"Max Memory Used: 200 MB\\tInit Duration: 1058.15 ms\\t\\n\"}",
		"{ \"@message\" : \"REPORT RequestId: 6f-1\\u0009Duration: 1307.68 ms\\tBilled "
		"Duration: 2366 ms\\tMemory Size: 1024 MB\\tMax Memory Used: 200 MB\\tInit "
		"Duration: 1058.15 ms\", \"@log\" : \"123:/aws/lambda/x\", \"a\":[{\"b\":\"]}\"}] "
		"}",
		"{\"time\":\"t\",\"type\":\"platform.report\",\"record\":{\"requestId\":\"6f-1\","
		"\"status\":\"success\",\"metrics\":{\"durationMs\":1307.68,\"billedDurationMs\":"
		"2366,"
		"\"memorySizeMB\":1024,\"maxMemoryUsedMB\":200,\"initDurationMs\":1058.15}}}",
		"{\"message\":{\"type\":\"platform.report\",\"record\":{\"metrics\":{"
		"\"durationMs\":"
		"1307.680,\"billedDurationMs\":2366.0,\"memorySizeMB\":1024,\"maxMemoryUsedMB\":"
		"200,"
		"\"initDurationMs\":1058.15}}}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct price_line line = parse(forms[i]);

		if (line.kind != PRICE_LINE_REPORT)
			fail_msg("not taken: %s", forms[i]);
		assert_int_equal(line.times[BILL_AWAKE], 1307680000);
		assert_int_equal(line.times[BILL_INIT_WALL], 1058150000);
		assert_int_equal(line.stated_ns, 2366 * MS);
		assert_int_equal(line.key.memory_mb, 1024);
		assert_int_equal(line.key.used_mb, 208); /* 200, up to its class */
		assert_true(line.key.no_cpu);
		assert_string_equal(line.function, strstr(forms[i], "lambda/x") ? "x" : "");
	}
}

static void test_price_line_more_of_a_report(void **state)
{
	struct price_line line;

	(void)state;
	/* a time-out, without a peak; our own, with CPU time; a restore */
	line = parse("REPORT RequestId: a\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t"
		     "Memory Size: 128 MB\tStatus: timeout\tOn-CPU: 2.345678 ms\t\n");
	assert_int_equal(line.kind, PRICE_LINE_REPORT);
	assert_int_equal(line.key.used_mb, -1);
	assert_false(line.key.no_cpu);
	assert_int_equal(line.times[BILL_USED_CPU], 2345678);
	line = parse(
		"REPORT RequestId: a\tDuration: 147.16 ms\tBilled Duration: 201 ms\t"
		"Memory Size: 128 MB\tRestore Duration: 700.5 ms\tBilled Restore Duration: 53 ms");
	assert_int_equal(line.kind, PRICE_LINE_REPORT);
	assert_int_equal(line.times[BILL_RESTORE], 53 * MS);
}

static void test_price_line_neither(void **state)
{
	static char deep[70000];
	size_t n = 0;

	(void)state;
	neither("");
	neither("START RequestId: a Version: $LATEST");
	neither("REPORT RequestId: a");
	neither("REPORT RequestId: a\tDuration: 1.2.3 ms\tMemory Size: 128 MB");
	neither("REPORT RequestId: a\tDuration: -1 ms\tMemory Size: 128 MB");
	neither("REPORT RequestId: a\tDuration: 1 s\tMemory Size: 128 MB");
	neither("REPORT RequestId: a\tDuration: 99999999999999999999 ms\tMemory Size: 128 MB");
	neither("REPORT RequestId: a\tDuration: 1 ms\tMemory Size: 128.5 MB");
	neither("REPORT RequestId: a\tDuration: 1 ms\tMemory Size: 99999999 MB");
	neither("{}");
	neither("{\"schema\":\"oncpu.invocation/1\"}");
	neither("{\"schema\":\"oncpu.invocation/"
		"1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":1.5}");
	neither("{\"schema\":\"oncpu.invocation/1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":1");
	neither("{\"schema\":\"oncpu.invocation/1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":1,"
		"\"init\":7}");
	neither("{\"schema\":\"oncpu.invocation/"
		"1\",\"function\":\"f\",\"wall_ns\":null,\"cpu_ns\":1}");
	neither("{\"schema\":\"oncpu.invocation/"
		"1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":null}");
	neither("{\"schema\":\"oncpu.invocation/1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":1,"
		"\"segments\":[{\"wall_ns\":1},2]}");
	neither("{\"schema\":\"oncpu.invocation/1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":1,"
		"\"segments\":[{},{},{},{},{},{},{},{},{}]}"); /* more than a record has */
	neither("{\"schema\":\"oncpu.instance/1\",\"function\":\"f\",\"wall_ns\":1,\"cpu_ns\":1}");
	neither("{\"message\":\"REPORT RequestId: a\\tDuration: 1 ms\"}");
	neither("{\"message\":\"\\\\");
	neither("{\"type\":\"platform.report\",\"record\":{\"metrics\":{\"durationMs\":\"1\"}}}");
	neither("{\"a\" 1}");
	neither("{]");
	/* wrapped again and again: one wrapping is looked into, and no stack is used up */
	while (n < 60000)
		n += (size_t)sprintf(deep + n, "{\"message\":");
	neither(deep);
}

/* Names as other programs escape them: a pair of surrogates is one character. */
static void test_price_line_escapes(void **state)
{
	static const char *const names[][2] = {
		{ "\\ud83d\\ude00\\/\\u00e9\\t", "\xf0\x9f\x98\x80/\xc3\xa9\t" },
		{ "a\\ud83d", "a?" },
		{ "\\ud83d\\u0041b", "?Ab" },
		{ "\\ude00\\ud83dx", "??x" },
		{ "\\uD834\\uDD1E", "\xf0\x9d\x84\x9e" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[200];
		struct price_line line;

		snprintf(text, sizeof(text),
			 "{\"schema\":\"oncpu.invocation/"
			 "1\",\"function\":\"%s\",\"wall_ns\":1,\"cpu_ns\":1}",
			 names[i][0]);
		line = parse(text);
		assert_int_equal(line.kind, PRICE_LINE_RECORD);
		assert_string_equal(line.function, names[i][1]);
	}
}

/* Every record that we write is read back as what bills see of it. */
static void test_price_line_records(void **state)
{
	uint64_t x = 99;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char text[RECORD_JSON_MAX];
		int64_t times[BILL_TIMES];
		struct invocation_record r = { .sequence = 1,
					       .host = "h\"{",
					       .boot_id = "0123456789" };
		struct bill_key key;
		struct price_line line;
		int n;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		snprintf(r.function, sizeof(r.function), "%s",
			 (const char *[]){ "thumb", "a\"b\\c", "grün €", "]}{[",
					   "of-63-bytes-which-is-the-longest-name-that-there-is-"
					   "in-a-record" }[x % 5]);
		snprintf(r.id, sizeof(r.id), "\"schema\":\"x\\");
		r.id_len = (uint32_t)strlen(r.id);
		r.wall_ns = (int64_t)(x >> 20);
		r.cpu_ns = (int64_t)(x >> 30);
		r.cold_start = x & 1;
		r.init_wall_ns = r.cold_start ? (int64_t)(x >> 31) : -1;
		r.init_cpu_ns = r.cold_start ? -5 : -1;
		r.after_response_wall_ns = (int64_t)(x >> 33);
		r.after_response_cpu_ns = (int64_t)(x >> 34);
		r.between_wall_ns = (int64_t)(x >> 22);
		r.between_cpu_ns = -(int64_t)(x >> 40);
		r.freeze_wall_ns = (int64_t)(x >> 35);
		r.memory_mb = x & 2 ? 128 : -1;
		r.max_memory_bytes = x & 4 ? (int64_t)(x >> 36) : -1;
		r.quota_us = r.period_us = -1;
		if (x & 8)
			r.quota_us = 50000, r.period_us = 100000;
		r.segment_count = x & 16 ? 3 : 0;
		for (uint32_t s = 0; s < r.segment_count; s++)
			r.segments[s].wall_ns = (int64_t)(x >> (24 + s));
		r.start_realtime_ns = 1769860800000000000ll;
		r.end_realtime_ns = r.start_realtime_ns + r.wall_ns;
		r.where.running_ns = r.steal_ns = r.irq_ns = r.cpu_net_ns = -1;
		billing_apply(policies_embedded(), &r);
		n = invocation_record_json(&r, text, sizeof(text));
		assert_true(n > 0);
		price_line_parse(text, (size_t)n, &line);
		if (line.kind != PRICE_LINE_RECORD)
			fail_msg("not taken: %s", text);
		bill_times_of_record(&r, times);
		key = bill_key_of_record(&r);
		assert_memory_equal(line.times, times, sizeof(times));
		assert_true(bill_key_equal(&line.key, &key));
		assert_string_equal(line.function, r.function);
		assert_string_equal(line.start, "2026-01-31T12:00:00.000000000Z");
		assert_int_equal(line.stated_ns, -1);
	}
}

/* Cut anywhere, and with any byte changed, at the end of a page: nothing is read beyond it. */
static void test_price_line_reads_no_byte_beyond(void **state)
{
	static const char *const lines[] = {
		"{\"schema\":\"oncpu.invocation/1\",\"function\":\"f\\u00e9\\\\\",\"wall_ns\":12,"
		"\"cpu_ns\":7,\"init\":{\"wall_ns\":5,\"cpu_ns\":1},\"segments\":[{\"wall_ns\":3}],"
		"\"start\":\"2026-01-31T12:00:00.000000000Z\",\"x\":[1,{\"y\":\"\\\"\"}],\"m\":"
		"null}",
		"{\"schema\":\"oncpu.invocation/1\",\"wall_ns\":12,\"cpu_ns\":7,"
		"\"function\":\"\\ud83d\\ude00\"}",
		"{\"message\":\"REPORT RequestId: 6f\\tDuration: 1307.68 ms\\tMemory Size: 1024 "
		"MB\"}",
		"REPORT RequestId: 6f-1\tDuration: 1307.68 ms\tMemory Size: 1024 MB",
	};
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, (size_t)(2 * page), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct price_line line;

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, (size_t)page, PROT_NONE), 0);
	for (size_t l = 0; l < sizeof(lines) / sizeof(lines[0]); l++) {
		size_t n = strlen(lines[l]);

		for (size_t cut = 0; cut <= n; cut++) {
			char *at = map + page - cut;

			memcpy(at, lines[l], cut);
			price_line_parse(at, cut, &line);
			for (size_t i = 0; i < cut; i++) {
				for (const char *c = "\"\\{}[]:,u0 \t"; *c; c++) {
					at[i] = *c;
					price_line_parse(at, cut, &line);
				}
				at[i] = lines[l][i];
			}
		}
	}
	munmap(map, (size_t)(2 * page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_price_line_report),
		cmocka_unit_test(test_price_line_more_of_a_report),
		cmocka_unit_test(test_price_line_neither),
		cmocka_unit_test(test_price_line_escapes),
		cmocka_unit_test(test_price_line_records),
		cmocka_unit_test(test_price_line_reads_no_byte_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
