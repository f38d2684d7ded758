/* SPDX-License-Identifier: GPL-2.0 */
/* Amounts of 10⁻¹² currency units, for people. Pure. */
#ifndef ONCPU_CLI_MONEY_H
#define ONCPU_CLI_MONEY_H

#include "cli/format.h"

/* "$0.4417", "€12.30", "CHF 0.0000021": four significant digits, of amounts from 1,000 on two
 * decimals; rounded half away from zero; "0" for nothing at all. */
void format_money(int64_t e12, const char *currency, char cell[CELL_MAX]);
/* The same amount, exact: "0.000000000001". */
void format_decimal(__int128 value, int decimals, char cell[CELL_MAX]);

#endif
