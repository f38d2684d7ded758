/* SPDX-License-Identifier: GPL-2.0 */
/* Records from the running agent, or from the ledger where none runs: the same lines either way. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "core/record_json.h"

void place_defaults(struct place *place)
{
	place->state_dir = "/var/lib/oncpu";
	place->socket = "/run/oncpu/oncpu.sock";
	place->pin_dir = NULL;
}

static void add_selection(char *path, size_t size, const struct selection *s)
{
	char last[24];

	if (s->function)
		client_query(path, size, "function", s->function, strlen(s->function));
	if (s->id)
		client_query(path, size, "id", s->id, strlen(s->id));
	if (s->since)
		client_query(path, size, "since", s->since, strlen(s->since));
	if (s->last) {
		snprintf(last, sizeof(last), "%llu", s->last);
		client_query(path, size, "last", last, strlen(last));
	}
}

/* "15m" before now, RFC 3339 in UTC, or ns since the epoch. */
static int parse_since(const char *text, int64_t *ret_ns)
{
	struct timespec now;
	struct tm tm = {};
	int64_t value;
	char *rest;

	if (!parse_int64(text, 0, INT64_MAX, ret_ns))
		return 0;
	if (!parse_duration_ns(text, &value)) {
		clock_gettime(CLOCK_REALTIME, &now);
		*ret_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - value;
		return 0;
	}
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || (strcmp(rest, "Z") && *rest != '.'))
		return -EINVAL;
	*ret_ns = (int64_t)timegm(&tm) * 1000000000;
	return 0;
}

static int open_ledger(const struct place *place, const struct selection *s,
		       struct ledger_reader **ret_reader, struct ledger_query *ret_query)
{
	struct ledger_query q = { .function = s->function,
				  .id = s->id,
				  .id_len = s->id ? strlen(s->id) : 0,
				  .last = s->last };
	int error;

	if (s->since && parse_since(s->since, &q.since_realtime_ns)) {
		command_fail(
			"--since %s is no time (15m, 2026-01-31T12:00:00Z, or ns since the epoch)",
			s->since);
		return -EINVAL;
	}
	error = ledger_reader_open(place->state_dir, ret_reader);
	if (error == -ENOENT)
		command_fail(
			"no agent answers at %s, and there is no ledger in %s (start one: sudo "
			"oncpu agent; or name them: --socket, --state-dir)",
			place->socket, place->state_dir);
	else if (error)
		command_fail("%s", ledger_error());
	*ret_query = q;
	return error;
}

static void close_ledger(struct ledger_reader **reader)
{
	const char *damage = *reader ? ledger_reader_damage(*reader) : NULL;

	if (damage)
		fprintf(stderr, "oncpu: warning: %s\n", damage);
	ledger_reader_close(reader);
}

struct forward {
	line_fn visit;
	void *user;
};

static int forward_invocation(void *user, const struct invocation_record *record)
{
	struct forward *f = user;
	char line[RECORD_JSON_MAX];
	int n = invocation_record_json(record, line, sizeof(line));

	return n < 0 ? n : f->visit(f->user, line, (size_t)n);
}

static int forward_instance(void *user, const struct instance_record *record)
{
	struct forward *f = user;
	char line[RECORD_JSON_MAX];
	int n = instance_record_json(record, line, sizeof(line));

	return n < 0 ? n : f->visit(f->user, line, (size_t)n);
}

/* −ECONNREFUSED from the agent means the ledger; everything else has been said. */
static int from_agent(const struct place *place, const char *what, const struct selection *s,
		      line_fn visit, void *user)
{
	char path[1024];
	int error;

	snprintf(path, sizeof(path), "%s", what);
	add_selection(path, sizeof(path), s);
	error = client_lines(place->socket, path, visit, user);
	if (error == -EACCES)
		command_fail("%s: permission denied (use sudo, or be in its group)", place->socket);
	else if (error && error != -ECONNREFUSED && error != -EPROTO)
		command_fail("%s: %s", place->socket, strerror(-error));
	return error;
}

int source_invocations(const struct place *place, const struct selection *s, line_fn visit,
		       void *user)
{
	struct forward f = { visit, user };
	struct ledger_reader *reader = NULL;
	struct ledger_query q;
	int error = from_agent(place, "/v1/invocations", s, visit, user);

	if (error != -ECONNREFUSED)
		return error;
	error = open_ledger(place, s, &reader, &q);
	if (!error && (error = ledger_read_invocations(reader, &q, forward_invocation, &f)))
		command_fail("%s", ledger_error());
	close_ledger(&reader);
	return error;
}

int source_closed_instances(const struct place *place, const struct selection *s, line_fn visit,
			    void *user)
{
	struct forward f = { visit, user };
	struct ledger_reader *reader = NULL;
	struct ledger_query q;
	int error = from_agent(place, "/v1/closed-instances", s, visit, user);

	if (error != -ECONNREFUSED)
		return error;
	error = open_ledger(place, s, &reader, &q);
	if (!error && (error = ledger_read_instances(reader, &q, forward_instance, &f)))
		command_fail("%s", ledger_error());
	close_ledger(&reader);
	return error;
}

struct sums {
	int (*visit)(void *user, const struct ledger_sum *sum);
	void *user;
};

static int64_t number(const json_t *o, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(o, name));
}

static int sum_of_line(void *user, const char *line, size_t length)
{
	struct sums *s = user;
	json_t *o = json_loadb(line, length, 0, NULL), *policy;
	struct ledger_sum sum = {};
	const char *name;
	int error;

	if (!o)
		return -EPROTO;
	snprintf(sum.function, sizeof(sum.function), "%s",
		 json_string_value(json_object_get(o, "function")));
	sum.count = (uint64_t)number(o, "count");
	sum.cold_starts = (uint64_t)number(o, "cold_starts");
	sum.errors = (uint64_t)number(o, "errors");
	sum.timeouts = (uint64_t)number(o, "timeouts");
	sum.crashed = (uint64_t)number(o, "crashed");
	sum.flagged = (uint64_t)number(o, "flagged");
	sum.wall_ns = number(o, "wall_ns");
	sum.cpu_ns = number(o, "cpu_ns");
	sum.init_wall_ns = number(o, "init_wall_ns");
	sum.init_cpu_ns = number(o, "init_cpu_ns");
	sum.between_cpu_ns = number(o, "between_cpu_ns");
	sum.max_error_bound_ns = number(o, "max_error_bound_ns");
	json_object_foreach(json_object_get(o, "billed"), name, policy)
	{
		if (sum.billed_count == RECORD_MAX_BILLED)
			break;
		snprintf(sum.billed[sum.billed_count].policy, sizeof(sum.billed[0].policy), "%s",
			 name);
		sum.billed[sum.billed_count++].billed_ns = number(policy, "billed_ns");
	}
	error = s->visit(s->user, &sum);
	json_decref(o);
	return error;
}

int source_sums(const struct place *place, const struct selection *s,
		int (*visit)(void *user, const struct ledger_sum *sum), void *user)
{
	struct sums sums = { visit, user };
	struct ledger_reader *reader = NULL;
	struct ledger_query q;
	int error = from_agent(place, "/v1/compare", s, sum_of_line, &sums);

	if (error != -ECONNREFUSED)
		return error;
	error = open_ledger(place, s, &reader, &q);
	if (!error && (error = ledger_read_sums(reader, &q, visit, user)))
		command_fail("%s", ledger_error());
	close_ledger(&reader);
	return error;
}
