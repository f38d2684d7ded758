// SPDX-License-Identifier: GPL-2.0
/* The quota law. See forecast.h. */
#include "core/forecast.h"

#include <string.h>

static int64_t clamp(__int128 value)
{
	return value > INT64_MAX ? INT64_MAX : value < 0 ? 0 : (int64_t)value;
}

int64_t forecast_wall_ns(int64_t need_ns, int64_t quota_ns, int64_t period_ns, int64_t parallel)
{
	__int128 full, rest;

	if (need_ns <= 0)
		return 0;
	if ((__int128)quota_ns * 1000 >= (__int128)period_ns * parallel)
		return clamp((__int128)need_ns * 1000 / parallel);
	full = need_ns / quota_ns;
	rest = need_ns % quota_ns;
	if (rest == 0) { /* it ends with the quota of its last period */
		full--;
		rest = quota_ns;
	}
	return clamp(full * period_ns + rest * 1000 / parallel);
}

int64_t forecast_quota_ns(int64_t memory_mb, int64_t period_ns)
{
	int64_t quota = clamp((__int128)period_ns * memory_mb / FORECAST_MB_PER_VCPU);

	return quota > 0 ? quota : 1;
}

/* What passed that no CPU would have shortened. */
static int64_t waited(const struct forecast_record *r, int64_t wall_ns, int64_t cpu_ns,
		      int64_t run_queue_ns, int64_t parallel)
{
	__int128 ran = (__int128)cpu_ns * 1000 / parallel;
	__int128 busy = ran + (__int128)(run_queue_ns > 0 ? run_queue_ns : 0) * 1000 / parallel;
	int64_t law = r->quota_us > 0 && r->period_us > 0
			      ? forecast_wall_ns(cpu_ns, clamp((__int128)r->quota_us * 1000),
						 clamp((__int128)r->period_us * 1000), parallel)
			      : 0;

	if (busy < law)
		busy = law;
	return clamp(wall_ns - busy);
}

void forecast_times(const struct forecast_record *r, int64_t memory_mb, int64_t period_ns,
		    int64_t ret_times[BILL_TIMES])
{
	int64_t quota = forecast_quota_ns(memory_mb, period_ns), parallel = 1000, waiting;
	int64_t ran = r->running_ns > 0 ? r->running_ns : r->wall_ns;

	memset(ret_times, 0, BILL_TIMES * sizeof(*ret_times));
	if (ran > 0 && r->cpu_ns - ran > ran / 4)
		parallel = bill_scale(r->cpu_ns, 1000, ran);
	waiting = r->running_ns >= 0 && r->waiting_ns >= 0
			  ? r->waiting_ns
			  : waited(r, r->wall_ns, r->cpu_ns, r->run_queue_ns, parallel);
	ret_times[BILL_USED_CPU] = r->cpu_ns;
	ret_times[BILL_AWAKE] =
		clamp((__int128)waiting + forecast_wall_ns(r->cpu_ns, quota, period_ns, parallel));
	if (r->no_init)
		return;
	ret_times[BILL_INIT_CPU] = r->init_cpu_ns;
	ret_times[BILL_INIT_WALL] =
		clamp((__int128)waited(r, r->init_wall_ns, r->init_cpu_ns, 0, 1000) +
		      forecast_wall_ns(r->init_cpu_ns, quota, period_ns, 1000));
}
