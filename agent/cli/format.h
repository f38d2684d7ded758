/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers and tables for people. Pure. */
#ifndef ONCPU_CLI_FORMAT_H
#define ONCPU_CLI_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CELL_MAX = 160, COLUMNS_MAX = 14 };

/* "0", "950 ns", "12.30 µs", "4.560 ms", "1.234 s": four significant digits, of seconds three
 * decimals; rounded half away from zero. */
void format_ns(int64_t ns, char cell[CELL_MAX]);
/* "12.34×"; "–" where the divisor is not positive. */
void format_ratio(int64_t a, int64_t b, char cell[CELL_MAX]);
/* Text of unknown origin: control characters and broken UTF-8 become '?', the middle is cut out
 * when it is longer than `width` columns. */
void format_text(const char *text, size_t width, char cell[CELL_MAX]);
/* Columns that a cell takes on the terminal (UTF-8 aware; every character counts as one). */
size_t format_width(const char *cell);

struct table {
	size_t columns, rows, room;
	const char *titles[COLUMNS_MAX];
	bool right[COLUMNS_MAX];   /* numbers */
	bool untitled;		   /* the titles stand above already */
	size_t least[COLUMNS_MAX]; /* widths, for what is printed bit by bit */
	char (*cells)[COLUMNS_MAX][CELL_MAX];
};
/* A new row's cells, or NULL (no memory). */
char (*table_row(struct table *t))[CELL_MAX];
void table_print(const struct table *t, FILE *to);
void table_free(struct table *t);

#endif
