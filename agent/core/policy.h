/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Billing policies as data: what a platform's bill rests on, and what it charges for it.
 *
 * The presets are policies.json beside this file, built into the program; a file of the user's adds
 * policies and replaces presets by name. Rules and prices with their dates and sources stand in the
 * data, never in code. The arithmetic is billing.h's, the sums of many records compare.h's.
 *
 *	{"schema":"oncpu.policies/1","policies":[{
 *	 "name":"acme","version":1,"title":"ACME Functions","currency":"USD",
 *	 "rule":{"text":"…","date":"2026-01-31","source":"https://…","verified":true},
 *	 "time":{"basis":"wall","granularity_ns":1000000,"minimum_ns":0,
 *		 "init":false,"restore":false,"after_response":true,"between":false},
 *	 "memory":{"size":"configured","default_mb":128,"price":{"e12":16666700,"per":1,
 *		   "date":"2026-01-31","source":"https://…","verified":true}},
 *	 "cpu":{"vcpus":"configured","default_milli":1000,"price":{…}},
 *	 "request":{"price":{"e12":200000000000,"per":1000000,…}},
 *	 "free_tier":{"gib_seconds":400000,"vcpu_seconds":0,"requests":1000000}}]}
 *
 * A price is `e12` 10⁻¹² currency units for `per` units, and the unit is a GiB-second of memory
 * (1 GiB = 1,024 MB, which the platforms that say GB mean, too), a vCPU-second, or a request.
 *
 * time.basis	wall	from start to end, waits included; asleep on its own wish excluded
 *		cpu	CPU time
 *		life	the instance's whole life: init, what lies between, invocations. Each record
 *			has its own exact share; the rounding is in the share of the closing record
 *		floor	the larger of reserved vCPUs × wall and of CPU time
 * time.init	a cold start's init belongs to the basis, and is rounded with it: one sum, one
 *		rounding. restore: likewise a restore from a snapshot
 * time.after_response	what comes after the answer belongs to the basis
 * time.between	so does what the instance does between two invocations
 * memory.size	configured, observed (the peak, up to a multiple of step_mb), or max of both;
 *		within minimum_mb … maximum_mb; default_mb where nothing is configured. Peaks are
 *		kept in the classes of bill_memory_class: a finer step_mb has no effect
 * memory.time	a rule of its own, where memory is metered by another time than the rest
 * cpu.vcpus	configured (quota ÷ period, default_milli without one) or one: the basis is
 *		vCPU time already
 */
#ifndef ONCPU_CORE_POLICY_H
#define ONCPU_CORE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_writer.h"
#include "core/record.h"

#define POLICY_NAME_LEN 24 /* as in struct record_billed */
#define POLICY_TITLE_LEN 80
#define POLICY_TEXT_LEN 400
#define POLICY_SOURCE_LEN 200
#define POLICY_DATE_LEN 11
#define POLICY_ERROR_LEN 512
#define POLICIES_MAX 64
#define POLICIES_MAX_RULES 96	  /* different ones, all policies together */
#define POLICIES_MAX_BYTES 262144 /* of a file */

enum bill_basis { BILL_WALL, BILL_CPU, BILL_LIFE, BILL_FLOOR, BILL_BASIS_COUNT };

/* How a time is billed. Two policies with the same rule bill the same time. */
struct bill_rule {
	enum bill_basis basis;
	bool init, restore, after_response, between;
	int64_t granularity_ns; /* ≥ 1; billed time is a multiple of it, rounded up */
	int64_t minimum_ns;	/* a multiple of it, too */
	int64_t vcpu_milli;	/* BILL_FLOOR: reserved where nothing is configured, else 0 */
};

enum bill_size { BILL_SIZE_CONFIGURED, BILL_SIZE_OBSERVED, BILL_SIZE_MAX, BILL_SIZE_COUNT };
enum bill_vcpus { BILL_VCPUS_CONFIGURED, BILL_VCPUS_ONE, BILL_VCPUS_COUNT };

struct bill_price {
	int64_t e12, per; /* per ≥ 1 */
	char date[POLICY_DATE_LEN];
	char source[POLICY_SOURCE_LEN];
	bool verified; /* read at the platform's own place */
};

struct policy {
	char name[POLICY_NAME_LEN];
	uint32_t version; /* changes with whatever changes a bill */
	char title[POLICY_TITLE_LEN];
	char currency[4];
	char text[POLICY_TEXT_LEN]; /* the rule in words */
	char rule_date[POLICY_DATE_LEN];
	char rule_source[POLICY_SOURCE_LEN];
	bool rule_verified;

	unsigned time; /* index of the rule of its billed time, in the set's rules */
	bool has_memory, has_cpu, has_request;
	unsigned memory_time;
	enum bill_size size;
	int64_t default_mb, step_mb, minimum_mb, maximum_mb; /* maximum 0 = none */
	struct bill_price memory_price;
	enum bill_vcpus vcpus;
	int64_t default_milli;
	struct bill_price cpu_price;
	struct bill_price request_price;
	bool has_free_tier;
	int64_t free_gib_seconds, free_vcpu_seconds, free_requests; /* a month */
};

/* A set of policies, unchanged once made. */
struct policies {
	struct policy list[POLICIES_MAX];
	unsigned count;
	struct bill_rule rules[POLICIES_MAX_RULES]; /* each once */
	unsigned twins[POLICIES_MAX_RULES];	    /* index of the same rule without rounding */
	unsigned rule_count;
	unsigned stored[RECORD_MAX_BILLED]; /* policies whose billed time a record keeps */
	unsigned stored_count;
	unsigned host; /* the host's own policy: the first one asked for where none is named */
};

/* The presets. Never NULL, never freed: parsed once, constant from then on. */
const struct policies *policies_embedded(void);

/*
 * The presets, with those of a file's text added or replaced by name (NULL = none), and with
 * `host` as the host's own policy (NULL = aws-lambda). 0; -EINVAL with one line "NAME: path: why
 * (cure)" in error; -ENOMEM. `name` is how the file is called in that line.
 */
int policies_parse(const char *name, const char *text, size_t size, const char *host,
		   struct policies **ret_policies, char error[POLICY_ERROR_LEN]);
void policies_free(struct policies **policies); /* NULL-safe, clears */

const struct policy *policies_find(const struct policies *set, const char *name); /* or NULL */
const char *bill_basis_name(enum bill_basis basis);
/* One rule in one canonical line: equal texts, equal bills. */
void bill_rule_text(const struct bill_rule *rule, char *buffer, size_t size);
#define BILL_RULE_TEXT_LEN 96

/* {"schema":"oncpu.policies/1","host":…,"policies":[…]}: bytes, or -ENOSPC. */
#define POLICIES_JSON_MAX 262144
int policies_json(const struct policies *set, char *buffer, size_t size);
/* One policy, as an object that policies_parse reads. */
void policy_json(struct json_writer *w, const struct policies *set, const struct policy *policy);

#endif
