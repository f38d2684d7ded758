/* SPDX-License-Identifier: GPL-2.0 */
/* See format.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/format.h"

/* value / unit with `decimals` digits, by integers. */
static void scaled(int64_t ns, int64_t unit, int decimals, const char *name, char cell[CELL_MAX])
{
	bool negative = ns < 0;
	uint64_t v = negative ? -(uint64_t)ns : (uint64_t)ns, power = 1, units;

	for (int i = 0; i < decimals; i++)
		power *= 10;
	units = v / (uint64_t)unit * power +
		(v % (uint64_t)unit * power + (uint64_t)unit / 2) / (uint64_t)unit;
	if (decimals)
		snprintf(cell, CELL_MAX, "%s%" PRIu64 ".%0*" PRIu64 " %s", negative ? "-" : "",
			 units / power, decimals, units % power, name);
	else
		snprintf(cell, CELL_MAX, "%s%" PRIu64 " %s", negative ? "-" : "", units, name);
}

void format_ns(int64_t ns, char cell[CELL_MAX])
{
	static const struct {
		int64_t unit;
		const char *name;
	} units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "µs" } };
	uint64_t v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	if (v < 1000) {
		snprintf(cell, CELL_MAX, v ? "%" PRId64 " ns" : "0", ns);
		return;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t u = (uint64_t)units[i].unit;

		/* what rounds up to a power of ten is written with its digits, in its unit */
		if (v < u - u / 20000)
			continue;
		scaled(ns, units[i].unit,
		       i == 0		       ? 3
		       : v < 10 * u - u / 2000 ? 3
		       : v < 100 * u - u / 200 ? 2
					       : 1,
		       units[i].name, cell);
		return;
	}
}

void format_ratio(int64_t a, int64_t b, char cell[CELL_MAX])
{
	if (b <= 0)
		snprintf(cell, CELL_MAX, "–");
	else
		snprintf(cell, CELL_MAX, "%.2f×", (double)a / (double)b);
}

size_t format_width(const char *cell)
{
	size_t n = 0;

	for (; *cell; cell++)
		n += ((unsigned char)*cell & 0xc0) != 0x80;
	return n;
}

void format_text(const char *text, size_t width, char cell[CELL_MAX])
{
	size_t n = strlen(text), head, tail;
	bool clean = text_is_clean(text, n);
	char shown[CELL_MAX];

	if (n < sizeof(shown)) {
		snprintf(shown, sizeof(shown), "%s", text);
	} else {
		memcpy(shown, text, sizeof(shown) / 2);
		memcpy(shown + sizeof(shown) / 2, text + n - sizeof(shown) / 2 + 1,
		       sizeof(shown) / 2);
		clean = false; /* may have been cut inside a character */
	}
	for (char *p = shown; !clean && *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	n = strlen(shown);
	if (format_width(shown) <= width || width < 5) {
		snprintf(cell, CELL_MAX, "%s", shown);
		return;
	}
	for (char *p = shown; clean && *p; p++) /* cutting must not split a character */
		if ((unsigned char)*p > '~')
			*p = '?';
	head = (width - 1) / 2;
	tail = width - 1 - head;
	snprintf(cell, CELL_MAX, "%.*s…%s", (int)head, shown, shown + n - tail);
}

char (*table_row(struct table *t))[CELL_MAX]
{
	if (t->rows == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		void *grown = realloc(t->cells, room * sizeof(*t->cells));

		if (!grown)
			return NULL;
		t->cells = grown;
		t->room = room;
	}
	memset(t->cells[t->rows], 0, sizeof(*t->cells));
	return t->cells[t->rows++];
}

static void put(const char *cell, size_t width, bool right, bool last, FILE *to)
{
	int gap = (int)(width - format_width(cell));

	if (right)
		fprintf(to, "%*s%s", gap, "", cell);
	else if (last)
		fputs(cell, to);
	else
		fprintf(to, "%s%*s", cell, gap, "");
	fputs(last ? "\n" : "  ", to);
}

void table_print(const struct table *t, FILE *to)
{
	size_t widths[COLUMNS_MAX];

	for (size_t c = 0; c < t->columns; c++) {
		widths[c] = format_width(t->titles[c]);
		if (widths[c] < t->least[c])
			widths[c] = t->least[c];
		for (size_t r = 0; r < t->rows; r++)
			if (format_width(t->cells[r][c]) > widths[c])
				widths[c] = format_width(t->cells[r][c]);
	}
	for (size_t c = 0; c < t->columns && !t->untitled; c++)
		put(t->titles[c], widths[c], t->right[c], c + 1 == t->columns, to);
	for (size_t r = 0; r < t->rows; r++)
		for (size_t c = 0; c < t->columns; c++)
			put(t->cells[r][c], widths[c], t->right[c], c + 1 == t->columns, to);
}

void table_free(struct table *t)
{
	free(t->cells);
	t->cells = NULL;
	t->rows = t->room = 0;
}
