/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Metrics: what records add up to, per function. Pure: one plain value without pointers, so that a
 * copy of it can be written out elsewhere. Counters begin at zero with the agent, as Prometheus
 * expects them to.
 *
 * Functions are capped: what has no room shares one entry, "_other", so that nobody who makes up
 * names makes the metrics grow. Invocations and tenants are never labels.
 */
#ifndef ONCPU_CORE_METRICS_H
#define ONCPU_CORE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric {
#define METRIC(id, type, name, unit, labels, prose) METRIC_##id,
#include "core/metrics.def"
#undef METRIC
	METRIC_COUNT
};
#define METRIC_FIRST_OF_HOST METRIC_FUNCTIONS

struct metric_info {
	const char *name, *unit, *labels, *prose; /* labels: "a,b", "" = none */
	enum metric_type type;
};
const struct metric_info *metric_info(enum metric metric); /* NULL outside the range */
const char *metric_type_name(enum metric_type type);

#define METRICS_FUNCTIONS 200 /* with series of their own; and one more for all others */
#define METRICS_OTHER "_other"
#define METRICS_SLOTS 1024 /* of the hash; a power of two */
#define METRICS_POLICIES 8
#define METRICS_BUCKETS 24
#define METRICS_ACCOUNTS 5
#define METRICS_STATES 6

/* What falls to a bound or below it, not cumulative; the last bucket is beyond all bounds. */
struct metrics_histogram {
	uint64_t count[METRICS_BUCKETS + 1];
	int64_t sum;
};

/* Upper bounds, ascending, in the unit of the values: ns or bytes. */
struct metrics_bounds {
	unsigned count;
	int64_t bound[METRICS_BUCKETS];
};
extern const struct metrics_bounds metrics_faas_bounds, metrics_fine_bounds, metrics_memory_bounds;
/* Those of a histogram among the metrics; NULL for another metric. */
const struct metrics_bounds *metrics_bounds_of(enum metric metric);

struct metrics_function {
	char name[ONCPU_NAME_LEN]; /* clean text, as the records' */
	struct metrics_histogram wall_faas, init_faas, cpu_faas, memory, wall, cpu;
	uint64_t status[ONCPU_STATUS_COUNT + 1]; /* the last one: none of ours */
	uint64_t cold_starts, flagged;
	/* In metrics_account_names' order. A part that concurrent boundaries made negative takes
	 * something back: a counter waits, then, until it is made up for. */
	int64_t account_ns[METRICS_ACCOUNTS], account_shown_ns[METRICS_ACCOUNTS];
	int64_t where_ns[METRICS_STATES];
	int64_t run_queue_ns, error_bound_ns;
	int64_t billed_ns[METRICS_POLICIES];
	uint64_t instances_closed, audits, audit_mismatches;
	int64_t audit_difference_ns;
	/* for who takes a copy to fill in */
	uint64_t instances_open, in_invocation;
};
extern const char *const metrics_account_names[METRICS_ACCOUNTS];
extern const char *const metrics_state_names[METRICS_STATES];

struct metrics {
	struct metrics_function
		function[METRICS_FUNCTIONS + 1]; /* [METRICS_FUNCTIONS]: the others */
	uint16_t slot[METRICS_SLOTS];		 /* index + 1, 0 = free */
	unsigned functions;
	char policy[METRICS_POLICIES][24];
	unsigned policies;
	uint64_t folded; /* records that went to the others */
};

void metrics_init(struct metrics *m); /* it is large: allocate it */
/* The entry of a function, made if there is room; else the others'. Never NULL. */
struct metrics_function *metrics_function(struct metrics *m, const char *name);

/* The numbers of one record that metrics are made of: held until it is stored for good. */
struct metrics_observation {
	char function[ONCPU_NAME_LEN];
	bool instance; /* a closing record: between_ns is what came after its last invocation */
	bool cold_start, flagged;
	int32_t status;
	int64_t wall_ns, init_wall_ns, max_memory_bytes; /* -1 = none */
	int64_t cpu_ns, init_cpu_ns, after_response_ns, freeze_ns, between_ns;
	int64_t run_queue_ns, error_bound_ns;
	int64_t where_ns[METRICS_STATES];
	struct record_billed billed[RECORD_MAX_BILLED];
	uint32_t billed_count;
	int64_t audits, audit_mismatches, audit_difference_ns;
};
void metrics_observe_invocation(const struct invocation_record *record,
				struct metrics_observation *ret_observation);
void metrics_observe_instance(const struct instance_record *record,
			      struct metrics_observation *ret_observation);
void metrics_add(struct metrics *m, const struct metrics_observation *observation);

#endif
