// SPDX-License-Identifier: GPL-2.0
/* oncpu run: the slicer, with the agent that runs or one of its own. */
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/companion.h"
#include "daemon/config.h"
#include "slicer/protocol.h"
#include "slicer/slicer.h"

enum { PROPERTY = 1000, ERROR_ROOM = 512 };

struct run {
	struct place place;
	struct slicer_options slicer;
	struct slicer_function *functions; /* SLICER_FUNCTIONS of them */
	unsigned count;
	const char *config;
	bool named; /* --function was given */
	char error[ERROR_ROOM];
};

/* ---- the configuration ---- */

static struct slicer_function *function_of(struct run *r, const char *name)
{
	for (unsigned n = 0; n < r->count; n++)
		if (!strcmp(r->functions[n].name, name))
			return &r->functions[n];
	if (r->count == SLICER_FUNCTIONS || strlen(name) >= ONCPU_NAME_LEN)
		return NULL;
	slicer_function_defaults(&r->functions[r->count], name);
	return &r->functions[r->count++];
}

/* [function "thumb"] → thumb */
static bool section_name(const char *section, char name[ONCPU_NAME_LEN])
{
	char end;

	return sscanf(section, "function \"%63[^\"]%c", name, &end) == 2 && end == '"';
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct run *r = user;
	char function_name[ONCPU_NAME_LEN];
	struct slicer_function *f;
	const char *near;

	if (!section_name(section, function_name)) {
		snprintf(r->error, sizeof(r->error), "[%s] is no [function \"NAME\"]", section);
		return 0;
	}
	f = function_of(r, function_name);
	if (!f) {
		snprintf(r->error, sizeof(r->error), "a name of at most %u bytes, and %d functions",
			 ONCPU_NAME_LEN - 1, SLICER_FUNCTIONS);
		return 0;
	}
	if (!strcmp(name, "command"))
		return !slicer_function_command(f, value, r->error, sizeof(r->error));
	if (!slicer_function_set(f, name, value, r->error, sizeof(r->error)))
		return 1;
	near = config_nearest(name, slicer_function_properties);
	if (near && strcmp(near, name) != 0)
		snprintf(r->error + strlen(r->error), sizeof(r->error) - strlen(r->error),
			 " (did you mean %s?)", near);
	return 0;
}

static int read_config(struct run *r)
{
	int line = ini_parse(r->config, on_key, r);

	if (line == -1)
		return command_fail("%s: %s", r->config, strerror(errno));
	if (line)
		return command_fail("%s:%d: %s", r->config, line > 0 ? line : 0,
				    r->error[0] ? r->error : "is no NAME = VALUE, or too long");
	if (!r->count)
		return command_fail("%s names no [function \"NAME\"]", r->config);
	return 0;
}

/* ---- the command line ---- */

static int own_option(struct run *r, int c)
{
	int64_t fd;

	switch (c) {
	case 'c':
		r->config = optarg;
		return 0;
	case 'l':
		r->slicer.listen = optarg;
		return 0;
	case 'x':
		r->slicer.strict = true;
		return 0;
	case 't':
		r->slicer.telemetry = true;
		return 0;
	case 'q':
		r->slicer.quiet = true;
		return 0;
	case 's':
		r->place.state_dir = optarg;
		return 0;
	case 'S':
		r->place.socket = optarg;
		return 0;
	case 'p':
		r->place.pin_dir = optarg;
		return 0;
	case 'u':
		r->slicer.front_user = optarg;
		return 0;
	case 'r':
		if (parse_int64(optarg, 0, 1 << 20, &fd))
			return command_fail("--ready-fd %s is no descriptor", optarg), 2;
		r->slicer.ready_fd = (int)fd;
		return 0;
	default:
		return 2;
	}
}

static int parse(struct run *r, int argc, char **argv)
{
	struct slicer_function *f = &r->functions[0];
	const char *property;
	int c, code;

	slicer_function_defaults(f, "");
	while ((c = command_next(&run_command, argc, argv)) != -1) {
		if (c == '?')
			return command_misused("run", argc, argv);
		if (c == 'f') {
			if (!optarg[0] || strlen(optarg) >= sizeof(f->name))
				return command_fail("--function: 1 to %zu bytes",
						    sizeof(f->name) - 1),
				       2;
			snprintf(f->name, sizeof(f->name), "%s", optarg);
			r->named = true;
		} else if (c >= PROPERTY) {
			property = command_option_of(&run_command, c)->name;
			if (slicer_function_set(f, property, optarg, r->error, sizeof(r->error)))
				return command_fail("--%s", r->error), 2;
			r->named = true;
		} else if ((code = own_option(r, c))) {
			return code;
		}
	}
	for (int a = optind; a < argc && a - optind < FUNCTION_ARGUMENTS; a++)
		f->arguments[a - optind] = strdup(argv[a]);
	if (r->config && (r->named || optind < argc))
		return command_fail("run takes --config FILE, or one --function with its command, "
				    "not both"),
		       2;
	if (!r->config && !f->name[0])
		return command_fail("run needs --function NAME … -- PROGRAM, or --config FILE"), 2;
	if (argc - optind > FUNCTION_ARGUMENTS)
		return command_fail("a command has at most %d words", FUNCTION_ARGUMENTS), 2;
	r->count = r->config ? 0 : 1;
	return 0;
}

