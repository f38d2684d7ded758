/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu invocations, oncpu instances */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/format.h"

struct listing {
	struct place place;
	struct selection select;
	bool json, last_said, audit, follow;
	struct table table;
	unsigned long long count;
};

static int parse(const struct command *command, struct listing *l, int argc, char **argv)
{
	uint64_t last;
	int c;

	place_defaults(&l->place);
	while ((c = command_next(command, argc, argv)) != -1) {
		switch (c) {
		case 'j':
			l->json = true;
			break;
		case 'a':
			l->audit = true;
			break;
		case 'i':
			l->select.id = optarg;
			break;
		case 'n':
			if (parse_uint64(optarg, 0, 1u << 30, &last))
				return command_fail(
					       "--last %s is no whole number of records (0 = all)",
					       optarg),
				       2;
			l->select.last = last;
			l->last_said = true;
			break;
		case 'F':
			l->follow = true;
			break;
		default:
			if (!source_option(c, optarg, &l->place, &l->select, NULL))
				return command_misused(command->name, argc, argv);
			break;
		}
	}
	if (optind < argc)
		return command_fail("%s takes no argument (%s)", command->name, argv[optind]), 2;
	if (!l->json && !l->last_said && !l->follow)
		l->select.last = 20;
	return 0;
}

static int print_line(void *user, const char *line, size_t length)
{
	struct listing *l = user;

	l->count++;
	return fwrite(line, 1, length, stdout) == length && putchar('\n') == '\n' ? 0 : -EIO;
}

static int64_t number(const json_t *o, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

/* RFC 3339 UTC to the local clock, milliseconds kept. */
static void local_time(const char *utc, char cell[CELL_MAX])
{
	struct tm tm = {}, local;
	time_t t;
	char *rest = strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm);

	t = timegm(&tm);
	localtime_r(&t, &local);
	snprintf(cell, CELL_MAX, "%02d:%02d:%02d%.4s", local.tm_hour, local.tm_min, local.tm_sec,
		 rest && *rest == '.' ? rest : ".000");
}

static void join_flags(const json_t *flags, char cell[CELL_MAX])
{
	size_t used = 0, i;
	const json_t *f;

	cell[0] = 0;
	json_array_foreach(flags, i, f)
	{
		int n = snprintf(cell + used, CELL_MAX - used, "%s%s", used ? "," : "",
				 json_string_value(f));

		if (n < 0 || (size_t)n >= CELL_MAX - used)
			break;
		used += (size_t)n;
	}
}

static int invocation_row(void *user, const char *line, size_t length)
{
	struct listing *l = user;
	json_t *o = json_loadb(line, length, 0, NULL);
	char(*cell)[CELL_MAX] = o ? table_row(&l->table) : NULL;
	const json_t *init = json_object_get(o, "init");
	int64_t bound = number(o, "cpu_error_bound_ns");

	if (!cell) {
		json_decref(o);
		return o ? -ENOMEM : -EPROTO;
	}
	local_time(text(o, "start"), cell[0]);
	format_text(text(o, "function"), 20, cell[1]);
	format_text(text(o, "id"), 20, cell[2]);
	format_text(text(o, "status"), 12, cell[3]);
	if (json_is_object(init))
		format_ns(number(init, "wall_ns"), cell[4]);
	format_ns(number(o, "wall_ns"), cell[5]);
	format_ns(number(o, "cpu_ns"), cell[6]);
	format_ns(bound, cell[7]);
	format_ns(number(json_object_get(json_object_get(o, "billed"), "aws-lambda"), "billed_ms") *
			  1000000,
		  cell[8]);
	join_flags(json_object_get(o, "flags"), cell[9]);
	l->count++;
	json_decref(o);
	return 0;
}

static int nothing_found(const struct listing *l, const char *what)
{
	fprintf(stderr,
		"no %s%s%s%s yet (functions are named in the configuration, or mark "
		"themselves with oncpu/runtime.h)\n",
		what, l->select.function ? " of " : "",
		l->select.function ? l->select.function : "", l->select.id ? " with that id" : "");
	return 0;
}

static int list(struct listing *l, const char *what,
		int (*source)(const struct place *, const struct selection *, line_fn, void *),
		line_fn row)
{
	int error = source(&l->place, &l->select, l->json ? print_line : row, l);

	if (!error && !l->json && l->count)
		table_print(&l->table, stdout);
	table_free(&l->table);
	if (error == -EIO)
		return command_fail("cannot write the output");
	if (error)
		return 1;
	return l->count || l->json ? 0 : nothing_found(l, what);
}

/* ---- --follow ---- */

