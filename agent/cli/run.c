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

static const struct option own_options[] = {
	{ "function", required_argument, NULL, 'f' },
	{ "config", required_argument, NULL, 'c' },
	{ "listen", required_argument, NULL, 'l' },
	{ "strict", no_argument, NULL, 'S' },
	{ "telemetry", no_argument, NULL, 't' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "state-dir", required_argument, NULL, 's' },
	{ "socket", required_argument, NULL, 'k' },
	{ "pin-dir", required_argument, NULL, 'p' },
	{ "front-user", required_argument, NULL, 'u' },
	{ "ready-fd", required_argument, NULL, 'r' },
};
enum { OWN = sizeof(own_options) / sizeof(own_options[0]), ALL = 64 };

/* Our own, then a function's properties by their names. */
static void all_options(struct option options[ALL])
{
	unsigned n = OWN;

	memcpy(options, own_options, sizeof(own_options));
	for (unsigned p = 1; slicer_function_properties[p]; p++)
		options[n++] = (struct option){ slicer_function_properties[p], required_argument,
						NULL, PROPERTY + (int)p };
	options[n] = (struct option){ NULL, 0, NULL, 0 };
}

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
	case 'S':
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
	case 'k':
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
	struct option options[ALL];
	int c, code;

	all_options(options);
	opterr = 0;
	slicer_function_defaults(f, "");
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
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
			if (slicer_function_set(f, slicer_function_properties[c - PROPERTY], optarg,
						r->error, sizeof(r->error)))
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

int command_run(int argc, char **argv)
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
