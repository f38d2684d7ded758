/* SPDX-License-Identifier: GPL-2.0 */
/* `oncpu help`: pages for the terminal, from the commands' declarations (command.h). */
#ifndef ONCPU_CLI_HELP_H
#define ONCPU_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

void help_overview(FILE *to);
void help_command(const struct command *command, FILE *to);
/* One form of the command, without "oncpu NAME": visits each piece that no line may break. */
void help_synopsis(const struct command *command,
		   void (*piece)(void *user, const char *text, bool line_begins), void *user);

#endif
