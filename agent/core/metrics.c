// SPDX-License-Identifier: GPL-2.0
/* See metrics.h and metrics.def. */
#include "core/metrics.h"

#include <stdio.h>
#include <string.h>

#define MS 1000000ll
#define US 1000ll
#define S 1000000000ll
#define MIB (1ll << 20)

static const struct metric_info table[METRIC_COUNT] = {
#define METRIC(id, type, name, unit, labels, prose)                                                \
	[METRIC_##id] = { name, unit, labels, prose, METRIC_##type },
#include "core/metrics.def"
#undef METRIC
};

const struct metric_info *metric_info(enum metric metric)
{
	return (unsigned)metric < METRIC_COUNT ? &table[metric] : NULL;
}

const char *metric_type_name(enum metric_type type)
{
	static const char *const names[] = { "counter", "gauge", "histogram" };

	return names[type];
}

/* ---- histograms ---- */

const struct metrics_bounds metrics_faas_bounds = {
	.count = 14,
	.bound = { 5 * MS, 10 * MS, 25 * MS, 50 * MS, 75 * MS, 100 * MS, 250 * MS, 500 * MS,
		   750 * MS, 1 * S, 2500 * MS, 5 * S, 7500 * MS, 10 * S },
};
const struct metrics_bounds metrics_fine_bounds = {
	.count = 23,
	.bound = { 10 * US, 20 * US, 50 * US, 100 * US, 200 * US, 500 * US, 1 * MS,   2 * MS,
		   5 * MS,  10 * MS, 20 * MS, 50 * MS,	100 * MS, 200 * MS, 500 * MS, 1 * S,
		   2 * S,   5 * S,   10 * S,  30 * S,	60 * S,	  300 * S,  900 * S },
};
const struct metrics_bounds metrics_memory_bounds = {
	.count = 11,
	.bound = { 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB, 128 * MIB, 256 * MIB, 512 * MIB,
		   1024 * MIB, 2048 * MIB, 4096 * MIB, 10240 * MIB },
};

const struct metrics_bounds *metrics_bounds_of(enum metric metric)
{
	switch (metric) {
	case METRIC_FAAS_INVOKE_DURATION:
	case METRIC_FAAS_INIT_DURATION:
	case METRIC_FAAS_CPU_USAGE:
		return &metrics_faas_bounds;
	case METRIC_FAAS_MEM_USAGE:
		return &metrics_memory_bounds;
	case METRIC_WALL:
	case METRIC_CPU:
		return &metrics_fine_bounds;
	default:
		return NULL;
	}
}

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

static void histogram_add(struct metrics_histogram *h, const struct metrics_bounds *bounds,
			  int64_t value)
{
	unsigned i = 0;

	if (value < 0) /* a negative split: a sum that falls would be taken for a restart */
		value = 0;
	while (i < bounds->count && value > bounds->bound[i])
		i++;
	h->count[i]++;
	h->sum = add(h->sum, value);
}

/* ---- functions ---- */

const char *const metrics_account_names[METRICS_ACCOUNTS] = { "init", "invocation",
							      "after_response", "freeze",
							      "between" };
const char *const metrics_state_names[METRICS_STATES] = { "running",	"run_queue", "throttled",
							  "blocked_io", "idle",	     "frozen" };

void metrics_init(struct metrics *m)
{
	memset(m, 0, sizeof(*m));
	memcpy(m->function[METRICS_FUNCTIONS].name, METRICS_OTHER, sizeof(METRICS_OTHER));
}

static unsigned slot_of(const struct metrics *m, const char *name)
{
	uint32_t hash = 2166136261u;
	unsigned at;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (at = hash % METRICS_SLOTS; m->slot[at]; at = (at + 1) % METRICS_SLOTS)
		if (strcmp(m->function[m->slot[at] - 1].name, name) == 0)
			break;
	return at;
}

struct metrics_function *metrics_function(struct metrics *m, const char *name)
{
	unsigned slot;

	if (!name[0])
		name = "unknown"; /* as its records say */
	if (strcmp(name, METRICS_OTHER) == 0)
		return &m->function[METRICS_FUNCTIONS];
	slot = slot_of(m, name);
	if (m->slot[slot])
		return &m->function[m->slot[slot] - 1];
	if (m->functions == METRICS_FUNCTIONS)
		return &m->function[METRICS_FUNCTIONS];
	m->slot[slot] = (uint16_t)++m->functions;
	snprintf(m->function[m->functions - 1].name, ONCPU_NAME_LEN, "%s", name);
	return &m->function[m->functions - 1];
}

/* ---- records ---- */

void metrics_observe_invocation(const struct invocation_record *r,
				struct metrics_observation *ret_observation)
{
	*ret_observation = (struct metrics_observation){
		.cold_start = r->cold_start,
		.flagged = r->flags != 0,
		.status = r->status,
		.wall_ns = r->wall_ns,
		.init_wall_ns = r->init_wall_ns,
		.max_memory_bytes = r->max_memory_bytes,
		.cpu_ns = r->cpu_ns,
		.init_cpu_ns = r->init_cpu_ns,
		.after_response_ns = r->after_response_cpu_ns,
		.freeze_ns = r->freeze_cpu_ns,
		.between_ns = r->between_cpu_ns,
		.run_queue_ns = r->run_queue_ns,
		.error_bound_ns = r->cpu_error_bound_ns,
		.where_ns = { r->where.running_ns, r->where.run_queue_ns, r->where.throttled_ns,
			      r->where.blocked_io_ns, r->where.idle_ns, r->where.frozen_ns },
		.billed_count =
			r->billed_count < RECORD_MAX_BILLED ? r->billed_count : RECORD_MAX_BILLED,
	};
	memcpy(ret_observation->function, r->function, sizeof(r->function));
	memcpy(ret_observation->billed, r->billed, sizeof(r->billed));
}

void metrics_observe_instance(const struct instance_record *r,
			      struct metrics_observation *ret_observation)
{
	*ret_observation = (struct metrics_observation){
		.instance = true,
		.between_ns = r->last_between_cpu_ns,
		.audits = r->audits,
		.audit_mismatches = r->audit_mismatches,
		.audit_difference_ns = r->audit_difference_ns,
	};
	/* an instance that never had an invocation: its init is in no other record */
	if (r->invocations == 0)
		ret_observation->init_cpu_ns = r->init_cpu_ns;
	memcpy(ret_observation->function, r->function, sizeof(r->function));
}

static void add_billed(struct metrics *m, struct metrics_function *f,
		       const struct record_billed *billed)
{
	unsigned i = 0;

	while (i < m->policies && strcmp(m->policy[i], billed->policy) != 0)
		i++;
	if (i == METRICS_POLICIES)
		return;
	if (i == m->policies) {
		snprintf(m->policy[i], sizeof(m->policy[i]), "%s", billed->policy);
		m->policies++;
	}
	f->billed_ns[i] = add(f->billed_ns[i], billed->billed_ns);
}

static void add_instance(struct metrics_function *f, const struct metrics_observation *o)
{
	f->instances_closed++;
	if (o->audits == 0)
		return;
	f->audits += (uint64_t)o->audits;
	f->audit_mismatches += (uint64_t)o->audit_mismatches;
	f->audit_difference_ns = o->audit_difference_ns;
}

static void add_invocation(struct metrics *m, struct metrics_function *f,
			   const struct metrics_observation *o)
{
	histogram_add(&f->wall_faas, &metrics_faas_bounds, o->wall_ns);
	histogram_add(&f->wall, &metrics_fine_bounds, o->wall_ns);
	histogram_add(&f->cpu_faas, &metrics_faas_bounds, o->cpu_ns);
	histogram_add(&f->cpu, &metrics_fine_bounds, o->cpu_ns);
	if (o->init_wall_ns >= 0)
		histogram_add(&f->init_faas, &metrics_faas_bounds, o->init_wall_ns);
	if (o->max_memory_bytes >= 0)
		histogram_add(&f->memory, &metrics_memory_bounds, o->max_memory_bytes);
	f->status[o->status >= 0 && o->status < ONCPU_STATUS_COUNT ? o->status
								   : ONCPU_STATUS_COUNT]++;
	f->cold_starts += o->cold_start;
	f->flagged += o->flagged;
	if (o->run_queue_ns > 0)
		f->run_queue_ns = add(f->run_queue_ns, o->run_queue_ns);
	if (o->error_bound_ns > 0)
		f->error_bound_ns = add(f->error_bound_ns, o->error_bound_ns);
	for (int i = 0; i < METRICS_STATES && o->where_ns[0] >= 0; i++)
		f->where_ns[i] = add(f->where_ns[i], o->where_ns[i]);
	for (uint32_t i = 0; i < o->billed_count; i++)
		add_billed(m, f, &o->billed[i]);
}

void metrics_add(struct metrics *m, const struct metrics_observation *o)
{
	struct metrics_function *f = metrics_function(m, o->function);
	const int64_t accounts[METRICS_ACCOUNTS] = {
		o->init_cpu_ns > 0 ? o->init_cpu_ns : 0, /* -1: it is in another record */
		o->cpu_ns - o->after_response_ns, o->after_response_ns, o->freeze_ns, o->between_ns
	};

	m->folded += f == &m->function[METRICS_FUNCTIONS];
	for (int i = 0; i < METRICS_ACCOUNTS; i++) {
		f->account_ns[i] = add(f->account_ns[i], accounts[i]);
		if (f->account_ns[i] > f->account_shown_ns[i])
			f->account_shown_ns[i] = f->account_ns[i];
	}
	if (o->instance)
		add_instance(f, o);
	else
		add_invocation(m, f, o);
}
