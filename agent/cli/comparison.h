/* SPDX-License-Identifier: GPL-2.0 */
/* Lines of /v1/compare as a table with bars, or as CSV: for oncpu compare and oncpu price. */
#ifndef ONCPU_CLI_COMPARISON_H
#define ONCPU_CLI_COMPARISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct comparison_row;

struct comparison_view {
	bool bars; /* the output is a terminal */
	struct comparison_row *rows;
	size_t count, room;
};

/* Takes one line. 0, -ENOMEM, -EPROTO. */
int comparison_add(struct comparison_view *view, const char *line, size_t length);
/* 0, or -EIO. */
int comparison_print(struct comparison_view *view, FILE *to);
int comparison_csv(struct comparison_view *view, FILE *to);
void comparison_free(struct comparison_view *view);

#endif
