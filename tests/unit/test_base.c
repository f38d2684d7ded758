// SPDX-License-Identifier: GPL-2.0
/* base/parse, base/log, base/json_writer, base/cleanup: bounds, errors, outputs only on success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/parse.h"

static void test_parse_integers(void **state)
{
	int64_t v = 77;
	uint64_t u = 77;

	(void)state;
	assert_int_equal(parse_int64("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MIN);
	assert_int_equal(parse_int64("9223372036854775807", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MAX);
	assert_int_equal(parse_uint64("18446744073709551615", 0, UINT64_MAX, &u), 0);
	assert_true(u == UINT64_MAX);
	v = 77;
	u = 77;
	assert_int_equal(parse_int64("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_int64("-9223372036854775809", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_int64("11", 1, 10, &v), -ERANGE);
	assert_int_equal(parse_int64("0", 1, 10, &v), -ERANGE);
	assert_int_equal(parse_uint64("18446744073709551616", 0, UINT64_MAX, &u), -ERANGE);
	assert_int_equal(parse_uint64("-1", 0, UINT64_MAX, &u), -EINVAL);
	static const char *const bad[] = { "",	  "-",	 "+1",	" 1",  "1 ",
					   "0x1", "1e3", "--1", "1.0", "99999999999999999999x" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_int64(bad[i], INT64_MIN, INT64_MAX, &v), -EINVAL);
	assert_true(v == 77 && u == 77);
}

static void test_parse_durations_and_sizes(void **state)
{
	int64_t ns = 5;
	uint64_t bytes = 5;

	(void)state;
	assert_int_equal(parse_duration_ns("90s", &ns), 0);
	assert_true(ns == 90000000000);
	assert_int_equal(parse_duration_ns("7d", &ns), 0);
	assert_true(ns == 604800000000000);
	assert_int_equal(parse_duration_ns("9223372036854775807ns", &ns), 0);
	assert_true(ns == INT64_MAX);
	assert_int_equal(parse_duration_ns("0", &ns), 0);
	assert_true(ns == 0);
	assert_int_equal(parse_duration_ns("9223372036854775808ns", &ns), -ERANGE);
	assert_int_equal(parse_duration_ns("300000w", &ns), -ERANGE);
	assert_int_equal(parse_duration_ns("90", &ns), -EINVAL);
	assert_int_equal(parse_duration_ns("-1s", &ns), -EINVAL);
	assert_int_equal(parse_duration_ns("1 s", &ns), -EINVAL);
	assert_int_equal(parse_duration_ns("s", &ns), -EINVAL);
	assert_true(ns == 0);
	assert_int_equal(parse_bytes("16MiB", &bytes), 0);
	assert_true(bytes == 16777216);
	assert_int_equal(parse_bytes("4096", &bytes), 0);
	assert_int_equal(parse_bytes("2GB", &bytes), 0);
	assert_true(bytes == 2000000000);
	assert_int_equal(parse_bytes("16777216TiB", &bytes), -ERANGE);
	assert_int_equal(parse_bytes("1mib", &bytes), -EINVAL);
	assert_int_equal(parse_bytes("MiB", &bytes), -EINVAL);
	assert_true(bytes == 2000000000);
}

/* At every size too small: -ENOSPC, and not one byte past the end. */
static void test_json_never_overruns(void **state)
{
	char buffer[128], whole[128];
	struct json_writer w;
	int need = -1;

	(void)state;
	for (size_t size = sizeof(buffer) - 1; size != (size_t)-1; size--) {
		int r;

		memset(buffer, '#', sizeof(buffer));
		jw_begin(&w, buffer, size);
		jw_object_open(&w);
		jw_key_int64(&w, "a", INT64_MIN);
		jw_key(&w, "b");
		jw_array_open(&w);
		jw_bytes(&w, "q\"\\\x01\xff\x7f", 6);
		jw_hex(&w, "\x00\xff", 2);
		jw_object_open(&w);
		jw_object_close(&w);
		jw_bool(&w, true);
		jw_null(&w);
		jw_array_close(&w);
		jw_key_uint64(&w, "c", UINT64_MAX);
		jw_object_close(&w);
		r = jw_end(&w);
		assert_int_equal(buffer[size], '#');
		if (need < 0) {
			need = r;
			memcpy(whole, buffer, (size_t)r + 1);
		}
		assert_int_equal(r, size > (size_t)need ? need : -ENOSPC);
	}
	assert_string_equal(whole,
			    "{\"a\":-9223372036854775808,\"b\":[\"q\\\"\\\\\\u0001\xef\xbf\xbd"
			    "\\u007f\",\"00ff\",{},true,null],\"c\":18446744073709551615}");
}

/* Any bytes make a string that a strict reader takes; valid text comes back as it was. */
static void test_json_bytes_judged_by_jansson(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		for (unsigned second = 0; second < 256; second++) {
			char in[3] = { (char)first, (char)second, 'x' }, out[64];
			struct json_writer w;
			json_error_t error;
			json_t *back;
			int n;

			jw_begin(&w, out, sizeof(out));
			jw_bytes(&w, in, sizeof(in));
			n = jw_end(&w);
			back = json_loadb(out, (size_t)n,
					  JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
					  &error);
			if (!back)
				fail_msg("%02x %02x: %s", first, second, error.text);
			if (first < 0x80 && second < 0x80) {
				assert_int_equal(json_string_length(back), 3);
				assert_memory_equal(json_string_value(back), in, 3);
			}
			json_decref(back);
		}
	}
}

static void capture_log(char *out, size_t size)
{
	_cleanup_fd_ int kept = dup(STDERR_FILENO);
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	errno = ENOENT;
	log_error("bad id %s: %m", "a\nb<0>\x7f");
	log_debug("hidden %d", 1);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown %d", 2);
	log_set_level(LOG_LEVEL_INFO);
	assert_int_equal(errno, ENOENT);
	dup2(kept, STDERR_FILENO);
	n = read(ends[0], out, size - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	close(ends[0]);
}

static void test_log_lines(void **state)
{
	enum log_level level = LOG_LEVEL_INFO;
	char out[512];

	(void)state;
	capture_log(out, sizeof(out));
	assert_string_equal(out, "<3>bad id a?b<0>?: No such file or directory\n<7>shown 2\n");
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void test_cleanup_closes(void **state)
{
	int seen;

	(void)state;
	{
		_cleanup_fd_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_cleanup_free_ char *copy = strdup("x");

		seen = fd;
		assert_non_null(copy);
	}
	assert_int_equal(fcntl(seen, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_integers),
		cmocka_unit_test(test_parse_durations_and_sizes),
		cmocka_unit_test(test_json_never_overruns),
		cmocka_unit_test(test_json_bytes_judged_by_jansson),
		cmocka_unit_test(test_log_lines),
		cmocka_unit_test(test_cleanup_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
