/* SPDX-License-Identifier: GPL-2.0 */
/* An agent for a command that needs one: the running one, or one of our own that ends with us. */
#ifndef ONCPU_CLI_COMPANION_H
#define ONCPU_CLI_COMPANION_H

#include <sys/types.h>

#include "cli/cli.h"

struct companion {
	char pin_dir[256]; /* of the agent, for boundaries */
	pid_t pid;	   /* our own agent; 0 = one was running */
};

/* 0, or 1 with one line said. */
int companion_find(struct companion *c, const struct place *place);
void companion_stop(struct companion *c);

#endif
