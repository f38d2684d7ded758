/* SPDX-License-Identifier: GPL-2.0 */
/* `oncpu invocations --follow`: the agent's /v1/events, across its restarts, each record once. */
#ifndef ONCPU_CLI_FOLLOW_H
#define ONCPU_CLI_FOLLOW_H

#include "cli/cli.h"

/*
 * Visits first what `s` selects by last or since (neither: nothing), then each invocation's record
 * as it ends, until SIGINT or SIGTERM (0), a visit's result but 0 (that result), or a failure that
 * asking again does not cure (-errno, told on stderr). An agent must run when it begins.
 */
int follow_invocations(const struct place *place, const struct selection *s, bool all,
		       line_fn visit, void *user);

#endif