static int show_now(void *user, const char *line, size_t length)
{
	struct listing *l = user;
	int error;

	error = l->json ? print_line(l, line, length) : invocation_row(l, line, length);
	if (error)
		return error;
	if (!l->json) {
		table_print(&l->table, stdout);
		l->table.rows = 0;
		l->table.untitled = true;
	}
	return fflush(stdout) ? -EIO : 0;
}

static int follow(struct listing *l)
{
	static const size_t widths[COLUMNS_MAX] = { 12, 20, 20, 9, 8, 8, 8, 8, 12 };
	int error;

	memcpy(l->table.least, widths, sizeof(widths));
	error = follow_invocations(&l->place, &l->select, l->last_said, show_now, l);
	table_free(&l->table);
	if (error == -EIO && errno == EPIPE)
		return 0; /* whoever read it has seen enough */
	if (error == -EIO)
		return command_fail("cannot write the output: %s", strerror(errno));
	return error ? 1 : 0;
}

static int command_invocations(int argc, char **argv)
{
	struct listing l = {
		.table = { .columns = 10,
			   .titles = { "START", "FUNCTION", "ID", "STATUS", "INIT", "WALL",
				       "ON-CPU", "±", "BILLED (AWS)", "FLAGS" },
			   .right = { [4] = true, [5] = true, [6] = true, [7] = true, [8] = true } }
	};
	int misused = parse(&invocations_command, &l, argc, argv);

	if (misused)
		return misused;
	if (l.audit && (l.select.id || l.follow))
		return command_fail("--audit is of instances: --%s does not go with it",
				    l.follow ? "follow" : "id"),
		       2;
	if (l.audit)
		return audit_list(&l.place, &l.select, l.json);
	return l.follow ? follow(&l) : list(&l, "invocations", source_invocations, invocation_row);
}

static int instance_row(void *user, const char *line, size_t length)
{
	struct listing *l = user;
	json_t *o = json_loadb(line, length, 0, NULL);
	char(*cell)[CELL_MAX] = o ? table_row(&l->table) : NULL;
	static const char *const parts[] = { "init_cpu_ns", "invocations_cpu_ns", "freeze_cpu_ns",
					     "between_cpu_ns", "total_cpu_ns" };

	if (!cell) {
		json_decref(o);
		return o ? -ENOMEM : -EPROTO;
	}
	local_time(text(o, "start"), cell[0]);
	format_text(text(o, "function"), 20, cell[1]);
	format_text(text(o, "instance"), 40, cell[2]);
	snprintf(cell[3], CELL_MAX, "%lld", (long long)number(o, "invocations"));
	for (size_t i = 0; i < 5; i++)
		format_ns(number(o, parts[i]), cell[4 + i]);
	join_flags(json_object_get(o, "flags"), cell[9]);
	l->count++;
	json_decref(o);
	return 0;
}

static int command_instances(int argc, char **argv)
{
	struct listing l = { .table = { .columns = 10,
					.titles = { "START", "FUNCTION", "INSTANCE", "COUNT",
						    "INIT", "INVOCATIONS", "FREEZE", "BETWEEN",
						    "= TOTAL", "FLAGS" },
					.right = { [3] = true,
						   [4] = true,
						   [5] = true,
						   [6] = true,
						   [7] = true,
						   [8] = true } } };
	int misused = parse(&instances_command, &l, argc, argv);

	return misused ? misused : list(&l, "instances", source_closed_instances, instance_row);
}

static const struct command_option invocations_options[] = {
	OPTION_JSON("one oncpu.invocation/1 record a line"),
	{ "function", 'f', "NAME", "only this function's" },
	{ "id", 'i', "ID", "only with this id" },
	{ "last", 'n', "N", "only the newest N, oldest first (20 in the table; 0 = all)" },
	{ "audit", 'a', NULL,
	  "instead: each instance's accounts against the kernel's own cpu.stat, and exit code 1 if "
	  "they differ" },
	OPTION_SINCE,
	{ "follow", 'F', NULL, "print each as it ends, until SIGINT" },
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command invocations_command = {
	.name = "invocations",
	.summary = "list invocations: wall, on-CPU and billed time, one a line",
	.options = invocations_options,
	.description =
		"From the running agent, which first stores all that has happened until then, or "
		"from its ledger where no agent runs.",
	.section = 1,
	.run = command_invocations,
};

static const struct command_option instances_options[] = {
	OPTION_JSON("one oncpu.instance/1 record a line"),
	{ "function", 'f', "NAME", "only this function's" },
	{ "last", 'n', "N", "only the newest N, oldest first (20 in the table; 0 = all)" },
	OPTION_SINCE,
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command instances_command = {
	.name = "instances",
	.summary = "the closing record of each instance that is over: the law, line by line",
	.options = instances_options,
	.description =
		"Every nanosecond that the kernel charged to the instance stands in one of its "
		"accounts: initialisation, its invocations, freezing, between; and they add up.",
	.section = 1,
	.run = command_instances,
};
