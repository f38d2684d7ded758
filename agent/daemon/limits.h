/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel side had no room for: said in the log once a minute and counter, with the cure;
 * and instances whose end was among it are asked to end again, once there is room.
 */
#ifndef ONCPU_DAEMON_LIMITS_H
#define ONCPU_DAEMON_LIMITS_H

#include <stdint.h>

#include "kern/kern.h"

enum { LIMITS_WATCHED = 6 };

struct limits {
	const struct kern_view *view; /* borrowed */
	int socket;		      /* the attacher's */
	uint64_t looked_ns;
	uint64_t asked_lost; /* events_lost when the table was last looked through; +1, so that 0 =
				never */
	uint64_t told[LIMITS_WATCHED], told_ns[LIMITS_WATCHED];
};

/* Once a second. 0, or -EPIPE: the attacher is gone. */
int limits_run(struct limits *l, uint64_t now_ns);
/* At once: before an answer that should be whole. How many were asked, or -EPIPE. */
int limits_finish(struct limits *l);

#endif
