// SPDX-License-Identifier: GPL-2.0
/* Sums of records and what they cost: exact sums, each divided and rounded once. See compare.h. */
#include "core/compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const part_names[BILL_PARTS] = {
	[BILL_PART_WAITING] = "waiting",      [BILL_PART_INIT] = "init",
	[BILL_PART_AFTER] = "after_response", [BILL_PART_BETWEEN] = "between",
	[BILL_PART_ROUNDING] = "rounding",
};

const char *bill_part_name(enum bill_part part)
{
	return (unsigned)part < BILL_PARTS ? part_names[part] : "";
}

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

/* ---- groups ---- */

void bill_group_begin(struct bill_group *group, const struct bill_key *key)
{
	memset(group, 0, sizeof(*group));
	group->key = *key;
	group->first_ns = INT64_MAX;
	group->last_ns = INT64_MIN;
}

bool bill_key_equal(const struct bill_key *a, const struct bill_key *b)
{
	return a->memory_mb == b->memory_mb && a->used_mb == b->used_mb &&
	       a->vcpu_milli == b->vcpu_milli && a->no_cpu == b->no_cpu;
}

uint64_t bill_key_hash(const struct bill_key *key)
{
	uint64_t h = (uint64_t)key->memory_mb * 0x9e3779b97f4a7c15u;

	h = (h ^ (uint64_t)key->used_mb) * 0x9e3779b97f4a7c15u;
	h = (h ^ (uint64_t)key->vcpu_milli) * 0x9e3779b97f4a7c15u;
	return (h ^ key->no_cpu) * 0x9e3779b97f4a7c15u;
}

void bill_group_add_times(struct bill_group *group, const struct policies *set,
			  const int64_t times[BILL_TIMES])
{
	group->count++;
	for (int i = 0; i < BILL_TIMES; i++)
		group->times[i] = add(group->times[i], times[i]);
	for (unsigned i = 0; i < set->rule_count; i++)
		group->billed[i] = add(group->billed[i], bill_billed_ns(&set->rules[i], times,
									group->key.vcpu_milli));
}

void bill_group_add_record(struct bill_group *group, const struct policies *set,
			   const struct invocation_record *record)
{
	int64_t times[BILL_TIMES];

	bill_times_of_record(record, times);
	bill_group_add_times(group, set, times);
	if (record->start_realtime_ns < group->first_ns)
		group->first_ns = record->start_realtime_ns;
	if (record->end_realtime_ns > group->last_ns)
		group->last_ns = record->end_realtime_ns;
}

void bill_group_add_close(struct bill_group *group, const struct policies *set,
			  const struct instance_record *record)
{
	int64_t *last = &group->times[BILL_LAST_WALL];

	*last = add(*last, record->last_between_wall_ns);
	for (unsigned i = 0; i < set->rule_count; i++)
		group->billed[i] = add(group->billed[i], bill_close_ns(&set->rules[i], record));
}

void bill_group_merge(struct bill_group *into, const struct bill_group *from, unsigned rules)
{
	into->count += from->count;
	into->recomputed += from->recomputed;
	if (from->first_ns < into->first_ns)
		into->first_ns = from->first_ns;
	if (from->last_ns > into->last_ns)
		into->last_ns = from->last_ns;
	for (int i = 0; i < BILL_TIMES; i++)
		into->times[i] = add(into->times[i], from->times[i]);
	for (unsigned i = 0; i < rules; i++)
		into->billed[i] = add(into->billed[i], from->billed[i]);
}

/* ---- parts of billed time ---- */

/* 128 bits: sums of int64 that may be at their ends. */
struct split {
	__int128 billed, used, parts[BILL_PARTS];
};

static void split_time(const struct policies *set, unsigned index, const struct bill_group *group,
		       struct split *ret_split)
{
	const struct bill_rule *rule = &set->rules[index];
	const int64_t *t = group->times;
	bool cpu = rule->basis == BILL_CPU, floor = rule->basis == BILL_FLOOR;
	struct split s = { .billed = group->billed[index], .used = t[BILL_USED_CPU] };
	__int128 rest = s.billed - s.used;

	if (floor) {
		s.parts[BILL_PART_ROUNDING] = s.billed - group->billed[set->twins[index]];
		s.parts[BILL_PART_WAITING] = rest - s.parts[BILL_PART_ROUNDING];
		*ret_split = s;
		return;
	}
	if (rule->init)
		s.parts[BILL_PART_INIT] = t[cpu ? BILL_INIT_CPU : BILL_INIT_WALL];
	if (rule->restore && !cpu)
		s.parts[BILL_PART_INIT] += t[BILL_RESTORE];
	if (!cpu)
		s.parts[BILL_PART_WAITING] = (__int128)t[BILL_AWAKE] - t[BILL_AFTER_WALL] -
					     t[BILL_USED_CPU] + t[BILL_AFTER_CPU];
	if (!rule->after_response)
		s.parts[BILL_PART_AFTER] = -(__int128)t[BILL_AFTER_CPU];
	else if (!cpu)
		s.parts[BILL_PART_AFTER] = (__int128)t[BILL_AFTER_WALL] - t[BILL_AFTER_CPU];
	if (rule->between)
		s.parts[BILL_PART_BETWEEN] =
			cpu ? t[BILL_BETWEEN_CPU]
			    : (__int128)t[BILL_BETWEEN_WALL] + t[BILL_FREEZE_WALL];
	if (rule->basis == BILL_LIFE)
		s.parts[BILL_PART_BETWEEN] += t[BILL_LAST_WALL];
	for (int i = 0; i < BILL_PART_ROUNDING; i++)
		rest -= s.parts[i];
	s.parts[BILL_PART_ROUNDING] = rest;
	*ret_split = s;
}

