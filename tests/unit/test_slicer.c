// SPDX-License-Identifier: GPL-2.0
/* The slicer's pure parts: report lines, the log's bounds, a command line's words, telemetry's
 * queue. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <zlib.h>

#include "slicer/base64.h"
#include "slicer/event_stream.h"
#include "slicer/logbook.h"
#include "slicer/protocol.h"
#include "slicer/report.h"
#include "slicer/slicer.h"
#include "slicer/telemetry_event.h"
#include "slicer/telemetry_queue.h"

static const char id[] = "8f507cfc-1111-4697-b07a-ac58fc914c95";

static void test_report_lines_are_lambdas(void **state)
{
	struct report r = { .id = id,
			    .duration_ns = 3124999,
			    .init_ns = 152345678,
			    .billed_ms = 156,
			    .memory_mb = 128,
			    .peak_bytes = (57 << 20) + 1,
			    .cpu_ns = 1996000 };
	char line[512];

	(void)state;
	assert_true(report_start(id, line, sizeof(line)) > 0);
	assert_string_equal(line, "START RequestId: 8f507cfc-1111-4697-b07a-ac58fc914c95 Version: "
				  "$LATEST\n");
	assert_true(report_end(id, line, sizeof(line)) > 0);
	assert_string_equal(line, "END RequestId: 8f507cfc-1111-4697-b07a-ac58fc914c95\n");
	assert_true(report_line(&r, line, sizeof(line)) > 0);
	assert_string_equal(line,
			    "REPORT RequestId: 8f507cfc-1111-4697-b07a-ac58fc914c95\t"
			    "Duration: 3.12 ms\tBilled Duration: 156 ms\tMemory Size: 128 MB\t"
			    "Max Memory Used: 58 MB\tInit Duration: 152.35 ms\t"
			    "On-CPU: 2.00 ms\t\n");
	r = (struct report){ .id = id,
			     .duration_ns = 3000000000,
			     .init_ns = -1,
			     .billed_ms = 3000,
			     .memory_mb = 512,
			     .cpu_ns = -1,
			     .status = "timeout" };
	assert_true(report_line(&r, line, sizeof(line)) > 0);
	assert_string_equal(line, "REPORT RequestId: 8f507cfc-1111-4697-b07a-ac58fc914c95\t"
				  "Duration: 3000.00 ms\tBilled Duration: 3000 ms\t"
				  "Memory Size: 512 MB\tStatus: timeout\t\n");
	assert_true(report_line(&r, line, 40) < 0);
}

static void test_report_json_is_a_platform_report(void **state)
{
	struct report r = { .id = id,
			    .duration_ns = 1000001,
			    .init_ns = 5,
			    .billed_ms = 2,
			    .memory_mb = 128,
			    .peak_bytes = 1,
			    .cpu_ns = 999 };
	json_t *root, *metrics;
	char line[512];

	(void)state;
	assert_true(report_json(&r, 0, line, sizeof(line)) > 0);
	root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "type")), "platform.report");
	metrics = json_object_get(json_object_get(root, "record"), "metrics");
	assert_non_null(strstr(line, "\"durationMs\":1.000001,"));
	assert_non_null(strstr(line, "\"onCpuMs\":0.000999"));
	assert_int_equal(json_integer_value(json_object_get(metrics, "maxMemoryUsedMB")), 1);
	json_decref(root);
}

static void test_logbook_is_bounded_and_survives(void **state)
{
	char directory[] = "/tmp/oncpu-logbook-XXXXXX", path[LOGBOOK_PATH],
	     before[LOGBOOK_PATH + 8];
	static char line[65536];
	struct logbook book;
	struct stat st;
	int at;

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(logbook_path(directory, "../a b", path, sizeof(path)), 0);
	assert_non_null(strstr(path, "/___a_b.log")); /* a name leads nowhere else */
	at = open(directory, O_RDONLY | O_DIRECTORY);
	assert_int_equal(logbook_open(&book, at, "f"), 0);
	memset(line, 'x', sizeof(line));
	for (uint64_t n = 0; n < 3 * LOGBOOK_BYTES; n += sizeof(line))
		logbook_write(&book, line, sizeof(line));
	logbook_close(&book);
	assert_int_equal(book.lost, 0);
	assert_int_equal(logbook_path(directory, "f", path, sizeof(path)), 0);
	snprintf(before, sizeof(before), "%s.1", path);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0 && (uint64_t)st.st_size <= LOGBOOK_BYTES);
	assert_int_equal(stat(before, &st), 0);
	assert_true((uint64_t)st.st_size <= LOGBOOK_BYTES);
	/* opened again: it goes on where it was */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(logbook_open(&book, at, "f"), 0);
	assert_int_equal(book.size, st.st_size);
	logbook_close(&book);
	close(at);
	unlink(path);
	unlink(before);
	rmdir(directory);
}

