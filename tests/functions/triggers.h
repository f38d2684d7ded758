/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's side of the sample functions: triggers come as lines of ids on standard input, or from
 * ourselves with --count N, a few milliseconds apart, as a queue would send them.
 */
#ifndef ONCPU_TESTS_TRIGGERS_H
#define ONCPU_TESTS_TRIGGERS_H

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oncpu/runtime.h"

struct triggers {
	const char *function;
	long count, done; /* count < 0: from standard input */
	char id[80];
};

static inline void triggers_from(struct triggers *t, int argc, char **argv, const char *function)
{
	*t = (struct triggers){ .function = function, .count = -1 };
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--function"))
			t->function = argv[i + 1];
		else if (!strcmp(argv[i], "--count"))
			t->count = atol(argv[i + 1]);
	}
}

/* Waits for the next trigger and begins its invocation; 0 when there are no more. */
static inline int triggers_next(struct triggers *t)
{
	if (t->count >= 0) {
		if (t->done == t->count)
			return 0;
		if (t->done)
			poll(NULL, 0, 3); /* the next message is on its way */
		snprintf(t->id, sizeof(t->id), "%s-%ld", t->function, t->done + 1);
	} else {
		if (!fgets(t->id, sizeof(t->id), stdin))
			return 0;
		t->id[strcspn(t->id, "\n")] = 0;
	}
	if (t->done++)
		oncpu_receive_invoke(t->id);
	else
		oncpu_receive_start(t->function, t->id);
	return 1;
}

#endif
