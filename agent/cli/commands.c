/* SPDX-License-Identifier: GPL-2.0 */
/* The table of commands, and the parser that their declarations drive. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "daemon/config.h"

const struct command *const commands[] = {
	&agent_command,	    &unpin_command,	  &top_command,
	&functions_command, &invocations_command, &compare_command,
	&price_command,	    &forecast_command,	  &export_command,
	&policies_command,  &instances_command,	  &measure_command,
	&run_command,	    &invoke_command,	  &logs_command,
	&verify_command,    &doctor_command,	  NULL,
};

enum {
	COMMANDS = sizeof(commands) / sizeof(commands[0]) - 1,
	OPTIONS_MAX = 64, /* of a command */
};

const struct command *command_find(const char *name)
{
	for (int i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

const char *command_nearest(const char *name)
{
	const char *names[COMMANDS + 1] = { NULL }, *found;
	size_t best = 0;

	for (int i = 0; i < COMMANDS; i++)
		names[i] = commands[i]->name;
	found = config_nearest(name, names);
	for (int i = 0; i < COMMANDS && !found; i++) {
		size_t same = 0;

		while (name[same] && name[same] == commands[i]->name[same])
			same++;
		if (same > best) {
			best = same;
			found = commands[i]->name;
		}
	}
	return found;
}

int command_next(const struct command *command, int argc, char **argv)
{
	struct option options[OPTIONS_MAX + 1] = { { NULL, 0, NULL, 0 } };
	size_t n = 0;

	for (const struct command_option *o = command->options; o->name && n < OPTIONS_MAX; o++)
		options[n++] =
			(struct option){ o->name, o->argument ? required_argument : no_argument,
					 NULL, o->value };
	opterr = 0;
	return getopt_long(argc, argv, command->rest_is_program ? "+" : "", options, NULL);
}

const struct command_option *command_option_of(const struct command *command, int value)
{
	for (const struct command_option *o = command->options; o->name; o++)
		if (o->value == value)
			return o;
	return NULL;
}

/* The option of a command that is nearest, or NULL. */
static const char *option_nearest(const char *command, const char *option)
{
	const struct command *c = command_find(command);
	const char *names[OPTIONS_MAX + 1] = { NULL };
	size_t n = 0;

	for (const struct command_option *o = c ? c->options : NULL; o && o->name; o++)
		if (o->help && n < OPTIONS_MAX)
			names[n++] = o->name;
	return config_nearest(option, names);
}

int command_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("oncpu: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return 1;
}

int command_misused(const char *command, int argc, char **argv)
{
	const char *what = optind > 0 && optind <= argc ? argv[optind - 1] : "", *near = NULL;
	int name = (int)strcspn(what, "=");
	char word[64];

	snprintf(word, sizeof(word), "%.*s", name, what);
	fprintf(stderr, "oncpu %s: ", command);
	if (strncmp(what, "--", 2) != 0)
		fprintf(stderr, "-%c is no option", optopt);
	else if (optopt && what[name]) /* getopt_long knows it: so its value is the trouble */
		fprintf(stderr, "%s takes no value", word);
	else if (optopt)
		fprintf(stderr, "%s lacks its value", word);
	else if ((near = option_nearest(command, word + 2)))
		fprintf(stderr, "there is no option %s, did you mean --%s?", word, near);
	else
		fprintf(stderr, "there is no option %s", word);
	fprintf(stderr, " (see: oncpu help %s)\n", command);
	return 2;
}
