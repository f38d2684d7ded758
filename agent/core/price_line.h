/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One line of a log or of an export, as something that can be priced:
 *
 *	an oncpu.invocation/1 record
 *	an AWS REPORT line, with anything before it, its fields in any order, between tabs or
 *blanks: REPORT RequestId: <id>\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\t
 *	  Max Memory Used: 35 MB\tInit Duration: 150.20 ms\t
 *	  (also Restore Duration and Billed Restore Duration, and our On-CPU)
 *	a platform.report of the Telemetry API (durationMs, billedDurationMs, memorySizeMB, …)
 *	JSON with a REPORT line in "message" or "@message", as CloudWatch exports it; the function
 *is taken from "logGroup" or "@log", what follows the last '/'
 *
 * Written for a million lines in two seconds, which a tree of every line would not allow: a single
 * pass without memory of its own, that skips what it does not know. Numbers are exact; what is
 * malformed in a field that counts makes the line NEITHER. Pure, and bounded by the line.
 */
#ifndef ONCPU_CORE_PRICE_LINE_H
#define ONCPU_CORE_PRICE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/billing.h"

enum price_line_kind { PRICE_LINE_NEITHER, PRICE_LINE_RECORD, PRICE_LINE_REPORT };

struct price_line {
	enum price_line_kind kind;
	char function[ONCPU_NAME_LEN]; /* "" = the line does not tell */
	struct bill_key key;
	int64_t times[BILL_TIMES];
	int64_t stated_ns; /* billed, as the platform itself says; -1 = it does not */
	char start[31];	   /* RFC 3339 of a record, "" = not told: they compare as text */
	char end[31];
};
/* line[length] need not be NUL. */
void price_line_parse(const char *line, size_t length, struct price_line *ret_line);

#endif
