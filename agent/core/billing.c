// SPDX-License-Identifier: GPL-2.0
/* The arithmetic of billed time: integers only, saturating at the ends of int64. See billing.h. */
#include "core/billing.h"

#include <stdio.h>
#include <string.h>

static int64_t clamp(__int128 value)
{
	return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

/* Suspended on its own wish, an invocation does not run and is not billed. */
static int64_t awake_ns(const struct invocation_record *record)
{
	__int128 sum = 0;

	if (!record->segment_count)
		return record->wall_ns;
	for (uint32_t i = 0; i < record->segment_count && i < RECORD_MAX_SEGMENTS; i++)
		sum += record->segments[i].wall_ns;
	return clamp(sum);
}

int64_t bill_memory_class(int64_t bytes)
{
	int64_t mb, step;

	if (bytes < 0)
		return -1;
	mb = (bytes >> 20) + ((bytes & 0xfffff) != 0);
	step = mb <= 128 ? 1 : mb <= 2048 ? 16 : 128;
	return (mb + step - 1) / step * step;
}

void bill_times_of_record(const struct invocation_record *record, int64_t ret_times[BILL_TIMES])
{
	/* init_wall_ns tells a record without init (-1) from one with a negative split of its CPU.
	 */
	bool init = record->cold_start && record->init_wall_ns >= 0;

	memset(ret_times, 0, BILL_TIMES * sizeof(*ret_times));
	ret_times[BILL_AWAKE] = awake_ns(record);
	ret_times[BILL_USED_CPU] = record->cpu_ns;
	ret_times[BILL_INIT_WALL] = init ? record->init_wall_ns : 0;
	ret_times[BILL_INIT_CPU] = init ? record->init_cpu_ns : 0;
	ret_times[BILL_AFTER_WALL] = record->after_response_wall_ns;
	ret_times[BILL_AFTER_CPU] = record->after_response_cpu_ns;
	ret_times[BILL_BETWEEN_WALL] = record->between_wall_ns;
	ret_times[BILL_BETWEEN_CPU] = record->between_cpu_ns;
	ret_times[BILL_FREEZE_WALL] = record->freeze_wall_ns;
}

struct bill_key bill_key_of_record(const struct invocation_record *record)
{
	struct bill_key key = { .memory_mb = record->memory_mb <= 0	       ? -1
					     : record->memory_mb > BILL_MAX_MB ? BILL_MAX_MB
									       : record->memory_mb,
				.used_mb = bill_memory_class(record->max_memory_bytes),
				.vcpu_milli = -1 };

	if (record->quota_us > 0 && record->period_us > 0)
		key.vcpu_milli = clamp(((__int128)record->quota_us * 2000 + record->period_us) /
				       ((__int128)record->period_us * 2));
	return key;
}

static __int128 floor_basis(const struct bill_rule *rule, const int64_t times[BILL_TIMES],
			    int64_t vcpu_milli)
{
	__int128 wall = times[BILL_AWAKE], used = times[BILL_USED_CPU];
	__int128 reserved;

	if (rule->init) {
		wall += times[BILL_INIT_WALL];
		used += times[BILL_INIT_CPU];
	}
	reserved = wall * (vcpu_milli >= 0 ? vcpu_milli : rule->vcpu_milli);
	reserved = reserved > 0 ? (reserved + 999) / 1000 : 0;
	return reserved > used ? reserved : used;
}

int64_t bill_basis_ns(const struct bill_rule *rule, const int64_t times[BILL_TIMES],
		      int64_t vcpu_milli)
{
	bool cpu = rule->basis == BILL_CPU;
	__int128 basis;

	if (rule->basis == BILL_FLOOR)
		return clamp(floor_basis(rule, times, vcpu_milli));
	basis = times[cpu ? BILL_USED_CPU : BILL_AWAKE];
	if (rule->init)
		basis += times[cpu ? BILL_INIT_CPU : BILL_INIT_WALL];
	if (rule->restore && !cpu)
		basis += times[BILL_RESTORE];
	if (!rule->after_response)
		basis -= times[cpu ? BILL_AFTER_CPU : BILL_AFTER_WALL];
	if (rule->between && cpu)
		basis += times[BILL_BETWEEN_CPU];
	else if (rule->between)
		basis += (__int128)times[BILL_BETWEEN_WALL] + times[BILL_FREEZE_WALL];
	if (rule->basis == BILL_LIFE)
		basis += times[BILL_LAST_WALL];
	return clamp(basis);
}

int64_t bill_round(const struct bill_rule *rule, int64_t basis_ns)
{
	int64_t granule = rule->granularity_ns, rest, billed;

	if (basis_ns < 0)
		basis_ns = 0;
	rest = basis_ns % granule;
	billed = basis_ns - rest;
	if (rest && __builtin_add_overflow(billed, granule, &billed))
		billed = INT64_MAX - INT64_MAX % granule;
	return billed > rule->minimum_ns ? billed : rule->minimum_ns;
}

int64_t bill_billed_ns(const struct bill_rule *rule, const int64_t times[BILL_TIMES],
		       int64_t vcpu_milli)
{
	int64_t basis = bill_basis_ns(rule, times, vcpu_milli);

	if (rule->basis == BILL_LIFE)
		return basis > 0 ? basis : 0;
	return bill_round(rule, basis);
}

int64_t bill_close_ns(const struct bill_rule *rule, const struct instance_record *record)
{
	__int128 life = (__int128)record->end_realtime_ns - record->start_realtime_ns;
	int64_t whole = clamp(life > 0 ? life : 0);

	if (rule->basis != BILL_LIFE)
		return 0;
	return clamp((__int128)record->last_between_wall_ns + bill_round(rule, whole) - whole);
}

int64_t billing_billed_ns(const struct policies *set, const struct policy *policy,
			  const struct invocation_record *record)
{
	int64_t times[BILL_TIMES];

	bill_times_of_record(record, times);
	return bill_billed_ns(&set->rules[policy->time], times,
			      bill_key_of_record(record).vcpu_milli);
}

void billing_apply(const struct policies *set, struct invocation_record *record)
{
	memset(record->billed, 0, sizeof(record->billed));
	for (unsigned i = 0; i < set->stored_count; i++) {
		const struct policy *policy = &set->list[set->stored[i]];
		struct record_billed *billed = &record->billed[i];

		memcpy(billed->policy, policy->name, sizeof(billed->policy));
		billed->version = policy->version;
		billed->billed_ns = billing_billed_ns(set, policy, record);
	}
	record->billed_count = set->stored_count;
}
