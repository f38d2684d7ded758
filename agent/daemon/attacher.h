/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The privileged half of the agent: loads, pins, attaches, continues. It has no network, parses
 * nothing that came from outside and answers fixed-size requests of the worker, one at a time
 * (attacher_protocol.h).
 */
#ifndef ONCPU_DAEMON_ATTACHER_H
#define ONCPU_DAEMON_ATTACHER_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/config.h"

struct attacher_options {
	const struct agent_config *config; /* borrowed, trusted */
	int socket;			   /* owned from here on */
	pid_t worker;			   /* our child; waited for */
	int ready_fd;			   /* owned; gets one byte when ready; -1 = none */
};

/*
 * Serves until the worker is gone. The exit code of the agent: the worker's own, or 1.
 * *ret_abortive: the pins are ours and it never came to be ready, so that they should go again.
 */
int attacher_run(const struct attacher_options *options, bool *ret_abortive);

#endif