static int finish(struct run *r)
{
	for (unsigned n = 0; n < r->count; n++)
		if (slicer_function_finish(&r->functions[n], r->error, sizeof(r->error)))
			return command_fail("%s", r->error);
	r->slicer.functions = r->functions;
	r->slicer.function_count = r->count;
	r->slicer.state_dir = r->place.state_dir;
	return 0;
}

static int run(struct run *r, int argc, char **argv)
{
	struct companion companion = { .pid = 0 };
	int code = parse(r, argc, argv);

	if (!code && r->config)
		code = read_config(r);
	if (!code)
		code = finish(r);
	if (code)
		return code;
	if (geteuid())
		return command_fail("run needs root, for eBPF and for the cgroups (run it with "
				    "sudo)");
	code = companion_find(&companion, &r->place);
	if (!code) {
		r->slicer.pin_dir = companion.pin_dir;
		code = slicer_run(&r->slicer);
	}
	companion_stop(&companion);
	return code;
}

static int command_run(int argc, char **argv)
{
	struct run r = { .slicer = { .listen = SLICER_DEFAULT_LISTEN, .ready_fd = -1 } };
	int code;

	place_defaults(&r.place);
	r.functions = calloc(SLICER_FUNCTIONS, sizeof(*r.functions));
	if (!r.functions)
		return command_fail("no memory");
	code = run(&r, argc, argv);
	for (unsigned n = 0; n < SLICER_FUNCTIONS; n++)
		slicer_function_free(&r.functions[n]);
	free(r.functions);
	return code;
}

/* A function's properties have the slicer's names: test_commands checks that none is missing. */
static const struct command_option options[] = {
	{ "function", 'f', "NAME", "the function; its properties follow" },
	{ "memory", PROPERTY + 1, "MB", "memory limit (128)" },
	{ "timeout", PROPERTY + 2, "T", "wall time limit of an invocation (3s)" },
	{ "init-timeout", PROPERTY + 3, "T", "of an initialisation (10s)" },
	{ "cpu-limit", PROPERTY + 4, "T", "on-CPU time limit of an invocation, all threads" },
	{ "cpu-soft-limit", PROPERTY + 5, "T", "report an invocation that uses more" },
	{ "retire-after-soft-limit", PROPERTY + 6, "yes|no", "and retire its instance" },
	{ "concurrency", PROPERTY + 7, "N", "instances at once (1)" },
	{ "cpus", PROPERTY + 8, "N", "CPU limit, 0.5 being half of one" },
	{ "processes", PROPERTY + 9, "N", "limit of processes and threads (1024)" },
	{ "freeze-after", PROPERTY + 10, "T", "freeze this long after the end (0)" },
	{ "no-freeze", PROPERTY + 11, "yes|no", "let it run between invocations (no)" },
	{ "idle", PROPERTY + 12, "T", "retire an instance that idles so long (10m; 0 = never)" },
	{ "grace", PROPERTY + 13, "T",
	  "from its answer until it must ask for the next event (500ms)" },
	{ "suspend", PROPERTY + 14, "T", "the longest suspension (60m)" },
	{ "extension", PROPERTY + 15, "PATH", "start this external extension; repeatable" },
	{ "extensions", PROPERTY + 20, "DIR",
	  "and all executables in this directory (/opt/extensions); none" },
	{ "directory", PROPERTY + 16, "DIR", "where it runs" },
	{ "handler", PROPERTY + 17, "NAME", "_HANDLER of its environment" },
	{ "user", PROPERTY + 18, "NAME", "whom it runs as ($SUDO_USER, or nobody)" },
	{ "env", PROPERTY + 19, "NAME=VALUE", "for its environment; repeatable" },
	{ "config", 'c', "FILE", "functions from a file instead" },
	{ "listen", 'l', "ADDRESS:PORT", "of the Invoke front (127.0.0.1:9000)" },
	{ "strict", 'x', NULL,
	  "refuse a doubtful answer with 400 as AWS does, which ends most clients" },
	{ "telemetry", 't', NULL, "a platform.report line of JSON beside each REPORT" },
	{ "quiet", 'q', NULL, "do not repeat the functions' output on stdout" },
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTION_PIN_DIR,
	{ "front-user", 'u', "NAME", "whom the half runs as that speaks HTTP" },
	{ "ready-fd", 'r', "N", "gets the port and a newline when callers are answered" },
	OPTIONS_END,
};
const struct command run_command = {
	.name = "run",
	.summary = "host functions: Lambda's APIs, exact accounts, CPU between boundaries only",
	.options = options,
	.synopsis = "--function NAME [PROPERTY...] [OPTION...] -- PROGRAM [ARGUMENT...]\n"
		    "--config FILE [OPTION...]",
	.rest_is_program = true,
	.description =
		"Runs until SIGTERM or SIGINT. Uses the running agent, or brings its own. A number "
		"without a unit is seconds. Needs root.\n\n"
		"FILE has the properties of several functions under their own names, and the "
		"command:\n\n"
		"  [function \"hello\"]\n"
		"  command = node node_modules/aws-lambda-ric/index.mjs index.handler\n"
		"  directory = /srv/hello\n"
		"  memory = 256\n"
		"  timeout = 3s",
	.section = 8,
	.run = command_run,
};
