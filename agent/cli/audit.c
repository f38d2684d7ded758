/* SPDX-License-Identifier: GPL-2.0 */
/* See audit.h. */
#include "cli/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/format.h"

struct auditing {
	const struct selection *select;
	bool json, open;
	struct table table;
	unsigned long long instances, compared, mismatches;
	long long difference_ns;
};

static long long number(const json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static void print_json(const struct auditing *a, const json_t *o, json_t *audit)
{
	json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:I,s:O?,s:O?}", "schema", "oncpu.audit/1",
				 "function", text(o, "function"), "instance", text(o, "instance"),
				 "state", a->open ? "open" : "over", "accounts_ns",
				 (json_int_t)number(o, "total_cpu_ns"), "audit", audit, "flags",
				 json_object_get(o, "flags"));

	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(line);
}

static int print_row(struct auditing *a, const json_t *o, const json_t *audit)
{
	char(*cell)[CELL_MAX] = table_row(&a->table);

	if (!cell)
		return -ENOMEM;
	format_text(text(o, "function"), 20, cell[0]);
	format_text(text(o, "instance"), 40, cell[1]);
	snprintf(cell[2], CELL_MAX, "%s", a->open ? "open" : "over");
	snprintf(cell[3], CELL_MAX, "%lld", number(o, "total_cpu_ns"));
	if (!json_is_object(audit)) { /* no cgroup of its own, or too short a life */
		snprintf(cell[4], CELL_MAX, "0");
		return 0;
	}
	snprintf(cell[4], CELL_MAX, "%lld", number(audit, "count"));
	snprintf(cell[5], CELL_MAX, "%lld", number(audit, "mismatches"));
	snprintf(cell[6], CELL_MAX, "%+lld", number(audit, "difference_ns"));
	snprintf(cell[7], CELL_MAX, "%+lld", number(audit, "worst_ns"));
	return 0;
}

static int on_line(void *user, const char *line, size_t length)
{
	struct auditing *a = user;
	json_t *o = json_loadb(line, length, 0, NULL), *audit = json_object_get(o, "audit");
	int error = 0;

	if (!o)
		return -EPROTO;
	if (a->select->function && strcmp(a->select->function, text(o, "function"))) {
		json_decref(o);
		return 0;
	}
	a->instances++;
	if (json_is_object(audit)) {
		a->compared++;
		a->mismatches += (unsigned long long)number(audit, "mismatches");
		a->difference_ns += number(audit, "difference_ns");
	}
	if (a->json)
		print_json(a, o, audit);
	else
		error = print_row(a, o, audit);
	json_decref(o);
	return error;
}

int audit_list(const struct place *place, const struct selection *select, bool json)
{
	struct auditing a = {
		.select = select,
		.json = json,
		.table = { .columns = 8,
			   .titles = { "FUNCTION", "INSTANCE", "STATE", "ACCOUNTS, ns", "COMPARED",
				       "MISMATCHES", "DIFFERENCE, ns", "WORST, ns" },
			   .right = { [3] = true, [4] = true, [5] = true, [6] = true, [7] = true } }
	};
	struct selection over = { .function = select->function,
				  .since = select->since,
				  .last = select->last };
	int error = source_closed_instances(place, &over, on_line, &a);

	a.open = true;
	if (!error) {
		error = client_lines(place->socket, "/v1/instances", on_line, &a);
		if (error == -ECONNREFUSED)
			error = 0; /* from the ledger alone: those that are over */
		else if (error && error != -EPROTO)
			command_fail("%s: %s", place->socket, strerror(-error));
	}
	if (!error && !json) {
		table_print(&a.table, stdout);
		printf("%llu of %llu instances compared with cpu.stat: %llu mismatches, %+lld ns "
		       "in all\n",
		       a.compared, a.instances, a.mismatches, a.difference_ns);
	}
	table_free(&a.table);
	return error || a.mismatches ? 1 : 0;
}
