/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lines of logs summed up: what oncpu price keeps of them, per function, size and quota. One pricer
 * belongs to one thread; what several have gathered adds up to the same in any order.
 */
#ifndef ONCPU_CLI_PRICER_H
#define ONCPU_CLI_PRICER_H

#include "cli/format.h"
#include "cli/lines.h"
#include "core/bill_table.h"

#define PRICER_SHOWN 3

struct priced_function {
	char name[ONCPU_NAME_LEN];
	uint64_t colds, records, reports, stated;
	int64_t stated_ns;	  /* sum of what the platform itself billed, of `stated` lines */
	char first[31], last[31]; /* start and end, RFC 3339; "" = no line told */
};

/* A line that is neither a record nor a report. */
struct priced_neither {
	uint64_t block; /* orders them, with `line`, over all files */
	const char *file;
	uint64_t line;
	char text[CELL_MAX];
};

struct pricer {
	const struct policies *set; /* borrowed, as the next */
	const char *function;	    /* of lines that do not tell one */
	struct bill_table table;    /* its functions are indexes of what follows */
	struct priced_function *functions;
	size_t count, room;
	uint32_t *slots; /* hash by name: index + 1 */
	size_t slot_count;
	uint32_t recent; /* the function of the line before */
	uint64_t lines, records, reports, neither, without_cpu; /* empty lines are none */
	struct priced_neither shown[PRICER_SHOWN];		/* the first ones */
	unsigned shown_count;
};

void pricer_begin(struct pricer *pricer, const struct policies *set, const char *function);
void pricer_free(struct pricer *pricer);
/* A lines_take_fn. 0, -ENOMEM. */
int pricer_take(void *pricer, const struct lines_block *block);
/* Adds up parts in an empty pricer, whose functions then stand in the order of their names. 0,
 * -ENOMEM. */
int pricer_merge(struct pricer *into, const struct pricer *parts, size_t count);

#endif
