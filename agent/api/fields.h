/* SPDX-License-Identifier: GPL-2.0 */
/* `fields=a,b,c`: the named top-level members of a line of JSON, and no others. Pure. */
#ifndef ONCPU_API_FIELDS_H
#define ONCPU_API_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#define FIELDS_LEN 512 /* bytes of such a list, two more commas and NUL included */

/* Checks a list and copies it as ",a,b,c,". 0, or -EINVAL with the first name that no record has
 * in *ret_unknown (as much of it as fits). */
int fields_parse(const char *list, char ret_fields[FIELDS_LEN], char ret_unknown[33]);

/* Leaves, in place, an object's members that stand in ",a,b,c,"; its length then. The line is our
 * own writer's: one object, no blanks between its tokens. */
size_t fields_pick(char *line, size_t n, const char *fields);

#endif
