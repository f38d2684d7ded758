/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The manual, written by the program itself at build time (`oncpu help --man PAGE`): pages of
 * man(7) from the commands' declarations, the configuration's keys and the record's fields and
 * flags.
 */
#ifndef ONCPU_CLI_MANUAL_H
#define ONCPU_CLI_MANUAL_H

#include <stdio.h>

/* Names of all pages, as their files are: "oncpu-top.1". NULL past the end; valid until called
 * again. */
const char *manual_name(size_t i);
/* 0, or -ENOENT where there is no page of that name. */
int manual_write(const char *name, FILE *to);

/* A field of the records in JSON. `path` has its parents: "init.wall_ns". */
struct manual_field {
	const char *path, *help;
};
extern const struct manual_field manual_invocation_fields[], manual_instance_fields[];

#endif
