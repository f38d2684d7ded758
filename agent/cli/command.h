/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a subcommand declares of itself, once, in its own file: the parser, `oncpu help`, the manual
 * page and the shell's completion are all made from it, so that none of them can drift.
 *
 * Prose is paragraphs with an empty line between them; a line that begins with a space stands as it
 * is (a list, an example). Writers of pages wrap it.
 */
#ifndef ONCPU_CLI_COMMAND_H
#define ONCPU_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct command_option {
	const char *name;     /* without its dashes */
	int value;	      /* what command_next() returns for it, over 0, each another */
	const char *argument; /* what it takes: DIR, FILE, N, "a|b|c"; NULL = nothing */
	const char *help;     /* a phrase, its default in parentheses; NULL = not told of */
};

/* The options that most commands share, with the letters that they return. */
#define OPTION_JSON(help)                                                                          \
	{                                                                                          \
		"json", 'j', NULL, help                                                            \
	}
#define OPTION_STATE_DIR                                                                           \
	{                                                                                          \
		"state-dir", 's', "DIR", "where the ledger is (/var/lib/oncpu)"                    \
	}
#define OPTION_SOCKET                                                                              \
	{                                                                                          \
		"socket", 'S', "PATH", "the agent's socket (/run/oncpu/oncpu.sock)"                \
	}
#define OPTION_PIN_DIR                                                                             \
	{                                                                                          \
		"pin-dir", 'p', "DIR", "where the kernel side is pinned (/sys/fs/bpf/oncpu)"       \
	}
#define OPTION_SINCE                                                                               \
	{                                                                                          \
		"since", 't', "T",                                                                 \
			"only what ended since then: 15m (ago), RFC 3339 in UTC, or ns since the " \
			"epoch"                                                                    \
	}
#define OPTIONS_END                                                                                \
	{                                                                                          \
		NULL, 0, NULL, NULL                                                                \
	}

struct command {
	const char *name, *summary;
	const struct command_option *options; /* up to OPTIONS_END */
	const char *synopsis;	 /* its forms, without "oncpu NAME", a line each; NULL = derived */
	const char *arguments;	 /* of the derived one: what follows the options, or NULL */
	bool rest_is_program;	 /* options end at the first argument */
	const char *description; /* prose */
	const char *exits;	 /* prose; NULL = as all: 0, 1 failed, 2 misused */
	const char *examples;	 /* prose, or NULL */
	int section;		 /* of the manual: 1; 8 for what only an administrator runs */
	int (*run)(int argc, char **argv);
};

/* All of them, in the order of the help, up to NULL. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);
/* Near enough to be meant: few letters off, or the same first letters. NULL if none is. */
const char *command_nearest(const char *name);

/*
 * getopt_long with the command's own options: an option's value with its argument in optarg, -1
 * after the last, '?' for what command_misused() explains.
 */
int command_next(const struct command *command, int argc, char **argv);
/* The option that has this value, or NULL. */
const struct command_option *command_option_of(const struct command *command, int value);

/* Prints what command_next refused, with the way to the help; returns 2. */
int command_misused(const char *command, int argc, char **argv);
__attribute__((format(printf, 1, 2))) int command_fail(const char *format, ...); /* returns 1 */

extern const struct command agent_command, unpin_command, run_command, measure_command;
extern const struct command invocations_command, instances_command, compare_command;
extern const struct command functions_command, top_command, verify_command;
extern const struct command invoke_command, logs_command, doctor_command, policies_command;
extern const struct command price_command, export_command, forecast_command;

#endif
