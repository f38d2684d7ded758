/* SPDX-License-Identifier: GPL-2.0 */
/* See manual.h. */
#include <errno.h>
#include <string.h>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "cli/roff.h"
#include "core/metrics.h"
#include "core/record.h"
#include "daemon/agent.h"
#include "daemon/config.h"
#include "kern/kern.h"

static const char *const general[] = { "oncpu.1", "oncpu.conf.5", "oncpu-record.5",
				       "oncpu-metrics.5" };
enum { GENERAL = sizeof(general) / sizeof(general[0]) };

static void command_page(const struct command *c, char name[64])
{
	snprintf(name, 64, "oncpu-%s.%d", c->name, c->section);
}

const char *manual_name(size_t i)
{
	static char name[64];

	if (i < GENERAL)
		return general[i];
	for (size_t n = 0; n + GENERAL <= i; n++)
		if (!commands[n])
			return NULL;
	command_page(commands[i - GENERAL], name);
	return name;
}

static void begin(const char *name, int section, const char *summary, FILE *to)
{
	fputs(".TH \"", to);
	for (const char *c = name; *c; c++)
		fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, to);
	fprintf(to, "\" \"%d\" \"%s\" \"oncpu %s\" \"oncpu manual\"\n.nh\n.SH NAME\n", section,
		ONCPU_RELEASE_DATE, ONCPU_VERSION);
	roff_text(name, strlen(name), to);
	fputs(" \\- ", to);
	roff_line(summary, to);
}

static void reference(const char *page, bool more, FILE *to)
{
	const char *dot = strrchr(page, '.');

	fputs(".BR ", to);
	roff_text(page, (size_t)(dot - page), to);
	fprintf(to, " (%s)%s\n", dot + 1, more ? "," : "");
}

/* All pages but this one. */
static void see_also(const char *but, FILE *to)
{
	const char *name;
	size_t last = 0;

	for (size_t i = 0; (name = manual_name(i)); i++)
		if (strcmp(name, but) != 0)
			last = i;
	fputs(".SH SEE ALSO\n", to);
	for (size_t i = 0; i <= last; i++)
		if (strcmp(name = manual_name(i), but) != 0)
			reference(name, i != last, to);
}

static void tag(const char *name, const char *argument, FILE *to)
{
	fputs(".TP\n\\fB", to);
	roff_text(name, strlen(name), to);
	fputs("\\fR", to);
	if (argument && *argument) {
		fputs(" \\fI", to);
		roff_text(argument, strlen(argument), to);
		fputs("\\fR", to);
	}
	fputc('\n', to);
}

/* ---- a command's page ---- */

struct synopsis {
	FILE *to;
	const char *name;
	bool any;
};

static void synopsis_piece(void *user, const char *text, bool line_begins)
{
	struct synopsis *s = user;

	if (line_begins)
		fprintf(s->to, "%s.B oncpu %s\n", s->any ? ".br\n" : "", s->name);
	s->any = true;
	if (*text)
		roff_line(text, s->to);
}

static void command_manual(const struct command *c, FILE *to)
{
	struct synopsis s = { to, c->name, false };
	char name[64], page[64];
	bool options = false;

	snprintf(name, sizeof(name), "oncpu-%s", c->name);
	command_page(c, page);
	begin(name, c->section, c->summary, to);
	fputs(".SH SYNOPSIS\n", to);
	help_synopsis(c, synopsis_piece, &s);
	if (c->description) {
		fputs(".SH DESCRIPTION\n", to);
		roff_prose(c->description, to);
	}
	for (const struct command_option *o = c->options; o->name; o++) {
		char dashed[64];

		if (!o->help)
			continue;
		if (!options)
			fputs(".SH OPTIONS\n", to);
		options = true;
		snprintf(dashed, sizeof(dashed), "--%s", o->name);
		tag(dashed, o->argument, to);
		roff_line(o->help, to);
	}
	fputs(".SH EXIT STATUS\n", to);
	roff_prose(
		c->exits
			? c->exits
			: "Exits 0 when all went well, 1 when something failed, 2 when the command "
			  "line was wrong; a line on stderr says what and how to cure it.",
		to);
	if (c->examples) {
		fputs(".SH EXAMPLES\n", to);
		roff_prose(c->examples, to);
	}
	see_also(page, to);
}

