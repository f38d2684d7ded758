/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Billed time, in integers: the first of the two places where anything is rounded. The other is a
 * meter's money (compare.h).
 *
 *	basis	= the parts of a record's time that the rule counts, exact
 *	billed	= basis up to a multiple of the granularity, at least the minimum
 *
 * Init belongs to the basis before that: ceil(duration + init), never ceil + ceil (AWS since
 * 2025-08: 1307.68 + 1058.15 bills 2366, 1.57 + 487.97 bills 490).
 *
 * Under the basis life a record's billed time is its exact share of the instance's life (init, what
 * lies between, freezes, the stretch awake); the last stretch and the rounding of the whole life
 * are the share of the instance's end (bill_close_ns). A freeze after the last invocation is not in
 * any record, and so not in it.
 *
 * Under the basis floor it is max(reserved vCPUs × wall, CPU time), in vCPU time, over the whole
 * invocation.
 */
#ifndef ONCPU_CORE_BILLING_H
#define ONCPU_CORE_BILLING_H

#include <stdint.h>

#include "core/policy.h"
#include "core/record.h"

/* What rules count, of one record or as a sum of many. */
enum bill_time {
	BILL_AWAKE,	/* start to end, without what it slept on its own wish */
	BILL_USED_CPU,	/* cpu_ns */
	BILL_INIT_WALL, /* of a cold start, else 0 */
	BILL_INIT_CPU,
	BILL_RESTORE, /* from a snapshot, where a line tells; records do not know it */
	BILL_AFTER_WALL,
	BILL_AFTER_CPU,
	BILL_BETWEEN_WALL,
	BILL_BETWEEN_CPU,
	BILL_FREEZE_WALL,
	BILL_LAST_WALL, /* of closed instances: after the last invocation */
	BILL_TIMES
};

#define BILL_MAX_MB (1 << 30) /* a petabyte; what a record says beyond is taken for it */

/* What prices hang on. Records of the same key can be summed before they are priced. */
struct bill_key {
	int64_t memory_mb;  /* configured, -1 = unknown */
	int64_t used_mb;    /* observed peak, in its class, -1 = unknown */
	int64_t vcpu_milli; /* quota ÷ period to a thousandth, half up, -1 = no quota */
	bool no_cpu;	    /* CPU time is not known: a line of a platform that does not tell */
};

#define BILL_KEY_UNKNOWN                                                                           \
	{                                                                                          \
		.memory_mb = -1, .used_mb = -1, .vcpu_milli = -1                                   \
	}

/* Peaks are kept up to the next MB below 128, 16 MB below 2,048, 128 MB beyond: so the number of
 * keys is bounded, whatever functions do. -1 stays. */
int64_t bill_memory_class(int64_t bytes);
void bill_times_of_record(const struct invocation_record *record, int64_t ret_times[BILL_TIMES]);
struct bill_key bill_key_of_record(const struct invocation_record *record);

/* The basis; saturates at the ends of int64. vcpu_milli -1 = the rule's own. */
int64_t bill_basis_ns(const struct bill_rule *rule, const int64_t times[BILL_TIMES],
		      int64_t vcpu_milli);
/* ceil(max(basis, 0) to granularity), at least minimum. Saturates at INT64_MAX rounded down. */
int64_t bill_round(const struct bill_rule *rule, int64_t basis_ns);
int64_t bill_billed_ns(const struct bill_rule *rule, const int64_t times[BILL_TIMES],
		       int64_t vcpu_milli);
/* The share of an instance's end under the basis life, else 0: the last stretch and the rounding.
 */
int64_t bill_close_ns(const struct bill_rule *rule, const struct instance_record *record);

/* Billed time of a record under a policy. */
int64_t billing_billed_ns(const struct policies *set, const struct policy *policy,
			  const struct invocation_record *record);
/* Writes record->billed[]: the set's stored policies, with their versions. */
void billing_apply(const struct policies *set, struct invocation_record *record);

#endif
