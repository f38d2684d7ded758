/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu: one binary, a table of commands (commands.c). */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/help.h"
#include "daemon/agent.h"

static int help(const char *name)
{
	const struct command *c = command_find(name);

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
		return argc > 2 ? help(argv[2]) : (help_overview(stdout), 0);
	c = command_find(argv[1]);
	if (!c) {
		near = command_nearest(argv[1]);
		fprintf(stderr, "oncpu: there is no command %s%s%s%s (see: oncpu help)\n", argv[1],
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		return 2;
	}
	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
		return help(argv[1]);
	return c->run(argc - 1, argv + 1);
}
