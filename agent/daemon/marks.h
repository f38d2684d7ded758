/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The worker's part in attaching: takes the kernel's requests, finds the marks in the files (the
 * only code that parses what strangers wrote, so it runs without privileges) and has them attached.
 */
#ifndef ONCPU_DAEMON_MARKS_H
#define ONCPU_DAEMON_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"

struct marks;

struct marks_counters {
	uint64_t requests, objects, sites, failures, continued, throttled;
};

/* `socket` to the attacher and `view` stay the caller's. 0, -ENOMEM. */
int marks_new(int socket, struct kern_view *view, struct marks **ret_marks);
void marks_free(struct marks **marks);

/* Attaches the symbols that the configuration names. On failure *error says FILE:LINE and cure. */
int marks_attach_configured(struct marks *m, const struct agent_config *config,
			    char error[CONFIG_ERROR_LEN]);

/*
 * Handles waiting requests, some at a time. 1: more may wait, call again soon; 0: none left;
 * -EPIPE: the attacher is gone; -EBADMSG: it talks nonsense.
 */
int marks_handle(struct marks *m, uint64_t now_ns);

/* Attaches for and continues whoever is still stopped for attaching, e.g. by a killed agent. */
int marks_sweep(struct marks *m);

const struct marks_counters *marks_counters(const struct marks *m);

#endif
