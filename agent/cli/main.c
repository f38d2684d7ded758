/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu: one binary, a table of commands. */
#include <stdarg.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/agent.h"
#include "daemon/config.h"

static const struct command commands[] = {
	{ "agent", "measure: load the kernel side, correlate, store and serve",
	  "oncpu agent [--state-dir DIR] [--socket PATH] [--config FILE] [--pin-dir DIR]\n"
	  "            [--user NAME] [--log-level error|warning|info|debug] [--unpin]\n\n"
	  "Runs until SIGTERM or SIGINT. What it measures goes on while it is stopped, and is\n"
	  "in the ledger after the next start; --unpin ends the measuring with the agent.\n"
	  "Defaults: /var/lib/oncpu, /run/oncpu/oncpu.sock, /etc/oncpu/oncpu.conf if it is "
	  "there.\n",
	  command_agent },
	{ "unpin", "end what an agent left measuring: remove its maps and hooks from the kernel",
	  "oncpu unpin [--state-dir DIR] [--config FILE] [--pin-dir DIR]\n\n"
	  "For pins of another version, or of an agent that does not come back. What the ledger "
	  "has\n"
	  "not stored yet is given up: starting and stopping the agent with --unpin stores it "
	  "first.\n"
	  "Refuses while an agent runs. Needs root.\n",
	  command_unpin },
	{ "invocations", "list invocations: wall, on-CPU and billed time, one a line",
	  "oncpu invocations [--json] [--function NAME] [--id ID] [--last N] [--since T]\n"
	  "                  [--state-dir DIR] [--socket PATH]\n\n"
	  "From the running agent, or from its ledger when none runs. --json: one\n"
	  "oncpu.invocation/1 record a line. T: 15m (ago), RFC 3339 in UTC, or ns since the "
	  "epoch.\n"
	  "The table shows the last 20 unless --last says otherwise (0 = all).\n",
	  command_invocations },
	{ "compare", "what each function used, and what it would be billed",
	  "oncpu compare [--json] [--function NAME] [--since T] [--state-dir DIR] [--socket "
	  "PATH]\n",
	  command_compare },
	{ "instances", "the closing record of each instance that is over: the law, line by line",
	  "oncpu instances [--json] [--function NAME] [--last N] [--since T] [--state-dir DIR]\n"
	  "                [--socket PATH]\n",
	  command_instances },
	{ "measure", "run a program: its whole process tree is one invocation",
	  "oncpu measure --function NAME [--id ID] [--json] [--no-wait] [--state-dir DIR]\n"
	  "              [--socket PATH] [--pin-dir DIR] -- PROGRAM [ARGUMENT...]\n\n"
	  "Like time(1), exact and with a record in the ledger. Ends when the last process of the\n"
	  "tree does (--no-wait: when PROGRAM does). Exits with PROGRAM's status. Needs root.\n",
	  command_measure },
	{ "run", "host functions: Lambda's APIs, exact accounts, CPU between boundaries only",
	  "oncpu run --function NAME [PROPERTY...] [OPTION...] -- PROGRAM [ARGUMENT...]\n"
	  "oncpu run --config FILE [OPTION...]\n\n"
	  "Properties of a function, also in FILE's [function \"NAME\"] with command = …:\n"
	  "  --memory MB (128)           --timeout T (3s)         --init-timeout T (10s)\n"
	  "  --cpu-limit T               --cpu-soft-limit T       --retire-after-soft-limit yes\n"
	  "  --concurrency N (1)         --cpus N                 --processes N (1024)\n"
	  "  --freeze-after T (0)        --no-freeze yes          --idle T (10m; 0 = never)\n"
	  "  --grace T (500ms)           --suspend T (60m)        --extension PATH\n"
	  "  --directory DIR             --handler NAME           --user NAME ($SUDO_USER or "
	  "nobody)\n"
	  "  --env NAME=VALUE\n"
	  "Options:\n"
	  "  --listen ADDRESS:PORT (127.0.0.1:9000)   --strict   --telemetry   --quiet\n"
	  "  --state-dir DIR   --socket PATH   --pin-dir DIR   --front-user NAME   --ready-fd N\n\n"
	  "Runs until SIGTERM or SIGINT. Uses the running agent, or brings its own. A number "
	  "without a\n"
	  "unit is seconds. Needs root.\n",
	  command_run },
	{ "invoke", "call a function of oncpu run",
	  "oncpu invoke NAME [--data JSON | --file FILE] [--event] [--log] [--cpu]\n"
	  "             [--endpoint ADDRESS:PORT]\n\n"
	  "Prints the answer. --log: the invocation's log, --cpu: its on-CPU time, both on "
	  "stderr.\n"
	  "Exits 0; 3 when the function failed; 1 when it could not be called.\n",
	  command_invoke },
	{ "logs", "what a function of oncpu run has written, with START, END and REPORT",
	  "oncpu logs NAME [--last LINES] [--state-dir DIR]\n", command_logs },
	{ "doctor", "what this kernel and these rights allow, each line with its cure",
	  "oncpu doctor [--json] [--state-dir DIR] [--socket PATH]\n\n"
	  "Exits 0 if nothing fails. Needs root to try the kernel side.\n",
	  command_doctor },
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), OPTIONS_MAX = 48 };

