/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an invocation would take and cost with another CPU quota. Pure.
 *
 * The quota law (EuroSys'26, "Demystifying Serverless Costs"): under a quota of Q every period P, a
 * need of C CPU takes
 *
 *	wall = floor(C/Q)·P + (C mod Q)		and (C/Q − 1)·P + Q where the remainder is 0
 *
 * With p threads at once the quota of a period is used up p times as fast: the last part is divided
 * by p, and a quota of p vCPUs or more throttles nothing: wall = C/p. For p = 1 it is the law.
 *
 * Of a record: C = cpu_ns; p = cpu_ns ÷ the time in which a thread ran (`where`), 1 if that is
 * less than 1.25, for both are measured at other instants; and
 * what it waited for anything but CPU (blocked, idle) is added unchanged. Where `where` was not
 * measured, p is cpu_ns ÷ wall, and what it waited is the wall time less what it ran, less the time
 * on the run queue or what the law gives for the quota it ran under, whichever is more. Init
 * likewise, with p = 1.
 *
 * Assumed: the same work takes the same CPU time at every size, and every invocation begins with a
 * fresh period, as the study has it. That is the worst case: Linux's periods keep their phase while
 * nothing runs, and who begins late in one gets two quotas soon after each other. AWS gives 1 vCPU
 *at 1,769 MB, in proportion above and below; its period of 20 ms is unverified.
 */
#ifndef ONCPU_CORE_FORECAST_H
#define ONCPU_CORE_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/compare.h"

#define FORECAST_MB_PER_VCPU 1769
#define FORECAST_PERIOD_NS 20000000

/* Wall time of `need` under the law, all ≥ 0 but period and quota > 0; parallel ≥ 1000 is p in
 * thousandths. Saturates. */
int64_t forecast_wall_ns(int64_t need_ns, int64_t quota_ns, int64_t period_ns, int64_t parallel);
/* The quota of a period at a memory size on AWS's scale, at least 1 ns. */
int64_t forecast_quota_ns(int64_t memory_mb, int64_t period_ns);

struct forecast_record {
	int64_t wall_ns, cpu_ns, init_wall_ns, init_cpu_ns; /* wall: awake; init 0 without one */
	int64_t quota_us, period_us;			    /* -1 = it ran without */
	int64_t run_queue_ns;				    /* of all threads, -1 = unknown */
	int64_t running_ns, waiting_ns;			    /* of `where`, -1 = not measured */
	int64_t used_mb;				    /* bill_memory_class, -1 = unknown */
	bool no_init;					    /* no cold start */
};
/* The times of that record at another size, as policies bill them. */
void forecast_times(const struct forecast_record *record, int64_t memory_mb, int64_t period_ns,
		    int64_t ret_times[BILL_TIMES]);

#endif
