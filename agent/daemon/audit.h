/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The audit while the agent runs: every open instance that has a cgroup is compared with the
 * kernel's own total of it, one round every `every_ns`, a few at a time; and once more at its end,
 * if its cgroup is still there. The attacher reads, core/audit.h judges.
 */
#ifndef ONCPU_DAEMON_AUDIT_H
#define ONCPU_DAEMON_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/pipeline.h"

#define AUDIT_TICK_EVERY_NS 50000000ull

struct audit;

struct audit_counters {
	uint64_t readings, at_rest; /* of these, no thread was running */
	uint64_t mismatches, unreadable;
	int64_t difference_ns; /* K − kernel: of those at rest, as last seen, and of those over */
	int64_t worst_ns;      /* of one instance, the farthest from 0 */
	char last[256];	       /* the last mismatch, with its likely cause; "" = none */
};

/* `socket`: the attacher's. every_ns 0 = no audit. 0, -ENOMEM. */
int audit_new(int socket, uint64_t every_ns, struct audit **ret_audit);
void audit_free(struct audit **audit);

/* A few instances, if it is time. 0, or -EPIPE: the attacher is gone. */
int audit_run(struct audit *a, struct pipeline *p, uint64_t now_ns, int64_t now_realtime_ns);

/* Before the EXIT of an instance is handled: a last comparison (pipeline_config.before_exit). */
void audit_at_exit(void *audit, struct pipeline *p, const struct oncpu_event *exit_event);

void audit_state(const struct audit *a, const struct pipeline *p,
		 struct audit_counters *ret_counters);

#endif
