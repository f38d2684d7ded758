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

/* What policies bill, the lines of ledger/compare.h. With a file of policies of the caller's own
 * the ledger is read here, after an agent that runs has stored what has happened. */
struct pricing {
	const char *policies; /* a file, or NULL */
	const char *host;     /* the host's own policy in it, or NULL */
	char names[1024];     /* of policies, with commas between; "" = the default */
};
/* Adds one --policy's names. -EINVAL: too many. */
int pricing_add(struct pricing *pricing, const char *names);
int source_compare(const struct place *place, const struct selection *s,
		   const struct pricing *pricing, line_fn visit, void *user);
/* The ledger's reader itself, brought up to date by the agent if one runs. 0, or -errno: it has
 * been said. */
int source_ledger(const struct place *place, const struct selection *s,
		  struct ledger_reader **ret_reader, struct ledger_query *ret_query);
void source_ledger_close(struct ledger_reader **reader); /* warns of damage that was met */
/* The policies of a pricing; NULL after an error, which has been said. Free with policies_free. */
struct policies *pricing_policies(const struct pricing *pricing);
/* Likewise, but those of a running agent where no file is named. */
struct policies *source_policies(const struct place *place, const struct pricing *pricing);

#endif