static void test_a_command_line_is_split_as_a_shell_would(void **state)
{
	struct slicer_function f;
	char error[256];

	(void)state;
	slicer_function_defaults(&f, "f");
	assert_int_equal(slicer_function_command(&f, "  a 'b c' \"d\\\"e\"f  g\\ h ''", error,
						 sizeof(error)),
			 0);
	assert_string_equal(f.arguments[0], "a");
	assert_string_equal(f.arguments[1], "b c");
	assert_string_equal(f.arguments[2], "d\"ef");
	assert_string_equal(f.arguments[3], "g h");
	assert_string_equal(f.arguments[4], "");
	assert_null(f.arguments[5]);
	slicer_function_free(&f);
	assert_true(slicer_function_command(&f, "a 'b", error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "is not closed"));
	slicer_function_free(&f);
	assert_true(slicer_function_command(&f, "   ", error, sizeof(error)) < 0);
	slicer_function_free(&f);
}

/* ---- telemetry ---- */

static struct telemetry_queue queue_of(unsigned kinds, size_t items, size_t bytes)
{
	return (struct telemetry_queue){
		.kinds = kinds, .max_items = items, .max_bytes = bytes, .timeout_ns = 100
	};
}

static json_t *take(struct telemetry_queue *q, size_t expected)
{
	size_t size = 0, items = 0;
	char *text = telemetry_queue_take(q, "2026-01-31T12:00:00Z", &size, &items);
	json_t *root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;

	free(text);
	assert_non_null(root);
	assert_int_equal(json_array_size(root), expected);
	assert_int_equal(items, expected);
	return root;
}

static void test_queue_takes_what_was_subscribed_to(void **state)
{
	struct telemetry_queue q = queue_of(TELEMETRY_PLATFORM | TELEMETRY_EXTENSION, 10, 1000);

	(void)state;
	assert_false(telemetry_queue_due(&q, 1000));
	assert_true(telemetry_queue_when(&q) == UINT64_MAX);
	telemetry_queue_put(&q, TELEMETRY_FUNCTION, "{\"n\":1}", 7, 5);
	assert_int_equal(q.items, 0);
	telemetry_queue_put(&q, TELEMETRY_PLATFORM, "{\"n\":2}", 7, 10);
	telemetry_queue_put(&q, TELEMETRY_EXTENSION, "{\"n\":3}", 7, 50);
	assert_false(telemetry_queue_due(&q, 109));
	assert_true(telemetry_queue_due(&q, 110)); /* the oldest one's time */
	assert_int_equal(telemetry_queue_when(&q), 110);
	json_decref(take(&q, 2));
	assert_int_equal(q.items, 0);
	telemetry_queue_free(&q);
}

static void test_queue_is_bounded_and_says_what_it_dropped(void **state)
{
	struct telemetry_queue q = queue_of(TELEMETRY_FUNCTION, 3, 1000);
	char event[2100];
	json_t *root, *record;

	(void)state;
	for (int n = 0; n < 5; n++)
		telemetry_queue_put(&q, TELEMETRY_FUNCTION, "{\"n\":1}", 7, 0);
	assert_int_equal(q.items, 3);
	assert_true(telemetry_queue_due(&q, 0)); /* full: at once */
	memset(event, 'x', sizeof(event));
	telemetry_queue_put(&q, TELEMETRY_FUNCTION, event, sizeof(event), 0);
	assert_int_equal(q.dropped_items, 3);
	assert_int_equal(q.dropped_bytes, 14 + sizeof(event));
	root = take(&q, 4);
	record = json_object_get(json_array_get(root, 3), "record");
	assert_int_equal(json_integer_value(json_object_get(record, "droppedRecords")), 3);
	assert_int_equal(json_integer_value(json_object_get(record, "droppedBytes")),
			 14 + sizeof(event));
	json_decref(root);
	assert_int_equal(q.dropped_items, 0); /* it has been said */
	telemetry_queue_put(&q, TELEMETRY_FUNCTION, "{\"n\":1}", 7, 0);
	json_decref(take(&q, 1));
	/* by size: the memory behind it stays near max_bytes */
	q = queue_of(TELEMETRY_FUNCTION, 10000, 1000);
	event[0] = '"', event[199] = '"';
	for (int n = 0; n < 100; n++)
		telemetry_queue_put(&q, TELEMETRY_FUNCTION, event, 200, 0);
	assert_true(q.items == 4 && q.size <= 1000 && q.capacity <= 4096);
	telemetry_queue_free(&q);
}

