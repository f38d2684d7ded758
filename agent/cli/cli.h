/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands share. Each returns the process's exit code: 0, 1 = failed, 2 = misused. */
#ifndef ONCPU_CLI_H
#define ONCPU_CLI_H

#include <stddef.h>

#include <jansson.h>

#include "ledger/ledger.h"

struct command {
	const char *name, *summary, *usage; /* usage: the text of `oncpu help NAME` */
	int (*run)(int argc, char **argv);
};
const struct command *command_find(const char *name);
/* The nearest of a list of names, or NULL. */
const char *command_nearest(const char *name);
/* Prints what getopt refused, with the way to the help; returns 2. */
int command_misused(const char *command, int argc, char **argv);
__attribute__((format(printf, 1, 2))) int command_fail(const char *format, ...); /* returns 1 */

int command_agent(int argc, char **argv);
int command_unpin(int argc, char **argv);
int command_invocations(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_instances(int argc, char **argv);
int command_measure(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_run(int argc, char **argv);
int command_invoke(int argc, char **argv);
int command_logs(int argc, char **argv);

/* Where an agent and its ledger are. */
struct place {
	const char *state_dir, *socket, *pin_dir;
};
void place_defaults(struct place *place);

/*
 * Lines of JSON from a running agent, which brings its books up to date first. `path` is the
 * request's, query included. Each line (NUL-terminated) goes to `visit`; non-zero stops.
 * 0; -ECONNREFUSED: no agent there; -EPROTO with the agent's own words on stderr; -errno.
 */
typedef int (*line_fn)(void *user, const char *line, size_t length);
int client_lines(const char *socket, const char *path, line_fn visit, void *user);
/* Appends NAME=VALUE, percent-encoded, with '?' or '&' before it. */
void client_query(char *path, size_t size, const char *name, const char *value, size_t length);

/* The same lines from the agent, or from the ledger where no agent runs. */
struct selection {
	const char *function, *id, *since;
	unsigned long long last; /* 0 = all */
};
int source_invocations(const struct place *place, const struct selection *s, line_fn visit,
		       void *user);
int source_closed_instances(const struct place *place, const struct selection *s, line_fn visit,
			    void *user);
int source_sums(const struct place *place, const struct selection *s,
		int (*visit)(void *user, const struct ledger_sum *sum), void *user);

#endif
