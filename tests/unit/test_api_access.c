// SPDX-License-Identifier: GPL-2.0
/* Who may ask, and which members of a record are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/access.h"
#include "api/fields.h"
#include "core/record_json.h"

#define TOKEN "0123456789abcdef"

static void test_access_host(void **state)
{
	static const char *const here[] = { "localhost",       "LocalHost:80", "127.0.0.1",
					    "127.9.8.7:65535", "[::1]",	       "[::1]:9464" };
	static const char *const elsewhere[] = { "",
						 "evil.example",
						 "localhost.evil.example",
						 "127.0.0.1.evil.example",
						 "127.0.0.1:",
						 "127.0.0.1:80a",
						 "127.0.0.1:80:80",
						 "localhost:",
						 "localhost evil",
						 "128.0.0.1",
						 "::1",
						 "[::2]",
						 "[::1",
						 "[::1]x",
						 "127.1",
						 "0x7f.0.0.1",
						 "localhost@evil.example" };

	(void)state;
	for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
		if (!access_host_is_loopback(here[i]))
			fail_msg("refused: %s", here[i]);
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (access_host_is_loopback(elsewhere[i]))
			fail_msg("let in: %s", elsewhere[i]);
}

static void test_access_token(void **state)
{
	(void)state;
	assert_true(access_token_fits(TOKEN, "Bearer " TOKEN));
	assert_true(access_token_fits(TOKEN, "bearer " TOKEN));
	assert_false(access_token_fits(TOKEN, NULL));
	assert_false(access_token_fits(TOKEN, ""));
	assert_false(access_token_fits(TOKEN, "Bearer"));
	assert_false(access_token_fits(TOKEN, "Bearer "));
	assert_false(access_token_fits(TOKEN, TOKEN));
	assert_false(access_token_fits(TOKEN, "Basic " TOKEN));
	assert_false(access_token_fits(TOKEN, "Bearer 0123456789abcdee"));
	assert_false(access_token_fits(TOKEN, "Bearer 0123456789abcde"));
	assert_false(access_token_fits(TOKEN, "Bearer " TOKEN "0"));
	assert_false(access_token_fits(TOKEN, "Bearer " TOKEN TOKEN)); /* goes round the token */
	assert_false(access_token_fits("", "Bearer x"));
}

static int read_token(const char *text, mode_t mode, char token[ACCESS_TOKEN_LEN], char *error)
{
	char path[] = "/tmp/oncpu-token-XXXXXX";
	int fd = mkstemp(path), err;

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fchmod(fd, mode);
	close(fd);
	err = access_token_read(path, token, error);
	unlink(path);
	return err;
}

static void test_access_token_file(void **state)
{
	char token[ACCESS_TOKEN_LEN] = "kept", error[ACCESS_ERROR_LEN],
	     longest[ACCESS_TOKEN_LEN + 1];

	(void)state;
	assert_int_equal(read_token("short\n", 0600, token, error), -EINVAL);
	assert_int_equal(read_token("with a blank in the midst\n", 0600, token, error), -EINVAL);
	assert_int_equal(read_token("0123456789abcd\xc3\xa9x", 0600, token, error), -EINVAL);
	assert_int_equal(read_token(TOKEN "\n", 0644, token, error), -EPERM);
	assert_non_null(strstr(error, "chmod 600"));
	memset(longest, 'x', sizeof(longest));
	longest[ACCESS_TOKEN_LEN] = '\0';
	assert_int_equal(read_token(longest, 0600, token, error), -EINVAL);
	assert_int_equal(access_token_read("/nowhere/at/all", token, error), -ENOENT);
	assert_int_equal(access_token_read("/tmp", token, error), -EPERM);
	assert_string_equal(token, "kept");
	longest[ACCESS_TOKEN_LEN - 1] = '\0';
	assert_int_equal(read_token(longest, 0600, token, error), 0);
	assert_string_equal(token, longest);
	assert_int_equal(read_token(TOKEN "\r\nmore\n", 0640, token, error), 0);
	assert_string_equal(token, TOKEN);
}

static void expect_pick(const char *line, const char *fields, const char *wanted)
{
	char copy[512];
	size_t n = strlen(line);

	memcpy(copy, line, n + 1);
	n = fields_pick(copy, n, fields);
	copy[n] = '\0';
	assert_string_equal(copy, wanted);
}

static void test_fields_pick(void **state)
{
	const char *line =
		"{\"a\":1,\"b\":\"x,\\\"}{\\\\\",\"c\":{\"a\":[1,{\"d\":2}],\"e\":\"]\"},\"d\":[],"
		"\"ab\":null}";

	(void)state;
	expect_pick(line, ",a,", "{\"a\":1}");
	expect_pick(line, ",ab,b,", "{\"b\":\"x,\\\"}{\\\\\",\"ab\":null}");
	expect_pick(line, ",c,d,", "{\"c\":{\"a\":[1,{\"d\":2}],\"e\":\"]\"},\"d\":[]}");
	expect_pick(line, ",e,", "{}");
	expect_pick(line, ",a,b,c,d,ab,", line);
	expect_pick("{}", ",a,", "{}");
}

/* Against jansson: every member of a record, alone, is what it was. */
static void test_fields_of_a_record(void **state)
{
	struct invocation_record record = { .function = "a\"},{\\",
					    .id = "\x01\"",
					    .id_len = 2,
					    .continues = "\x02",
					    .continues_len = 1,
					    .status = 77,
					    .marks_lost = 3,
					    .events_lost = 4,
					    .seal = { .position = 5, .hash = { 6 } } };
	char line[RECORD_JSON_MAX], copy[RECORD_JSON_MAX], fields[FIELDS_LEN], unknown[33];
	int n = invocation_record_json(&record, line, sizeof(line));
	json_t *whole = json_loadb(line, (size_t)n, 0, NULL), *value;
	const char *name;

	(void)state;
	assert_non_null(whole);
	json_object_foreach(whole, name, value)
	{
		json_t *one;
		size_t m;

		assert_int_equal(fields_parse(name, fields, unknown), 0);
		memcpy(copy, line, (size_t)n);
		m = fields_pick(copy, (size_t)n, fields);
		one = json_loadb(copy, m, 0, NULL);
		if (!one || json_object_size(one) != 1 ||
		    !json_equal(json_object_get(one, name), value))
			fail_msg("%s: %.*s", name, (int)m, copy);
		json_decref(one);
	}
	json_decref(whole);
}

static void test_fields_parse(void **state)
{
	static const char *const wrong[] = {
		"",	   ",",	 "a",	 "id,",	 ",id",		  "id,,end",
		"id, end", "Id", "wall", "id\"", "schema,no_such"
	};
	char fields[FIELDS_LEN] = "kept", unknown[33], longest[FIELDS_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (fields_parse(wrong[i], fields, unknown) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
	assert_string_equal(unknown, "no_such");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(fields_parse(longest, fields, unknown), -EINVAL);
	assert_string_equal(fields, "kept");
	assert_int_equal(fields_parse("record_id,id_hex,events_lost", fields, unknown), 0);
	assert_string_equal(fields, ",record_id,id_hex,events_lost,");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access_host),	   cmocka_unit_test(test_access_token),
		cmocka_unit_test(test_access_token_file),  cmocka_unit_test(test_fields_pick),
		cmocka_unit_test(test_fields_of_a_record), cmocka_unit_test(test_fields_parse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
