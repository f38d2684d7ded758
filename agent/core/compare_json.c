// SPDX-License-Identifier: GPL-2.0
/* "policies":[…]: what each policy bills, in the names of the API. See compare.h. */
#include <stdio.h>

#include "core/compare.h"

/* A number, or null where it cannot be known. */
static void put_known(struct json_writer *w, const char *name, bool known, int64_t value)
{
	if (known)
		jw_key_int64(w, name, value);
	else
		jw_key_null(w, name);
}

static void put_waste(struct json_writer *w, const struct bill_cost *c)
{
	char name[48];

	jw_key(w, "waste");
	if (!c->split) {
		jw_null(w);
		return;
	}
	jw_object_open(w);
	for (int i = 0; i < BILL_PARTS; i++) {
		snprintf(name, sizeof(name), "%s_ns", bill_part_name((enum bill_part)i));
		jw_key_int64(w, name, c->parts_ns[i]);
	}
	for (int i = 0; i < BILL_PARTS; i++) {
		snprintf(name, sizeof(name), "%s_e12", bill_part_name((enum bill_part)i));
		jw_key_int64(w, name, c->parts_e12[i]);
	}
	jw_key_int64(w, "memory_e12", c->memory_e12);
	jw_key_int64(w, "total_e12", bill_cost_waste_e12(c));
	jw_object_close(w);
}

static void put_cost(struct json_writer *w, const struct policy *p, const struct bill_cost *c)
{
	jw_key_string(w, "policy", p->name);
	jw_key_uint64(w, "version", p->version);
	jw_key_string(w, "currency", p->currency);
	put_known(w, "billed_ns", c->billable, c->billed_ns);
	put_known(w, "billed_per_cpu_milli", c->billable && c->split && c->cpu_ns > 0,
		  c->cpu_ns > 0 ? bill_scale(c->billed_ns, 1000, c->cpu_ns) : 0);
	put_known(w, "cost_e12", c->billable, c->cost_e12);
	put_known(w, "memory_cost_e12", c->billable && p->has_memory, c->memory_cost_e12);
	put_known(w, "cpu_cost_e12", c->billable && p->has_cpu, c->cpu_cost_e12);
	put_known(w, "request_e12", p->has_request, c->request_e12);
	put_known(w, "used_e12", c->billable && c->split, c->used_e12);
	put_waste(w, c);
	if (c->saturated)
		jw_key_bool(w, "saturated", true);
}

void compare_policies_json(struct json_writer *w, const struct policies *set,
			   const struct compare_choice *choice, const struct bill_group *groups,
			   size_t count, int64_t observed_ns)
{
	jw_key(w, "policies");
	jw_array_open(w);
	for (unsigned i = 0; i < choice->count; i++) {
		const struct policy *p = &set->list[choice->shown[i]];
		struct bill_cost c;

		bill_cost_of(set, p, groups, count, &c);
		jw_object_open(w);
		put_cost(w, p, &c);
		put_known(w, "cost_per_million_e12", c.billable && c.count,
			  c.count ? bill_scale(c.cost_e12, 1000000, (int64_t)c.count) : 0);
		put_known(w, "cost_per_month_e12", c.billable && observed_ns > 0,
			  observed_ns > 0 ? bill_scale(c.cost_e12, COMPARE_MONTH_NS, observed_ns)
					  : 0);
		jw_object_close(w);
	}
	jw_array_close(w);
}

void compare_record_json(struct json_writer *w, const struct policies *set,
			 const struct invocation_record *record)
{
	struct bill_key key = bill_key_of_record(record);
	struct bill_group group;

	bill_group_begin(&group, &key);
	bill_group_add_record(&group, set, record);
	jw_key(w, "policies");
	jw_array_open(w);
	for (unsigned i = 0; i < set->count; i++) {
		struct bill_cost c;

		bill_cost_of(set, &set->list[i], &group, 1, &c);
		jw_object_open(w);
		put_cost(w, &set->list[i], &c);
		jw_object_close(w);
	}
	jw_array_close(w);
}
