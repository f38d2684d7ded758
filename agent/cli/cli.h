/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands share: where to ask, and the records that are the answer. */
#ifndef ONCPU_CLI_H
#define ONCPU_CLI_H

#include <signal.h>
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
/* By which a signal's handler ends an answer that is being read, or that will be. */
struct client_cancel {
	volatile sig_atomic_t requested, fd; /* fd: the connection + 1, 0 = none */
};
void client_cancel(struct client_cancel *cancel); /* async-signal-safe */

/*
 * The same for those who hold on: -ENODATA: the agent ended before it answered; -ECONNRESET: the
 * answer broke off; -ETIMEDOUT: nothing came for timeout_s; -ECANCELED.
 */
struct client {
	const char *socket;
	const char *header;			   /* one more line of the request, or NULL */
	unsigned timeout_s;			   /* 0 = wait for ever */
	void (*say)(void *user, const char *text); /* lines for a person; NULL = to stderr */
	void *say_user;
	struct client_cancel *cancel; /* or NULL */
};
int client_get(const struct client *client, const char *path, line_fn visit, void *user);
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
/* Takes an option that says where to read, what of it and by whose policies: --state-dir, --socket,
 * --function, --since, --policies, --host-policy (without a pricing not the last two). False: it is
 * another one. The value is borrowed. */
bool source_option(int option, const char *value, struct place *place, struct selection *s,
		   struct pricing *pricing);
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

/* What each function has done, and what of it runs now (known only while an agent runs). */
struct function_line {
	struct ledger_sum sum;
	bool running_known;
	uint64_t instances_open, in_invocation;
	int64_t memory_mb; /* -1 = not known */
	char last_end[40]; /* RFC 3339; "" = not known */
};
typedef int (*function_fn)(void *user, const struct function_line *line);
int function_line_of(const char *line, size_t length, struct function_line *ret_line);
int source_functions(const struct place *place, const struct selection *s, function_fn visit,
		     void *user);
/* "15m" before now, RFC 3339 in UTC, or ns since the epoch. 0, -EINVAL. */
int source_since(const char *text, int64_t *ret_ns);
/* Under one policy; 0 where it is not in there. */
int64_t source_billed(const struct ledger_sum *sum, const char *policy);

#endif