/* ---- the general pages ---- */

static void overview(FILE *to)
{
	begin("oncpu", 1,
	      "exact on-CPU time of function invocations, and what they would be billed", to);
	fputs(".SH SYNOPSIS\n.B oncpu\n.I COMMAND\n[\\fIOPTION\\fR...]\n"
	      ".br\n.B oncpu help\n[\\fICOMMAND\\fR]\n.br\n.B oncpu \\-\\-version\n"
	      ".SH DESCRIPTION\n",
	      to);
	roff_prose(
		"oncpu measures, on a function (serverless) host, how much CPU each invocation "
		"used. "
		"Programs in the kernel count every nanosecond that the scheduler charges to a "
		"function's processes, and the agent splits it at the invocations' boundaries. "
		"Wall, "
		"on-CPU and billed time stand side by side; every number carries its error bound, "
		"and "
		"the sum of all accounts equals the kernel's own books.\n\n"
		"A function is a named piece of code; an instance is one running copy of it, the "
		"processes of one cgroup; an invocation is one trigger that an instance handles.",
		to);
	fputs(".SH COMMANDS\n", to);
	for (size_t i = 0; commands[i]; i++) {
		fprintf(to, ".TP\n.BR oncpu\\-%s (%d)\n", commands[i]->name, commands[i]->section);
		roff_line(commands[i]->summary, to);
	}
	fputs(".SH FILES\n", to);
	tag("/etc/oncpu/oncpu.conf", NULL, to);
	roff_line("the agent's configuration, oncpu.conf(5)", to);
	tag("/var/lib/oncpu", NULL, to);
	roff_line("the ledger, a SQLite database an hour", to);
	tag("/run/oncpu/oncpu.sock", NULL, to);
	roff_line("where the agent answers", to);
	tag("/sys/fs/bpf/oncpu", NULL, to);
	roff_line("the kernel side, which goes on while the agent is down", to);
	see_also("oncpu.1", to);
}

struct keys {
	FILE *to;
	char section[64];
};

static void config_key(void *user, const char *section, const char *key, const char *value,
		       const char *help)
{
	struct keys *k = user;

	if (strcmp(section, k->section) != 0) {
		snprintf(k->section, sizeof(k->section), "%s", section);
		fputs(".SS \"[", k->to);
		roff_text(section, strlen(section), k->to);
		fputs("]\"\n", k->to);
	}
	fputs(".TP\n\\fB", k->to);
	roff_text(key, strlen(key), k->to);
	fputs("\\fR = \\fI", k->to);
	roff_text(value, strlen(value), k->to);
	fputs("\\fR\n", k->to);
	roff_line(help, k->to);
}

static void configuration(FILE *to)
{
	struct keys k = { to, "" };

	begin("oncpu.conf", 5, "the configuration of the oncpu agent", to);
	fputs(".SH SYNOPSIS\n.I /etc/oncpu/oncpu.conf\n.SH DESCRIPTION\n", to);
	roff_prose(
		"Sections in brackets, and KEY = VALUE lines in them; what follows a semicolon is "
		"a comment. The agent reads it once, at its start, and refuses one that has an "
		"unknown key or a wrong value, with the line and the cure. Sizes are a number and "
		"KiB, MiB or GiB; times a number and ms, s, m, h, d or w. Defaults stand in "
		"parentheses.\n\n"
		"The file of oncpu run is another: oncpu-run(8) has its keys.",
		to);
	fputs(".SH KEYS\n", to);
	config_describe(config_key, &k);
	fputs(".SH EXAMPLES\n", to);
	roff_prose("  [agent]\n"
		   "  retention_age = 30d\n"
		   "\n"
		   "  [function \"thumb\"]\n"
		   "  cgroup = /functions/thumb-*\n"
		   "  memory_mb = 128\n"
		   "\n"
		   "  [mark \"their receive_invoke\"]\n"
		   "  file = /usr/lib/libruntime.so.1\n"
		   "  symbol = runtime_next\n"
		   "  boundary = invoke\n"
		   "  id_arg = 1\n",
		   to);
	see_also("oncpu.conf.5", to);
}

