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
#include "daemon/config.h"
#include "ledger/compare.h"

void place_defaults(struct place *place)
{
	place->state_dir = "/var/lib/oncpu";
	place->socket = "/run/oncpu/oncpu.sock";
	place->pin_dir = NULL;
}

bool source_option(int option, const char *value, struct place *place, struct selection *s,
		   struct pricing *pricing)
{
	const char **to = option == 's'		     ? &place->state_dir
			  : option == 'S'	     ? &place->socket
			  : option == 'f'	     ? &s->function
			  : option == 't'	     ? &s->since
			  : pricing && option == 'F' ? &pricing->policies
			  : pricing && option == 'H' ? &pricing->host
						     : NULL;

	if (to)
		*to = value;
	return to;
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

int source_since(const char *text, int64_t *ret_ns)
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

	if (s->since && source_since(s->since, &q.since_realtime_ns)) {
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
	char path[3072];
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

/* ---- what policies bill ---- */

int pricing_add(struct pricing *pricing, const char *names)
{
	size_t used = strlen(pricing->names);
	int n = snprintf(pricing->names + used, sizeof(pricing->names) - used, "%s%s",
			 used ? "," : "", names);

	return n < 0 || (size_t)n >= sizeof(pricing->names) - used ? -EINVAL : 0;
}

struct policies *pricing_policies(const struct pricing *pricing)
{
	char error[CONFIG_ERROR_LEN] = "out of memory";
	struct policies *set = NULL;

	if (config_policies(pricing->policies, pricing->host, &set, error))
		command_fail("%s", error);
	return set;
}

static int take_policies(void *user, const char *line, size_t length)
{
	char error[POLICY_ERROR_LEN], host[POLICY_NAME_LEN] = "";
	json_t *o = json_loadb(line, length, 0, NULL);
	const char *name = json_string_value(json_object_get(o, "host"));

	snprintf(host, sizeof(host), "%s", name ? name : "");
	json_decref(o);
	if (*(struct policies **)user)
		return -EPROTO; /* one answer has one line */
	return policies_parse("the agent's policies", line, length, *host ? host : NULL, user,
			      error)
		       ? -EPROTO
		       : 0;
}

struct policies *source_policies(const struct place *place, const struct pricing *pricing)
{
	struct policies *set = NULL;
	int error;

	if (pricing->policies || pricing->host)
		return pricing_policies(pricing);
	error = client_lines(place->socket, "/v1/policies", take_policies, &set);
	if (error == -ECONNREFUSED)
		return pricing_policies(pricing);
	if (error == -EACCES)
		command_fail("%s: permission denied (use sudo, or be in its group)", place->socket);
	else if (error && error != -EPROTO)
		command_fail("%s: %s", place->socket, strerror(-error));
	if (error)
		policies_free(&set);
	return set;
}

static int skip_line(void *unused, const char *line, size_t length)
{
	(void)unused, (void)line, (void)length;
	return 0;
}

int source_ledger(const struct place *place, const struct selection *s,
		  struct ledger_reader **ret_reader, struct ledger_query *ret_query)
{
	/* any answer comes after the agent has stored what has happened */
	int error = client_lines(place->socket, "/v1/health", skip_line, NULL);

	if (error && error != -ECONNREFUSED)
		fprintf(stderr,
			"oncpu: warning: the agent at %s did not store the latest first: %s\n",
			place->socket, strerror(-error));
	return open_ledger(place, s, ret_reader, ret_query);
}

void source_ledger_close(struct ledger_reader **reader)
{
	close_ledger(reader);
}

static int compare_here(const struct place *place, const struct selection *s,
			const struct pricing *pricing, line_fn visit, void *user)
{
	struct policies *set = pricing_policies(pricing);
	struct ledger_reader *reader = NULL;
	struct comparison c = { .set = set };
	char cause[POLICY_ERROR_LEN];
	struct timespec now;
	int error = set ? 0 : -EINVAL;

	if (!error && (error = compare_choose(set, pricing->names, &c.choice, cause)))
		command_fail("%s", cause);
	if (!error)
		error = source_ledger(place, s, &reader, &c.query);
	clock_gettime(CLOCK_REALTIME, &now);
	c.now_realtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (!error && (error = ledger_compare(reader, &c, visit, user)) && error != -EIO)
		command_fail("%s", ledger_error());
	close_ledger(&reader);
	policies_free(&set);
	return error;
}

int source_compare(const struct place *place, const struct selection *s,
		   const struct pricing *pricing, line_fn visit, void *user)
{
	char path[2048] = "/v1/compare";
	int error;

	if (pricing->policies || pricing->host)
		return compare_here(place, s, pricing, visit, user);
	if (pricing->names[0])
		client_query(path, sizeof(path), "policy", pricing->names, strlen(pricing->names));
	error = from_agent(place, path, s, visit, user);
	return error == -ECONNREFUSED ? compare_here(place, s, pricing, visit, user) : error;
}

/* ---- functions ---- */

static int64_t number(const json_t *o, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(o, name));
}

static void read_sum(json_t *o, struct ledger_sum *ret_sum)
{
	struct ledger_sum sum = {};
	const char *name;
	json_t *policy;

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
	*ret_sum = sum;
}

int64_t source_billed(const struct ledger_sum *sum, const char *policy)
{
	for (uint32_t i = 0; i < sum->billed_count; i++)
		if (!strcmp(sum->billed[i].policy, policy))
			return sum->billed[i].billed_ns;
	return 0;
}

int function_line_of(const char *line, size_t length, struct function_line *ret_line)
{
	json_t *o = json_loadb(line, length, 0, NULL);
	const json_t *memory = json_object_get(o, "memory_mb");
	const char *end = json_string_value(json_object_get(o, "last_end"));

	if (!o || !json_is_string(json_object_get(o, "function"))) {
		json_decref(o);
		return -EPROTO;
	}
	read_sum(o, &ret_line->sum);
	ret_line->running_known = json_is_integer(json_object_get(o, "instances_open"));
	ret_line->instances_open = (uint64_t)number(o, "instances_open");
	ret_line->in_invocation = (uint64_t)number(o, "in_invocation");
	ret_line->memory_mb = json_is_integer(memory) ? json_integer_value(memory) : -1;
	snprintf(ret_line->last_end, sizeof(ret_line->last_end), "%s", end ? end : "");
	json_decref(o);
	return 0;
}

struct functions {
	function_fn visit;
	void *user;
};

static int function_of_line(void *user, const char *line, size_t length)
{
	struct functions *f = user;
	struct function_line function;
	int error = function_line_of(line, length, &function);

	return error ? error : f->visit(f->user, &function);
}

static int function_of_sum(void *user, const struct ledger_sum *sum)
{
	struct function_line function = { .sum = *sum, .memory_mb = -1 };
	struct functions *f = user;

	return f->visit(f->user, &function);
}

int source_functions(const struct place *place, const struct selection *s, function_fn visit,
		     void *user)
{
	struct functions f = { visit, user };
	struct ledger_reader *reader = NULL;
	struct ledger_query q;
	int error = from_agent(place, "/v1/functions", s, function_of_line, &f);

	if (error != -ECONNREFUSED)
		return error;
	error = open_ledger(place, s, &reader, &q);
	if (!error && (error = ledger_read_sums(reader, &q, function_of_sum, &f)))
		command_fail("%s", ledger_error());
	close_ledger(&reader);
	return error;
}