static void test_events_are_json_whatever_the_bytes(void **state)
{
	static const char nasty[] = "quote\" back\\ bell\a \xff\xfe end";
	char event[6 * sizeof(nasty) + 128];
	json_t *root;
	int n;

	(void)state;
	n = telemetry_event_line(1, "function", nasty, sizeof(nasty) - 1, event, sizeof(event));
	assert_true(n > 0);
	root = json_loadb(event, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "type")), "function");
	assert_non_null(
		strstr(json_string_value(json_object_get(root, "record")), "quote\" back\\"));
	json_decref(root);
	assert_true(telemetry_event_line(1, "function", nasty, sizeof(nasty) - 1, event, 40) < 0);
}

/* ---- event streams ---- */

static void test_event_stream_messages_are_awss(void **state)
{
	/* the framing's own numbers, as a client checks them */
	size_t size = 0;
	char *m = event_stream_message("PayloadChunk", "application/octet-stream", "abc", 3, &size);
	const unsigned char *b = (const unsigned char *)m;
	uint32_t whole, headers, crc;

	(void)state;
	assert_non_null(m);
	whole = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	headers = (uint32_t)b[4] << 24 | (uint32_t)b[5] << 16 | (uint32_t)b[6] << 8 | b[7];
	assert_int_equal(whole, size);
	assert_int_equal(12 + headers + 3 + 4, size);
	crc = (uint32_t)crc32(0, b, 8);
	assert_int_equal(b[8], crc >> 24);
	assert_int_equal(b[11], crc & 0xff);
	assert_memory_equal(m + 12, "\013:event-type\007\000\014PayloadChunk", 27);
	assert_memory_equal(m + 12 + headers, "abc", 3);
	crc = (uint32_t)crc32(0, b, (unsigned)size - 4);
	assert_int_equal(b[size - 4], crc >> 24);
	assert_int_equal(b[size - 1], crc & 0xff);
	free(m);
}

static void test_base64_there_and_back(void **state)
{
	static const char *const pairs[][2] = { { "", "" },
						{ "f", "Zg==" },
						{ "fo", "Zm8=" },
						{ "foo", "Zm9v" },
						{ "foob", "Zm9vYg==" } };
	char text[BASE64_ROOM(4)];
	size_t size = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(pairs) / sizeof(pairs[0]); n++) {
		char *back;

		base64_encode(pairs[n][0], strlen(pairs[n][0]), text);
		assert_string_equal(text, pairs[n][1]);
		back = base64_decode(text, &size);
		assert_string_equal(back, pairs[n][0]);
		assert_int_equal(size, strlen(pairs[n][0]));
		free(back);
	}
	assert_null(base64_decode("Zg=", &size));
	assert_null(base64_decode("Z*==", &size));
	assert_null(base64_decode("Zg==Zg==", &size));
}

/* ---- between the halves ---- */

static void test_outbox_never_waits_and_keeps_the_order(void **state)
{
	enum { MANY = 5000 };
	struct keeper_request r = { .op = KEEPER_START };
	struct outbox box = { .socket = -1 };
	uint32_t next = 0;
	int ends[2], fd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	box.socket = ends[0];
	for (uint32_t n = 0; n < MANY; n++) { /* nobody reads: it must not wait for that */
		r.instance = n;
		assert_int_equal(outbox_send(&box, &r), 0);
		if (n % 7 == 0 && protocol_receive(ends[1], &r, sizeof(r), &fd) > 0)
			assert_int_equal(r.instance, next++);
	}
	assert_true(box.count > 0);
	while (next < MANY) {
		assert_int_equal(outbox_flush(&box), 0);
		while (protocol_receive(ends[1], &r, sizeof(r), &fd) > 0)
			assert_int_equal(r.instance, next++);
	}
	assert_int_equal(box.count, 0);
	close(ends[1]);
	assert_int_equal(outbox_send(&box, &r), -EPIPE);
	close(ends[0]);
	outbox_free(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_lines_are_lambdas),
		cmocka_unit_test(test_report_json_is_a_platform_report),
		cmocka_unit_test(test_logbook_is_bounded_and_survives),
		cmocka_unit_test(test_a_command_line_is_split_as_a_shell_would),
		cmocka_unit_test(test_queue_takes_what_was_subscribed_to),
		cmocka_unit_test(test_queue_is_bounded_and_says_what_it_dropped),
		cmocka_unit_test(test_events_are_json_whatever_the_bytes),
		cmocka_unit_test(test_event_stream_messages_are_awss),
		cmocka_unit_test(test_base64_there_and_back),
		cmocka_unit_test(test_outbox_never_waits_and_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
