/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands share: where to ask, and the records that are the answer. */
#ifndef ONCPU_CLI_H
#define ONCPU_CLI_H

#include <stddef.h>

#include <jansson.h>

#include "cli/command.h"
#include "ledger/ledger.h"

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