const struct command *command_find(const char *name)
{
	for (int i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Near enough to be meant: few letters off, or the same first letters. */
const char *command_nearest(const char *name)
{
	const char *names[COMMANDS + 1] = { NULL }, *found;
	size_t best = 0;

	for (int i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	found = config_nearest(name, names);
	for (int i = 0; i < COMMANDS && !found; i++) {
		size_t same = 0;

		while (name[same] && name[same] == commands[i].name[same])
			same++;
		if (same > best) {
			best = same;
			found = commands[i].name;
		}
	}
	return found;
}

/* The option of a command's help that is nearest, or NULL. */
static const char *option_nearest(const char *command, const char *option, char (*buffer)[32])
{
	const struct command *c = command_find(command);
	const char *names[OPTIONS_MAX + 1] = { NULL };
	size_t n = 0;

	for (const char *at = c ? c->usage : ""; n < OPTIONS_MAX && (at = strstr(at, "--")); n++) {
		size_t length = strspn(at += 2, "abcdefghijklmnopqrstuvwxyz-");

		snprintf(buffer[n], sizeof(buffer[n]), "%.*s", (int)length, at);
		names[n] = buffer[n];
		at += length;
	}
	return config_nearest(option, names);
}

int command_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("oncpu: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return 1;
}

int command_misused(const char *command, int argc, char **argv)
{
	const char *what = optind > 0 && optind <= argc ? argv[optind - 1] : "", *near = NULL;
	int name = (int)strcspn(what, "=");
	char word[64], buffer[OPTIONS_MAX][32];

	snprintf(word, sizeof(word), "%.*s", name, what);
	fprintf(stderr, "oncpu %s: ", command);
	if (strncmp(what, "--", 2) != 0)
		fprintf(stderr, "-%c is no option", optopt);
	else if (optopt && what[name]) /* getopt_long knows it: so its value is the trouble */
		fprintf(stderr, "%s takes no value", word);
	else if (optopt)
		fprintf(stderr, "%s lacks its value", word);
	else if ((near = option_nearest(command, word + 2, buffer)))
		fprintf(stderr, "there is no option %s, did you mean --%s?", word, near);
	else
		fprintf(stderr, "there is no option %s", word);
	fprintf(stderr, " (see: oncpu help %s)\n", command);
	return 2;
}

void place_defaults(struct place *place)
{
	place->state_dir = "/var/lib/oncpu";
	place->socket = "/run/oncpu/oncpu.sock";
	place->pin_dir = NULL;
}

static int usage(FILE *to, int code)
{
	fputs("oncpu measures the exact on-CPU time of function invocations, and what they would "
	      "be "
	      "billed.\n\nusage: oncpu COMMAND [OPTION...]\n\n",
	      to);
	for (int i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fputs("\noncpu help COMMAND tells more; oncpu --version the version.\n", to);
	return code;
}

static int help(const char *name)
{
	const struct command *c = command_find(name);

	if (!c)
		return command_fail("there is no command %s (see: oncpu help)", name), 2;
	printf("%s\n\n%s", c->summary, c->usage);
	return 0;
}

int main(int argc, char **argv)
{
	const struct command *c;
	const char *near;

	if (argc < 2)
		return usage(stderr, 2);
	if (!strcmp(argv[1], "--version"))
		return printf("oncpu %s\n", ONCPU_VERSION) < 0;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return argc > 2 ? help(argv[2]) : usage(stdout, 0);
	c = command_find(argv[1]);
	if (!c) {
		near = command_nearest(argv[1]);
		fprintf(stderr, "oncpu: there is no command %s%s%s%s (see: oncpu help)\n", argv[1],
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		return 2;
	}
	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
		return help(argv[1]);
	return c->run(argc - 1, argv + 1);
}
