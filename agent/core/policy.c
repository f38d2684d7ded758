// SPDX-License-Identifier: GPL-2.0
/* A set of policies: looking one up, and writing it as the JSON that policy_parse.c reads. Pure. */
#include "core/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const basis_names[BILL_BASIS_COUNT] = {
	[BILL_WALL] = "wall",
	[BILL_CPU] = "cpu",
	[BILL_LIFE] = "life",
	[BILL_FLOOR] = "floor",
};

const char *bill_basis_name(enum bill_basis basis)
{
	return (unsigned)basis < BILL_BASIS_COUNT ? basis_names[basis] : "";
}

const struct policy *policies_find(const struct policies *set, const char *name)
{
	for (unsigned i = 0; i < set->count; i++)
		if (strcmp(set->list[i].name, name) == 0)
			return &set->list[i];
	return NULL;
}

void policies_free(struct policies **policies)
{
	free(*policies);
	*policies = NULL;
}

void bill_rule_text(const struct bill_rule *rule, char *buffer, size_t size)
{
	snprintf(buffer, size,
		 "%s%s%s%s%s granularity=%" PRId64 " minimum=%" PRId64 " vcpu=%" PRId64,
		 bill_basis_name(rule->basis), rule->init ? "+init" : "",
		 rule->restore ? "+restore" : "", rule->after_response ? "" : "-after",
		 rule->between ? "+between" : "", rule->granularity_ns, rule->minimum_ns,
		 rule->vcpu_milli);
}

static void put_rule(struct json_writer *w, const char *key, const struct bill_rule *rule)
{
	jw_key(w, key);
	jw_object_open(w);
	jw_key_string(w, "basis", bill_basis_name(rule->basis));
	jw_key_int64(w, "granularity_ns", rule->granularity_ns);
	jw_key_int64(w, "minimum_ns", rule->minimum_ns);
	jw_key_bool(w, "init", rule->init);
	jw_key_bool(w, "restore", rule->restore);
	jw_key_bool(w, "after_response", rule->after_response);
	jw_key_bool(w, "between", rule->between);
	if (rule->basis == BILL_FLOOR)
		jw_key_int64(w, "default_milli", rule->vcpu_milli);
	jw_object_close(w);
}

static void put_price(struct json_writer *w, const struct bill_price *price)
{
	jw_key(w, "price");
	jw_object_open(w);
	jw_key_int64(w, "e12", price->e12);
	jw_key_int64(w, "per", price->per);
	jw_key_string(w, "date", price->date);
	jw_key_string(w, "source", price->source);
	jw_key_bool(w, "verified", price->verified);
	jw_object_close(w);
}

static void put_memory(struct json_writer *w, const struct policies *set, const struct policy *p)
{
	static const char *const sizes[] = { "configured", "observed", "max" };

	jw_key(w, "memory");
	jw_object_open(w);
	jw_key_string(w, "size", sizes[p->size]);
	jw_key_int64(w, "default_mb", p->default_mb);
	jw_key_int64(w, "step_mb", p->step_mb);
	jw_key_int64(w, "minimum_mb", p->minimum_mb);
	jw_key_int64(w, "maximum_mb", p->maximum_mb);
	if (p->memory_time != p->time)
		put_rule(w, "time", &set->rules[p->memory_time]);
	put_price(w, &p->memory_price);
	jw_object_close(w);
}

static void put_others(struct json_writer *w, const struct policy *p)
{
	if (p->has_cpu) {
		jw_key(w, "cpu");
		jw_object_open(w);
		jw_key_string(w, "vcpus", p->vcpus == BILL_VCPUS_ONE ? "one" : "configured");
		if (p->vcpus == BILL_VCPUS_CONFIGURED)
			jw_key_int64(w, "default_milli", p->default_milli);
		put_price(w, &p->cpu_price);
		jw_object_close(w);
	}
	if (p->has_request) {
		jw_key(w, "request");
		jw_object_open(w);
		put_price(w, &p->request_price);
		jw_object_close(w);
	}
	if (p->has_free_tier) {
		jw_key(w, "free_tier");
		jw_object_open(w);
		jw_key_int64(w, "gib_seconds", p->free_gib_seconds);
		jw_key_int64(w, "vcpu_seconds", p->free_vcpu_seconds);
		jw_key_int64(w, "requests", p->free_requests);
		jw_object_close(w);
	}
}

void policy_json(struct json_writer *w, const struct policies *set, const struct policy *p)
{
	jw_object_open(w);
	jw_key_string(w, "name", p->name);
	jw_key_uint64(w, "version", p->version);
	jw_key_string(w, "title", p->title);
	jw_key_string(w, "currency", p->currency);
	jw_key(w, "rule");
	jw_object_open(w);
	jw_key_string(w, "text", p->text);
	jw_key_string(w, "date", p->rule_date);
	jw_key_string(w, "source", p->rule_source);
	jw_key_bool(w, "verified", p->rule_verified);
	jw_object_close(w);
	put_rule(w, "time", &set->rules[p->time]);
	if (p->has_memory)
		put_memory(w, set, p);
	put_others(w, p);
	jw_object_close(w);
}

int policies_json(const struct policies *set, char *buffer, size_t size)
{
	struct json_writer w;

	jw_begin(&w, buffer, size);
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.policies/1");
	jw_key_string(&w, "host", set->list[set->host].name);
	jw_key(&w, "policies");
	jw_array_open(&w);
	for (unsigned i = 0; i < set->count; i++)
		policy_json(&w, set, &set->list[i]);
	jw_array_close(&w);
	jw_object_close(&w);
	return jw_end(&w);
}