static void fields(const char *title, const struct manual_field *field, FILE *to)
{
	fprintf(to, ".SH \"%s\"\n", title);
	for (; field->path; field++) {
		tag(field->path, NULL, to);
		roff_line(field->help, to);
	}
}

static void records(FILE *to)
{
	begin("oncpu-record", 5, "the records of oncpu in JSON", to);
	fputs(".SH DESCRIPTION\n", to);
	roff_prose(
		"oncpu invocations --json and oncpu instances --json print a record a line, and "
		"the "
		"agent's API answers with the same lines. Integers are nanoseconds unless the name "
		"says otherwise; null is unknown. Fields are added and never renamed: readers "
		"ignore "
		"those that they do not know.\n\n"
		"Of each instance: init + invocations + freeze + between = the kernel's own total "
		"of "
		"its cgroup.",
		to);
	fields("INVOCATIONS", manual_invocation_fields, to);
	fields("INSTANCES", manual_instance_fields, to);
	fputs(".SH FLAGS\n", to);
	for (int i = 0; i < RECORD_FLAG_COUNT; i++) {
		tag(record_flag_name((enum record_flag)i), NULL, to);
		roff_line(record_flag_help((enum record_flag)i), to);
	}
	see_also("oncpu-record.5", to);
}

static void one_metric(const char *name, const char *type, const char *labels, const char *prose,
		       FILE *to)
{
	char about[128];

	snprintf(about, sizeof(about), "%s%s%s", type, labels[0] ? " by " : "", labels);
	tag(name, about, to);
	roff_line(prose, to);
}

static void metrics(FILE *to)
{
	const struct metric_info *info;

	begin("oncpu-metrics", 5, "what the oncpu agent tells Prometheus", to);
	fputs(".SH DESCRIPTION\n", to);
	roff_prose("The agent answers /metrics on its socket and, with --listen, on TCP, in "
		   "Prometheus's text format. Counters begin at zero with the agent. Functions "
		   "beyond the first 200 share the label function=\"_other\"; invocations and "
		   "tenants are never labels. The names that begin with faas_ are OpenTelemetry's.",
		   to);
	fputs(".SH METRICS\n", to);
	for (unsigned i = 0; (info = metric_info((enum metric)i)); i++)
		one_metric(info->name, metric_type_name(info->type), info->labels, info->prose, to);
	fputs(".SS \"of the kernel side\"\n", to);
	for (unsigned i = 0; i < kern_counter_count(); i++) {
		char name[96];

		snprintf(name, sizeof(name), "oncpu_kernel_%s_total", kern_counter_name(i));
		one_metric(name, metric_type_name(METRIC_COUNTER), "", kern_counter_help(i), to);
	}
	see_also("oncpu-metrics.5", to);
}

int manual_write(const char *name, FILE *to)
{
	static void (*const pages[GENERAL])(FILE *) = { overview, configuration, records, metrics };
	char page[64];

	for (size_t i = 0; i < GENERAL; i++)
		if (!strcmp(name, general[i]))
			return pages[i](to), 0;
	for (size_t i = 0; commands[i]; i++) {
		command_page(commands[i], page);
		if (!strcmp(name, page))
			return command_manual(commands[i], to), 0;
	}
	return -ENOENT;
}
