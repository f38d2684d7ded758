/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The slicer: hosts functions written for AWS Lambda, gives them CPU between boundaries only.
 * Two processes: the keeper (this one, privileged) and the front (not).
 */
#ifndef ONCPU_SLICER_SLICER_H
#define ONCPU_SLICER_SLICER_H

#include <stdbool.h>
#include <stddef.h>

#include "slicer/function.h"

struct slicer_options {
	struct slicer_function *functions;
	unsigned function_count;
	const char *listen;    /* ADDRESS:PORT, IPv4 or a name; port 0 = any */
	const char *state_dir; /* logs lie in logs/ */
	const char *pin_dir;
	const char *front_user; /* whom the front runs as; NULL = nobody */
	bool strict, telemetry, quiet;
	int ready_fd; /* gets "PORT\n" when callers are answered; −1 = none */
};

#define SLICER_DEFAULT_LISTEN "127.0.0.1:9000"

/* A function at its defaults, with this name. */
void slicer_function_defaults(struct slicer_function *f, const char *name);
void slicer_function_free(struct slicer_function *f);
/* Sets one property by its name in the configuration ("timeout", "memory", …). 0, or -errno with
 * one line (cause, cure) in error. */
int slicer_function_set(struct slicer_function *f, const char *name, const char *value, char *error,
			size_t size);
/* Splits a command line as a shell would: blanks, quotes, backslashes; nothing else. */
int slicer_function_command(struct slicer_function *f, const char *line, char *error, size_t size);
/* Checks the whole and finds the user. */
int slicer_function_finish(struct slicer_function *f, char *error, size_t size);
/* The names of all properties, NULL-terminated, for a nearest name. */
extern const char *const slicer_function_properties[];

/* Runs until SIGTERM or SIGINT. The exit code; each failure has been said in one line. */
int slicer_run(const struct slicer_options *options);

#endif
