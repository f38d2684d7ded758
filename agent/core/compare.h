/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What policies charge for many records: sums of exact integers, and money rounded once.
 *
 * Records with the same key (bill_key) are a group; a group carries the sums of their times and,
 * per rule of the policy set, the sum of their billed times. Groups come from the ledger's roll-up,
 * from its rows, or from lines of a file, and add up in any order to the same.
 *
 * Billed time splits into parts that add up to it exactly, record by record and so in any sum:
 *
 *	billed = on-CPU + waiting + init + after_response + between + rounding
 *	on-CPU		cpu_ns, start to end
 *	waiting		of the time up to the answer, what was not on-CPU; negative where several
 *			threads ran at once: then the platform billed less than they used
 *	init		what the rule counts of a cold start's init, and of a restore
 *	after_response	of the time after the answer, what the rule counts less its on-CPU time
 *	between		what the rule counts of the time between invocations
 *	rounding	billed − basis
 *
 * (Of the basis floor, waiting is what was reserved and not used. init is then part of it.)
 *
 * Money. A meter charges Σ over the groups of (billed time × amount), with amount = the memory or
 * vCPUs that the policy bills. That sum is exact (128 bits); it is divided and rounded, half up, to
 * 10⁻¹² currency units once. A cost is the sum of its meters' lines and of the request fee, as on a
 * bill; a total of several functions is the sum of theirs. So no figure depends on the order in
 * which anything was added.
 *
 *	memory:  Σ(ns × MB) × e12 ÷ (1024 × 10⁹ × per)		1 GB-s = 1,024 MB-s (Azure: MB-ms ÷
 *	vCPU:	 Σ(ns × thousandths) × e12 ÷ (1000 × 10⁹ × per)	1,024,000; DigitalOcean: GiB-s)
 *	request: count × e12 ÷ per
 *
 * The parts in money: each nanosecond at the price of the memory that was really used (the peak's
 * class, where it is known) and of the vCPUs; what is billed for memory beyond it is the part
 * `memory`. Parts are cut from the meter's line as differences of rounded running sums, so they add
 * up to it exactly, each within 10⁻¹² of its own value.
 */
#ifndef ONCPU_CORE_COMPARE_H
#define ONCPU_CORE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/billing.h"

/* A month is 730 hours, as AWS's calculator has it. */
#define COMPARE_MONTH_NS (730 * 3600 * 1000000000ll)

struct bill_group {
	struct bill_key key;
	uint64_t count;	     /* invocations; a group of closed instances has none */
	int64_t first_ns;    /* earliest start, realtime; INT64_MAX = none */
	int64_t last_ns;     /* latest end; INT64_MIN = none */
	uint64_t recomputed; /* of them, summed from rows because the roll-up lacked a rule */
	int64_t times[BILL_TIMES];
	int64_t billed[POLICIES_MAX_RULES]; /* per rule of the set */
};
void bill_group_begin(struct bill_group *group, const struct bill_key *key);
void bill_group_add_record(struct bill_group *group, const struct policies *set,
			   const struct invocation_record *record);
void bill_group_add_times(struct bill_group *group, const struct policies *set,
			  const int64_t times[BILL_TIMES]);
void bill_group_add_close(struct bill_group *group, const struct policies *set,
			  const struct instance_record *record);
void bill_group_merge(struct bill_group *into, const struct bill_group *from, unsigned rules);
bool bill_key_equal(const struct bill_key *a, const struct bill_key *b);
uint64_t bill_key_hash(const struct bill_key *key);

enum bill_part {
	BILL_PART_WAITING,
	BILL_PART_INIT,
	BILL_PART_AFTER,
	BILL_PART_BETWEEN,
	BILL_PART_ROUNDING,
	BILL_PARTS
};
const char *bill_part_name(enum bill_part part); /* "waiting", … */

struct bill_cost {
	uint64_t count;
	bool billable;	/* false: it rests on CPU time, and for some record nobody knows that */
	bool split;	/* the parts are known: CPU time of every record is */
	bool saturated; /* a figure was beyond its type, and stands at its end */
	int64_t billed_ns, cpu_ns;
	int64_t parts_ns[BILL_PARTS]; /* add up to billed_ns − cpu_ns */
	int64_t memory_cost_e12, cpu_cost_e12, request_e12, cost_e12; /* the last is their sum */
	int64_t used_e12, parts_e12[BILL_PARTS], memory_e12; /* with request_e12 add up to cost */
	__int128 mb_ns, milli_ns; /* what the meters counted: Σ ns × MB, Σ ns × vCPU/1000 */
};
/* What a policy of the set charges for some groups. The share of closed instances is priced at the
 * key of the group with the most invocations. Pure. */
void bill_cost_of(const struct policies *set, const struct policy *policy,
		  const struct bill_group *groups, size_t count, struct bill_cost *ret_cost);
/* What could be saved: the cost without on-CPU time and request fee. */
int64_t bill_cost_waste_e12(const struct bill_cost *cost);
/* round(a × b ÷ c), half up; saturates. c > 0. */
int64_t bill_scale(int64_t a, int64_t b, int64_t c);

/* Which policies are shown, and over which time a month's cost is projected. */
struct compare_choice {
	bool all;
	unsigned shown[POLICIES_MAX], count; /* indexes into the set; the host's own first */
};
/* "a,b,c", "all", or NULL: the host's own, then aws-lambda, cloudflare-workers and on-cpu. 0, or
 * -EINVAL with what is wrong in error. */
int compare_choose(const struct policies *set, const char *names, struct compare_choice *ret_choice,
		   char error[POLICY_ERROR_LEN]);
/* Writes "policies":[…] for some groups; observed_ns > 0 gives a cost per month. */
void compare_policies_json(struct json_writer *w, const struct policies *set,
			   const struct compare_choice *choice, const struct bill_group *groups,
			   size_t count, int64_t observed_ns);
/* "policies":[…] of one record under every policy of the set. */
void compare_record_json(struct json_writer *w, const struct policies *set,
			 const struct invocation_record *record);
#define COMPARE_JSON_MAX 65536 /* enough for 64 policies */

#endif
