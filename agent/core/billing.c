// SPDX-License-Identifier: GPL-2.0
/*
 * The billing policies and their arithmetic: integers only, saturating at the ends of int64.
 * A rule that changes gets a new version, for the record keeps which one billed it.
 */
#include "core/billing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MS 1000000

static const struct billing_policy policies[] = {
	{
		.name = "aws-lambda-2018",
		.version = 1,
		.basis = BILLING_WALL,
		.granularity_ns = 100 * MS,
		.minimum_ns = 100 * MS,
		.include_init = true,
		.source = "AWS Lambda pricing until 2020-12: 100 ms up, cold start included",
	},
	{
		.name = "aws-lambda",
		.version = 1,
		.basis = BILLING_WALL,
		.granularity_ns = MS,
		.minimum_ns = 0,
		.include_init = true,
		.source = "AWS Lambda since 2025-08: ceil(duration + init) to 1 ms",
	},
	{
		.name = "on-cpu",
		.version = 1,
		.basis = BILLING_CPU,
		.granularity_ns = 1,
		.minimum_ns = 0,
		.include_init = false,
		.source = "oncpu: exact CPU time of the invocation; init is a line of its own",
	},
};
#define POLICY_COUNT (sizeof(policies) / sizeof(policies[0]))
_Static_assert(POLICY_COUNT <= RECORD_MAX_BILLED, "a record has no room for so many policies");

const struct billing_policy *billing_policy_at(unsigned index)
{
	return index < POLICY_COUNT ? &policies[index] : NULL;
}

const struct billing_policy *billing_policy_find(const char *name)
{
	for (size_t i = 0; i < POLICY_COUNT; i++)
		if (strcmp(policies[i].name, name) == 0)
			return &policies[i];
	return NULL;
}

int64_t billing_round(const struct billing_policy *policy, int64_t basis_ns)
{
	int64_t granule = policy->granularity_ns, rest, billed;

	if (basis_ns < 0)
		basis_ns = 0;
	rest = basis_ns % granule;
	billed = basis_ns - rest;
	if (rest && __builtin_add_overflow(billed, granule, &billed))
		billed = INT64_MAX - INT64_MAX % granule;
	return billed > policy->minimum_ns ? billed : policy->minimum_ns;
}

/* Suspended on its own wish, an invocation does not run and is not billed. */
static int64_t awake_ns(const struct invocation_record *record)
{
	int64_t sum = 0;

	if (!record->segment_count)
		return record->wall_ns;
	for (uint32_t i = 0; i < record->segment_count && i < RECORD_MAX_SEGMENTS; i++)
		if (__builtin_add_overflow(sum, record->segments[i].wall_ns, &sum))
			return INT64_MAX;
	return sum;
}

int64_t billing_basis_ns(const struct billing_policy *policy,
			 const struct invocation_record *record)
{
	bool wall = policy->basis == BILLING_WALL;
	int64_t basis = wall ? awake_ns(record) : record->cpu_ns;
	int64_t init = wall ? record->init_wall_ns : record->init_cpu_ns;

	/* init_wall_ns tells a record without init (-1) from one with a negative split of its CPU.
	 */
	if (!policy->include_init || !record->cold_start || record->init_wall_ns < 0)
		return basis;
	if (__builtin_add_overflow(basis, init, &basis))
		return init > 0 ? INT64_MAX : INT64_MIN;
	return basis;
}

int64_t billing_billed_ns(const struct billing_policy *policy,
			  const struct invocation_record *record)
{
	return billing_round(policy, billing_basis_ns(policy, record));
}

void billing_apply(struct invocation_record *record)
{
	memset(record->billed, 0, sizeof(record->billed));
	for (size_t i = 0; i < POLICY_COUNT; i++) {
		struct record_billed *billed = &record->billed[i];

		snprintf(billed->policy, sizeof(billed->policy), "%s", policies[i].name);
		billed->version = policies[i].version;
		billed->billed_ns = billing_billed_ns(&policies[i], record);
	}
	record->billed_count = POLICY_COUNT;
}