/* ---- money ---- */

/* A meter's exact sums: of on-CPU time, of each part, of memory that nobody used. */
struct meter {
	__int128 used, parts[BILL_PARTS], unused;
	bool saturated;
};

#define INT128_MAX ((__int128)(~(unsigned __int128)0 >> 1))

/* Saturates, and remembers that it did. */
static void add_wide(__int128 *into, __int128 value, bool *saturated)
{
	__int128 sum;

	if (__builtin_add_overflow(*into, value, &sum)) {
		*saturated = true;
		sum = value > 0 ? INT128_MAX : -INT128_MAX;
	}
	*into = sum;
}

static void accumulate(struct meter *m, __int128 *into, __int128 ns, int64_t amount)
{
	__int128 product;

	if (__builtin_mul_overflow(ns, (__int128)amount, &product)) {
		m->saturated = true;
		product = ns > 0 ? INT128_MAX : -INT128_MAX; /* amounts are not negative */
	}
	add_wide(into, product, &m->saturated);
}

static void meter_add(struct meter *m, const struct split *s, int64_t amount, int64_t used_amount)
{
	accumulate(m, &m->used, s->used, used_amount);
	for (int i = 0; i < BILL_PARTS; i++)
		accumulate(m, &m->parts[i], s->parts[i], used_amount);
	accumulate(m, &m->unused, s->billed, amount - used_amount);
}

static int64_t to_int64(__int128 value, bool *saturated)
{
	if (value <= INT64_MAX && value >= INT64_MIN)
		return (int64_t)value;
	*saturated = true;
	return value > 0 ? INT64_MAX : INT64_MIN;
}

/* round(value × e12 ÷ divisor), half up, below zero too: floor(x + ½). */
static int64_t price(__int128 value, int64_t e12, __int128 divisor, bool *saturated)
{
	__int128 n, q;

	if (__builtin_mul_overflow(value, (__int128)e12, &n) ||
	    __builtin_add_overflow(n, divisor / 2, &n)) {
		*saturated = true;
		return value > 0 ? INT64_MAX : INT64_MIN;
	}
	q = n / divisor;
	if (n % divisor < 0)
		q--;
	return to_int64(q, saturated);
}

int64_t bill_scale(int64_t a, int64_t b, int64_t c)
{
	bool saturated = false;

	return price(a, b, c, &saturated);
}

/* Cuts a meter's line into its parts: differences of rounded running sums. */
static int64_t meter_charge(const struct meter *m, const struct bill_price *p, int64_t unit,
			    struct bill_cost *c)
{
	__int128 divisor = (__int128)unit * 1000000000 * p->per, sum = m->used;
	int64_t before, now = price(sum, p->e12, divisor, &c->saturated);

	c->used_e12 = add(c->used_e12, now);
	for (int i = 0; i <= BILL_PARTS; i++) {
		int64_t *part = i < BILL_PARTS ? &c->parts_e12[i] : &c->memory_e12;

		before = now;
		add_wide(&sum, i < BILL_PARTS ? m->parts[i] : m->unused, &c->saturated);
		now = price(sum, p->e12, divisor, &c->saturated);
		*part = add(*part, to_int64((__int128)now - before, &c->saturated));
	}
	return now;
}

static int64_t billed_memory(const struct policy *p, const struct bill_key *key)
{
	int64_t configured = key->memory_mb > 0 ? key->memory_mb : p->default_mb;
	int64_t used = key->used_mb >= 0 ? key->used_mb : configured;
	int64_t mb = p->size == BILL_SIZE_OBSERVED ? used : configured;

	if (p->size == BILL_SIZE_MAX && used > mb)
		mb = used;
	mb = (mb + p->step_mb - 1) / p->step_mb * p->step_mb;
	if (p->maximum_mb && mb > p->maximum_mb)
		mb = p->maximum_mb;
	return mb > p->minimum_mb ? mb : p->minimum_mb;
}

static void add_group(const struct policies *set, const struct policy *p,
		      const struct bill_group *group, const struct bill_key *key,
		      struct bill_cost *c, struct meter *memory, struct meter *cpu)
{
	struct split s;
	int64_t amount, used;

