/* SPDX-License-Identifier: GPL-2.0 */
/* A field of CSV, as RFC 4180 has it. */
#ifndef ONCPU_CLI_CSV_H
#define ONCPU_CLI_CSV_H

#include <stdio.h>

/* Quoted where it has to be. */
void csv_put(FILE *to, const char *text);

#endif
