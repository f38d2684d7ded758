// SPDX-License-Identifier: GPL-2.0
/* What the commands declare of themselves: whole, without doubles, and as the parsers know it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/format.h"
#include "cli/help.h"
#include "slicer/slicer.h"

static void test_commands_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i]; i++) {
		const struct command *c = commands[i];

		if (!c->name || !c->summary || !c->options || !c->run)
			fail_msg("command %zu lacks something", i);
		if (c->section != 1 && c->section != 8)
			fail_msg("%s has no section of the manual", c->name);
		if (strlen(c->summary) > 80)
			fail_msg("%s: the summary is longer than a line", c->name);
		assert_ptr_equal(command_find(c->name), c);
		for (const struct command_option *o = c->options; o->name; o++) {
			if (o->value <= 0 || o->value == '?')
				fail_msg("%s --%s has no value of its own", c->name, o->name);
			for (const struct command_option *p = c->options; p < o; p++)
				if (p->value == o->value || !strcmp(p->name, o->name))
					fail_msg("%s: --%s and --%s are one", c->name, p->name,
						 o->name);
		}
	}
	assert_null(command_find("xyzzy"));
}

static void test_commands_parse_what_they_declare(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i]; i++) {
		for (const struct command_option *o = commands[i]->options; o->name; o++) {
			char dashed[64], value[] = "value", name[] = "oncpu";
			char *argv[] = { name, dashed, o->argument ? value : NULL, NULL };

			snprintf(dashed, sizeof(dashed), "--%s", o->name);
			optind = 0;
			assert_int_equal(command_next(commands[i], o->argument ? 3 : 2, argv),
					 o->value);
			if (o->argument)
				assert_string_equal(optarg, "value");
			assert_int_equal(command_next(commands[i], o->argument ? 3 : 2, argv), -1);
		}
	}
}

static void test_run_has_every_property(void **state)
{
	const struct command *run = command_find("run");

	(void)state;
	for (size_t p = 0; slicer_function_properties[p]; p++) {
		const struct command_option *o = run->options;

		while (o->name && strcmp(o->name, slicer_function_properties[p]) != 0)
			o++;
		/* the command stands after "--" */
		if (!o->name && strcmp(slicer_function_properties[p], "command") != 0)
			fail_msg("oncpu run has no --%s", slicer_function_properties[p]);
	}
}

static char *page_of(const struct command *command)
{
	char *page;
	size_t size;
	FILE *f = open_memstream(&page, &size);

	help_command(command, f);
	fclose(f);
	return page;
}

/* Each option is told of, no line is wider than a terminal, none ends in spaces. */
static void test_help_pages(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i]; i++) {
		char *page = page_of(commands[i]), *line, *rest = page;

		for (const struct command_option *o = commands[i]->options; o->name; o++) {
			char dashed[64];

			snprintf(dashed, sizeof(dashed), "\n  --%s ", o->name);
			if (o->help && !strstr(page, dashed))
				fail_msg("help %s does not tell of --%s", commands[i]->name,
					 o->name);
			if (!o->help && strstr(page, dashed))
				fail_msg("help %s tells of --%s", commands[i]->name, o->name);
		}
		while ((line = strsep(&rest, "\n"))) {
			size_t n = strlen(line);

			if (format_width(line) > 90)
				fail_msg("help %s is too wide: %s", commands[i]->name, line);
			if (n && isspace((unsigned char)line[n - 1]))
				fail_msg("help %s ends a line with spaces: \"%s\"",
					 commands[i]->name, line);
		}
		free(page);
	}
}

static void test_help_wraps(void **state)
{
	static const struct command_option options[] = {
		{ "one", 1, NULL, "first" },
		{ "a-rather-long-name-of-an-option", 2, "FILE",
		  "words that go on until they no longer fit into what is left of the line "
		  "(none)" },
		{ "hidden", 3, NULL, NULL },
		OPTIONS_END,
	};
	static const struct command command = {
		.name = "example",
		.summary = "an example",
		.options = options,
		.arguments = "NAME",
		.description = "A paragraph.\n\n  a list\n  of lines\n\nAnother.",
	};
	char *page = page_of(&command);

	(void)state;
	assert_string_equal(
		page,
		"an example\n\nusage:\n"
		"  oncpu example [--one] [--a-rather-long-name-of-an-option FILE] NAME\n\n"
		"A paragraph.\n\n  a list\n  of lines\n\nAnother.\n\noptions:\n"
		"  --one                   first\n"
		"  --a-rather-long-name-of-an-option FILE\n"
		"                          words that go on until they no longer fit into what is\n"
		"                          left of the line (none)\n");
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_are_whole),
		cmocka_unit_test(test_commands_parse_what_they_declare),
		cmocka_unit_test(test_run_has_every_property),
		cmocka_unit_test(test_help_pages),
		cmocka_unit_test(test_help_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
