// SPDX-License-Identifier: GPL-2.0
/* The manual knows every field, flag, key and option, and no text of ours becomes a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/manual.h"
#include "cli/roff.h"
#include "core/record_json.h"
#include "daemon/config.h"

static const char *help_of(const struct manual_field *field, const char *path)
{
	for (; field->path; field++)
		if (!strcmp(field->path, path))
			return field->help;
	return NULL;
}

/* Each key of the object, with its parents, has its line. Counts them. */
static size_t compare_keys(const struct manual_field *fields, json_t *object, const char *prefix)
{
	const char *key;
	size_t n = 0, i;
	json_t *value, *element;
	char path[128];

	json_object_foreach(object, key, value)
	{
		bool policy = !strcmp(prefix, "billed.");

		snprintf(path, sizeof(path), "%s%s", prefix, policy ? "POLICY" : key);
		if (!help_of(fields, path))
			fail_msg("the manual lacks %s", path);
		n++;
		snprintf(path + strlen(path), sizeof(path) - strlen(path), ".");
		n += compare_keys(fields, value, path);
		json_array_foreach(value, i, element) n += compare_keys(fields, element, path);
	}
	return n;
}

static void test_record_fields(void **state)
{
	static struct invocation_record r;
	static struct instance_record instance = { .audits = 1, .marks_lost = 1, .events_lost = 1 };
	char text[RECORD_JSON_MAX];
	json_t *root;

	(void)state;
	r.status = -1;
	r.seal.position = instance.seal.position = 1;
	r.id_len = r.continues_len = r.extensions[0].name_len = 1; /* a NUL: no text */
	r.marks_lost = r.events_lost = 1;
	r.doubt.cause[0] = 'c';
	r.segment_count = r.extension_count = r.billed_count = 1;
	snprintf(r.billed[0].policy, sizeof(r.billed[0].policy), "aws-lambda");
	r.billed[0].billed_ns = 1000000;
	assert_true(invocation_record_json(&r, text, sizeof(text)) > 0);
	root = json_loads(text, JSON_ALLOW_NUL, NULL);
	assert_non_null(root);
	assert_true(compare_keys(manual_invocation_fields, root, "") > 60);
	json_decref(root);
	assert_true(instance_record_json(&instance, text, sizeof(text)) > 0);
	root = json_loads(text, 0, NULL);
	assert_true(compare_keys(manual_instance_fields, root, "") > 24);
	json_decref(root);
}

static void config_key(void *user, const char *section, const char *key, const char *value,
		       const char *help)
{
	if (!value || !help)
		fail_msg("[%s] %s has no prose for the manual", section, key);
	++*(size_t *)user;
}

static void test_config_keys(void **state)
{
	size_t keys = 0;

	(void)state;
	config_describe(config_key, &keys);
	assert_true(keys >= 25);
}

static char *page_of(const char *name)
{
	char *page;
	size_t size;
	FILE *f = open_memstream(&page, &size);

	assert_int_equal(manual_write(name, f), 0);
	fclose(f);
	return page;
}

static void test_pages(void **state)
{
	const char *name;
	size_t n = 0, i = 0;

	(void)state;
	for (; (name = manual_name(n)); n++) {
		char *page = page_of(name);

		assert_non_null(strstr(page, "\n.SH NAME\n"));
		assert_non_null(strstr(page, "\n.SH SEE ALSO\n"));
		free(page);
	}
	while (commands[i])
		i++;
	assert_int_equal(n, i + 4);
	for (i = 0; commands[i]; i++) {
		char file[64], *page;

		snprintf(file, sizeof(file), "oncpu-%s.%d", commands[i]->name,
			 commands[i]->section);
		page = page_of(file);
		for (const struct command_option *o = commands[i]->options; o->name; o++) {
			char tag[96] = ".TP\n\\fB\\-\\-";

			for (const char *c = o->name; *c; c++)
				snprintf(tag + strlen(tag), sizeof(tag) - strlen(tag), "%s%c",
					 *c == '-' ? "\\" : "", *c);
			snprintf(tag + strlen(tag), sizeof(tag) - strlen(tag), "\\fR");
			if (!!strstr(page, tag) != !!o->help)
				fail_msg("%s and --%s", file, o->name);
		}
		free(page);
	}
	assert_int_equal(manual_write("oncpu-xyzzy.1", stdout), -ENOENT);
}

static void expect_roff(const char *prose, const char *wanted)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	roff_prose(prose, f);
	fclose(f);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_roff(void **state)
{
	(void)state;
	expect_roff(".SH not a heading", "\\&.SH not a heading\n");
	expect_roff("'br \\ back", "\\&\\(aqbr \\e back\n");
	expect_roff("--json 3.2\xc3\x97", "\\-\\-json 3.2\\[u00D7]\n");
	expect_roff("one\n\ntwo", "one\n.PP\ntwo\n");
	expect_roff("a list:\n\n  .one\n  two\n\n  three\n\nend",
		    "a list:\n.PP\n.RS 4\n.nf\n\\&.one\ntwo\n\\&\nthree\n.fi\n.RE\n.PP\nend\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_fields),
		cmocka_unit_test(test_config_keys),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_roff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
