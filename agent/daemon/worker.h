/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The unprivileged half of the agent: reads the kernel's ring, correlates, stores, serves, and
 * parses whatever comes from outside. One thread, one epoll loop (and producers of long answers).
 */
#ifndef ONCPU_DAEMON_WORKER_H
#define ONCPU_DAEMON_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/config.h"

struct worker_options {
	const struct agent_config *config;
	const struct policies *policies; /* of the configuration */ /* borrowed */
	int socket;    /* to the attacher; owned from here on, like the next one */
	int listen_fd; /* of the API */
	int tcp_fd;    /* likewise, -1 = none; reached from this host only? */
	bool loopback;
	const struct digest_key *seal_key; /* of the ledger's chain; length 0 = none; borrowed */
	const char *token;		   /* that TCP clients must show, "" = none */
	uid_t uid;			   /* whom to become */
	gid_t gid;
	gid_t socket_group; /* as configured; -1 = it is not */
	pid_t agent_pid;    /* the attacher's */
	bool unpin;	    /* no event will follow a clean stop: give up on gaps then */
};

/* Runs until a signal or until the attacher is gone. The process's exit code. */
int worker_run(const struct worker_options *options);

#endif
