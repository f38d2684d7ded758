/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu functions */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/format.h"

struct listing {
	const char *policy;
	bool json, names;
	struct table table;
};

static void put_known(struct json_writer *w, const char *name, bool known, int64_t value)
{
	if (known)
		jw_key_int64(w, name, value);
	else
		jw_key_null(w, name);
}

/* As /v1/functions has it, null where only an agent would know. */
static int print_json(const struct function_line *f)
{
	char line[4096];
	struct json_writer w;

	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.function/1");
	jw_key_string(&w, "function", f->sum.function);
	jw_key_uint64(&w, "count", f->sum.count);
	jw_key_uint64(&w, "cold_starts", f->sum.cold_starts);
	jw_key_uint64(&w, "errors", f->sum.errors);
	jw_key_uint64(&w, "timeouts", f->sum.timeouts);
	jw_key_uint64(&w, "crashed", f->sum.crashed);
	jw_key_uint64(&w, "flagged", f->sum.flagged);
	jw_key_int64(&w, "wall_ns", f->sum.wall_ns);
	jw_key_int64(&w, "cpu_ns", f->sum.cpu_ns);
	jw_key_int64(&w, "init_wall_ns", f->sum.init_wall_ns);
	jw_key_int64(&w, "init_cpu_ns", f->sum.init_cpu_ns);
	jw_key_int64(&w, "between_cpu_ns", f->sum.between_cpu_ns);
	put_known(&w, "instances_open", f->running_known, (int64_t)f->instances_open);
	put_known(&w, "in_invocation", f->running_known, (int64_t)f->in_invocation);
	put_known(&w, "memory_mb", f->memory_mb >= 0, f->memory_mb);
	if (f->last_end[0])
		jw_key_string(&w, "last_end", f->last_end);
	else
		jw_key_null(&w, "last_end");
	jw_key(&w, "billed_ns");
	jw_object_open(&w);
	for (uint32_t i = 0; i < f->sum.billed_count; i++)
		jw_key_int64(&w, f->sum.billed[i].policy, f->sum.billed[i].billed_ns);
	jw_object_close(&w);
	jw_object_close(&w);
	return jw_end(&w) < 0 || puts(line) < 0 ? -EIO : 0;
}

static int on_function(void *user, const struct function_line *f)
{
	struct listing *l = user;
	char(*cell)[CELL_MAX];

	if (l->names)
		return puts(f->sum.function) < 0 ? -EIO : 0;
	if (l->json)
		return print_json(f);
	cell = table_row(&l->table);
	if (!cell)
		return -ENOMEM;
	format_text(f->sum.function, 32, cell[0]);
	snprintf(cell[1], CELL_MAX, "%" PRIu64, f->sum.count);
	snprintf(cell[2], CELL_MAX, "%" PRIu64, f->sum.cold_starts);
	snprintf(cell[3], CELL_MAX, "%" PRIu64, f->sum.errors + f->sum.timeouts + f->sum.crashed);
	if (f->running_known)
		snprintf(cell[4], CELL_MAX, "%" PRIu64, f->instances_open);
	else
		snprintf(cell[4], CELL_MAX, "–");
	format_ns(f->sum.wall_ns, cell[5]);
	format_ns(f->sum.cpu_ns, cell[6]);
	format_ns(source_billed(&f->sum, l->policy), cell[7]);
	if (f->memory_mb >= 0)
		snprintf(cell[8], CELL_MAX, "%" PRId64 " MB", f->memory_mb);
	snprintf(cell[9], CELL_MAX, "%.19s", f->last_end);
	return 0;
}

static int command_functions(int argc, char **argv)
{
	struct listing l = { .policy = "aws-lambda",
			     .table = { .columns = 10,
					.titles = { "FUNCTION", "COUNT", "COLD", "ERRORS",
						    "INSTANCES", "WALL", "ON-CPU", "BILLED (AWS)",
						    "MEMORY", "LAST END (UTC)" },
					.right = { [1] = true,
						   [2] = true,
						   [3] = true,
						   [4] = true,
						   [5] = true,
						   [6] = true,
						   [7] = true,
						   [8] = true } } };
	struct selection s = {};
	struct place place;
	int c, error;

	place_defaults(&place);
	while ((c = command_next(&functions_command, argc, argv)) != -1) {
		switch (c) {
		case 'j':
			l.json = true;
			break;
		case 'N':
			l.names = true;
			break;
		default:
			if (!source_option(c, optarg, &place, &s, NULL))
				return command_misused("functions", argc, argv);
			break;
		}
	}
	if (optind < argc)
		return command_fail("functions takes no argument (%s)", argv[optind]), 2;
	error = source_functions(&place, &s, on_function, &l);
	if (!error && l.table.rows)
		table_print(&l.table, stdout);
	else if (!error && !l.json && !l.names)
		fprintf(stderr, "no functions yet\n");
	table_free(&l.table);
	return error ? 1 : 0;
}

static const struct command_option options[] = {
	OPTION_JSON("one oncpu.function/1 object a line"),
	{ "names", 'N', NULL, "only the names, one a line" },
	OPTION_SINCE,
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command functions_command = {
	.name = "functions",
	.summary = "list the functions: what each has done, and what of it runs now",
	.options = options,
	.description =
		"From the running agent, or from its ledger where no agent runs: then nobody knows "
		"what runs now.",
	.section = 1,
	.run = command_functions,
};