	split_time(set, p->time, group, &s);
	for (int i = 0; i < BILL_PARTS; i++)
		c->parts_ns[i] = add(c->parts_ns[i], to_int64(s.parts[i], &c->saturated));
	c->billed_ns = add(c->billed_ns, group->billed[p->time]);
	c->cpu_ns = add(c->cpu_ns, group->times[BILL_USED_CPU]);
	c->count += group->count;
	if (p->has_cpu) {
		amount = p->vcpus == BILL_VCPUS_ONE ? 1000
			 : key->vcpu_milli > 0	    ? key->vcpu_milli
						    : p->default_milli;
		meter_add(cpu, &s, amount, amount);
		accumulate(cpu, &c->milli_ns, s.billed, amount);
	}
	if (p->has_memory) {
		if (p->memory_time != p->time)
			split_time(set, p->memory_time, group, &s);
		amount = billed_memory(p, key);
		used = key->used_mb >= 0 && key->used_mb < amount ? key->used_mb : amount;
		meter_add(memory, &s, amount, used);
		accumulate(memory, &c->mb_ns, s.billed, amount);
	}
}

static bool needs_cpu(const struct policies *set, const struct policy *p)
{
	enum bill_basis time = set->rules[p->time].basis;
	enum bill_basis memory = set->rules[p->memory_time].basis;

	return time == BILL_CPU || time == BILL_FLOOR || memory == BILL_CPU || memory == BILL_FLOOR;
}

void bill_cost_of(const struct policies *set, const struct policy *policy,
		  const struct bill_group *groups, size_t count, struct bill_cost *ret_cost)
{
	struct bill_cost c = { .split = true };
	struct meter memory = { 0 }, cpu = { 0 };
	const struct bill_group *most = groups;

	for (size_t i = 0; i < count; i++) {
		if (groups[i].count > most->count)
			most = &groups[i];
		c.split &= !groups[i].key.no_cpu;
	}
	for (size_t i = 0; i < count; i++)
		add_group(set, policy, &groups[i], groups[i].count ? &groups[i].key : &most->key,
			  &c, &memory, &cpu);
	c.billable = c.split || !needs_cpu(set, policy);
	if (policy->has_memory)
		c.memory_cost_e12 = meter_charge(&memory, &policy->memory_price, 1024, &c);
	if (policy->has_cpu)
		c.cpu_cost_e12 = meter_charge(&cpu, &policy->cpu_price, 1000, &c);
	if (policy->has_request)
		c.request_e12 = price((__int128)c.count, policy->request_price.e12,
				      policy->request_price.per, &c.saturated);
	c.cost_e12 = add(add(c.memory_cost_e12, c.cpu_cost_e12), c.request_e12);
	c.saturated |= memory.saturated || cpu.saturated;
	*ret_cost = c;
}

int64_t bill_cost_waste_e12(const struct bill_cost *cost)
{
	int64_t waste = cost->memory_e12;

	for (int i = 0; i < BILL_PARTS; i++)
		waste = add(waste, cost->parts_e12[i]);
	return waste;
}

/* ---- which policies ---- */

static void choose(struct compare_choice *choice, unsigned index)
{
	for (unsigned i = 0; i < choice->count; i++)
		if (choice->shown[i] == index)
			return;
	choice->shown[choice->count++] = index;
}

static void choose_default(const struct policies *set, struct compare_choice *choice)
{
	static const char *const names[] = { "aws-lambda", "cloudflare-workers", "on-cpu" };

	choose(choice, set->host);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct policy *p = policies_find(set, names[i]);

		if (p)
			choose(choice, (unsigned)(p - set->list));
	}
}

static int choose_named(const struct policies *set, const char *name, size_t n,
			struct compare_choice *choice, char error[POLICY_ERROR_LEN])
{
	size_t used;

	if (n == 3 && memcmp(name, "all", 3) == 0) {
		choose(choice, set->host);
		for (unsigned i = 0; i < set->count; i++)
			choose(choice, i);
		choice->all = true;
		return 0;
	}
	for (unsigned i = 0; i < set->count; i++)
		if (strlen(set->list[i].name) == n && memcmp(set->list[i].name, name, n) == 0)
			return choose(choice, i), 0;
	used = (size_t)snprintf(error, POLICY_ERROR_LEN,
				"there is no policy \"%.*s\" (known:", (int)(n < 24 ? n : 24),
				name);
	for (unsigned i = 0; i < set->count && used < POLICY_ERROR_LEN - 32; i++)
		used += (size_t)snprintf(error + used, POLICY_ERROR_LEN - used, " %s",
					 set->list[i].name);
	snprintf(error + used, POLICY_ERROR_LEN - used, ", all)");
	return -EINVAL;
}

int compare_choose(const struct policies *set, const char *names, struct compare_choice *ret_choice,
		   char error[POLICY_ERROR_LEN])
{
	struct compare_choice choice = { 0 };
	int err;

	if (!names || !*names) {
		choose_default(set, &choice);
		*ret_choice = choice;
		return 0;
	}
	for (const char *at = names;; at++) {
		size_t n = strcspn(at, ",");

		err = choose_named(set, at, n, &choice, error);
		if (err)
			return err;
		at += n;
		if (!*at)
			break;
	}
	*ret_choice = choice;
	return 0;
}
