/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu: one binary, a table of commands (commands.c). */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "daemon/agent.h"

/* --man PAGE, --man alone for the pages' names, --completion SHELL: for the build. */
static int help_file(int argc, char **argv)
{
	const char *name;

	if (!strcmp(argv[0], "--completion") && argc == 2)
		return completion_write(argv[1], stdout)
			       ? command_fail("there is completion for bash and zsh") + 1
			       : 0;
	if (strcmp(argv[0], "--man") != 0 || argc > 2)
		return command_fail("help takes a command (see: oncpu help)"), 2;
	for (size_t i = 0; argc == 1 && (name = manual_name(i)); i++)
		puts(name);
	if (argc == 2 && manual_write(argv[1], stdout))
		return command_fail("there is no page %s (see: oncpu help --man)", argv[1]), 2;
	return 0;
}

static int help(int argc, char **argv)
{
	const char *name = argv[0];
	const struct command *c = command_find(name);

	if (name[0] == '-')
		return help_file(argc, argv);
	if (!c)
		return command_fail("there is no command %s (see: oncpu help)", name), 2;
	help_command(c, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	const struct command *c;
	const char *near;

	if (argc < 2)
		return help_overview(stderr), 2;
	if (!strcmp(argv[1], "--version"))
		return printf("oncpu %s\n", ONCPU_VERSION) < 0;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return argc > 2 ? help(argc - 2, argv + 2) : (help_overview(stdout), 0);
	c = command_find(argv[1]);
	if (!c) {
		near = command_nearest(argv[1]);
		fprintf(stderr, "oncpu: there is no command %s%s%s%s (see: oncpu help)\n", argv[1],
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		return 2;
	}
	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
		return help(1, argv + 1);
	return c->run(argc - 1, argv + 1);
}
