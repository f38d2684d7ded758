/* SPDX-License-Identifier: GPL-2.0 */
/*
 * `oncpu agent`: locks the state directory, then runs as two processes, the attacher (privileged,
 * this one) and the worker (not).
 */
#ifndef ONCPU_DAEMON_AGENT_H
#define ONCPU_DAEMON_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ONCPU_VERSION
#define ONCPU_VERSION "0.1.0"
#endif
#define ONCPU_RELEASE_DATE "2026-11-25" /* of that version; stands in the manual */

/* What the command line says goes before what the file says. NULL, "" and 0 = not said. */
struct agent_options {
	const char *config; /* NULL = /etc/oncpu/oncpu.conf, if there is one */
	const char *state_dir;
	const char *socket, *socket_group;
	const char *listen, *token_file;
	const char *pin_dir; /* NULL = /sys/fs/bpf/oncpu, or one derived from state_dir */
	const char *user;
	const char *without; /* kern_parse_without's list */
	const char *host;
	const char *log_level; /* "error", "warning", "info", "debug" */
	uint32_t max_instances, max_threads, ring_bytes;
	uint64_t reorder_ms;
	bool irq;     /* as the configuration's irq = on */
	bool unpin;   /* remove the pins at a clean stop: accounting ends with the agent */
	int ready_fd; /* gets one byte when ready, then is closed; -1 = none */
};

/* Runs until stopped. The process's exit code; every failure has been logged in one line. */
int agent_run(const struct agent_options *options);

/* `oncpu unpin`: removes the pins that an agent has left, unless one runs. Likewise. */
int agent_unpin(const struct agent_options *options);

#endif
