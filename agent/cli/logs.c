// SPDX-License-Identifier: GPL-2.0
/* oncpu logs: a function's log, the older half first. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "slicer/logbook.h"

static char *read_file(const char *path, size_t *ret_size)
{
	_cleanup_file_ FILE *f = fopen(path, "re");
	char *text = f ? malloc(LOGBOOK_BYTES * 2) : NULL;

	*ret_size = text ? fread(text, 1, LOGBOOK_BYTES * 2, f) : 0;
	return text;
}

static const char *last_lines(const char *text, size_t size, uint64_t lines)
{
	const char *at = text + size;

	if (at > text && at[-1] == '\n')
		at--;
	for (; at > text; at--)
		if (at[-1] == '\n' && --lines == 0)
			return at;
	return text;
}

static int print(const char *path, uint64_t lines)
{
	char before[LOGBOOK_PATH + 8];
	_cleanup_free_ char *older = NULL, *newer = NULL;
	_cleanup_free_ char *all = NULL;
	size_t n, m;
	const char *from;

	newer = read_file(path, &m);
	if (!newer)
		return command_fail("%s: %s (has the function run under oncpu run with this "
				    "--state-dir?)",
				    path, strerror(errno));
	snprintf(before, sizeof(before), "%s.1", path);
	older = read_file(before, &n);
	all = malloc(n + m + 1);
	if (!all)
		return command_fail("no memory");
	if (n)
		memcpy(all, older, n);
	memcpy(all + n, newer, m);
	from = lines ? last_lines(all, n + m, lines) : all;
	fwrite(from, 1, n + m - (size_t)(from - all), stdout);
	return 0;
}

static int command_logs(int argc, char **argv)
{
	char directory[LOGBOOK_PATH], path[LOGBOOK_PATH];
	struct place place;
	uint64_t lines = 0;
	int c;

	place_defaults(&place);
	while ((c = command_next(&logs_command, argc, argv)) != -1) {
		if (c == 's')
			place.state_dir = optarg;
		else if (c != 'l')
			return command_misused("logs", argc, argv);
		else if (parse_uint64(optarg, 0, 1ull << 40, &lines))
			return command_fail("--last %s is no number of lines", optarg), 2;
	}
	if (optind + 1 != argc)
		return command_fail("logs needs the name of one function"), 2;
	snprintf(directory, sizeof(directory), "%s/logs", place.state_dir);
	if (logbook_path(directory, argv[optind], path, sizeof(path)))
		return command_fail("the path of the log is too long"), 2;
	return print(path, lines);
}

static const struct command_option options[] = {
	{ "last", 'l', "LINES", "only the newest (all)" },
	OPTION_STATE_DIR,
	OPTIONS_END,
};
const struct command logs_command = {
	.name = "logs",
	.summary = "what a function of oncpu run has written, with START, END and REPORT",
	.options = options,
	.synopsis = "NAME [OPTION...]",
	.section = 1,
	.run = command_logs,
};
