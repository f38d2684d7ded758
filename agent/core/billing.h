/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Billed durations, in integers. Rounding happens here and nowhere else.
 * Rules and their sources: see the table in billing.c (from the platforms' own documents).
 */
#ifndef ONCPU_CORE_BILLING_H
#define ONCPU_CORE_BILLING_H

#include <stdint.h>

#include "core/record.h"

enum billing_basis { BILLING_WALL, BILLING_CPU };

struct billing_policy {
	const char *name;
	uint32_t version;
	enum billing_basis basis;
	int64_t granularity_ns; /* ≥ 1; billed time is a multiple of it, rounded up */
	int64_t minimum_ns;
	int include_init;   /* init of a cold start is added to the basis BEFORE rounding */
	const char *source; /* where the rule comes from */
};

/* "aws-lambda-2018", "aws-lambda", "on-cpu", … NULL when unknown. */
const struct billing_policy *billing_policy_find(const char *name);
const struct billing_policy *billing_policy_at(unsigned index); /* NULL past the end */

/* ceil(max(basis, 0) to granularity), at least minimum. Saturates at INT64_MAX rounded down. */
int64_t billing_round(const struct billing_policy *policy, int64_t basis_ns);
/* The basis of a record under a policy, init included where the policy says so. */
int64_t billing_basis_ns(const struct billing_policy *policy,
			 const struct invocation_record *record);
int64_t billing_billed_ns(const struct billing_policy *policy,
			  const struct invocation_record *record);
/* Writes record->billed[] for the three policies. */
void billing_apply(struct invocation_record *record);

#endif
