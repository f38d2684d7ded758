// SPDX-License-Identifier: GPL-2.0
/* See money.h. */
#include "cli/money.h"

#include <stdlib.h>
#include <string.h>

/* value ÷ 10^decimals; zeros at the end go, but for the first `keep` decimals. */
static void put(__int128 value, int decimals, int keep, char cell[CELL_MAX])
{
	unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
	char digits[64];
	int n = 0, at = 0;

	do {
		digits[n++] = (char)('0' + (int)(rest % 10));
		rest /= 10;
	} while (rest || n <= decimals);
	if (value < 0)
		cell[at++] = '-';
	while (n > 0) {
		cell[at++] = digits[--n];
		if (n == decimals && n > 0)
			cell[at++] = '.';
	}
	for (; decimals > keep && cell[at - 1] == '0'; decimals--)
		at--;
	if (cell[at - 1] == '.')
		at--;
	cell[at] = '\0';
}

void format_decimal(__int128 value, int decimals, char cell[CELL_MAX])
{
	put(value, decimals, 0, cell);
}

void format_money(int64_t e12, const char *currency, char cell[CELL_MAX])
{
	static const char *const symbols[][2] = { { "USD", "$" }, { "EUR", "€" }, { "GBP", "£" } };
	__int128 value = e12 < 0 ? -(__int128)e12 : e12, unit = 1;
	char amount[CELL_MAX], sign[8];
	int decimals = 12;

	if (!value) {
		snprintf(cell, CELL_MAX, "0");
		return;
	}
	for (; decimals > 2 && value / unit >= 10000; decimals--)
		unit *= 10;
	value = (value + unit / 2) / unit;
	if (value >= 10000 && decimals > 2) {
		value /= 10; /* it rounded up to a power of ten */
		decimals--;
	}
	put(value, decimals, 2, amount);
	snprintf(sign, sizeof(sign), "%.3s ", currency);
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (strcmp(symbols[i][0], currency) == 0)
			snprintf(sign, sizeof(sign), "%s", symbols[i][1]);
	snprintf(cell, CELL_MAX, "%s%s%.100s", e12 < 0 ? "-" : "", sign, amount);
}
