// SPDX-License-Identifier: GPL-2.0
/*
 * Policies from JSON, checked field by field. The first problem is the one told, with its path:
 * what passes here can be billed by without a further check. Pure but for the memory it takes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "core/policy.h"

#define NS_PER_DAY 86400000000000ll
#define MAX_E12 1000000000000000000ll /* a million currency units for one unit */
#define MAX_MB (1 << 24)

extern const char policies_preset[]; /* NUL-terminated */

struct reading {
	const char *name; /* of the file */
	struct policies *set;
	char path[192];
	char *error;
	int code; /* the first problem, 0 = none */
};

__attribute__((format(printf, 3, 4))) static int refuse(struct reading *r, const char *field,
							const char *format, ...)
{
	va_list arguments;
	int n;

	if (r->code)
		return r->code;
	n = snprintf(r->error, POLICY_ERROR_LEN, "%s: %s%s%s: ", r->name, r->path,
		     *r->path && *field ? "." : "", field);
	if (n < 0 || n >= POLICY_ERROR_LEN)
		n = 0;
	va_start(arguments, format);
	vsnprintf(r->error + n, (size_t)(POLICY_ERROR_LEN - n), format, arguments);
	va_end(arguments);
	return r->code = -EINVAL;
}

/* Goes one object down; the result is how to come back. */
static size_t enter(struct reading *r, const char *field)
{
	size_t before = strlen(r->path);

	snprintf(r->path + before, sizeof(r->path) - before, "%s%s", before ? "." : "", field);
	return before;
}

static void check_known(struct reading *r, const json_t *object, const char *known)
{
	const char *key, *at;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t n = strlen(key);

		for (at = known; n && (at = strstr(at, key)); at += n)
			if ((at == known || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
				break;
		if (!n || !at)
			refuse(r, "", "there is no field \"%.32s\" here (known: %s)", key, known);
	}
}

static const json_t *need_object(struct reading *r, const json_t *parent, const char *field,
				 bool optional)
{
	const json_t *value = json_object_get(parent, field);

	if (json_is_object(value))
		return value;
	if (value || !optional)
		refuse(r, field, value ? "is no object ({…})" : "is missing (an object)");
	return NULL;
}

static int64_t need_integer(struct reading *r, const json_t *parent, const char *field, int64_t min,
			    int64_t max, const int64_t *optional)
{
	const json_t *value = json_object_get(parent, field);
	int64_t number = json_integer_value(value);

	if (!value && optional)
		return *optional;
	if (!json_is_integer(value) || number < min || number > max)
		refuse(r, field, "%s whole number from %lld to %lld",
		       !value ? "is missing: a" : "is no", (long long)min, (long long)max);
	return number;
}

static bool need_bool(struct reading *r, const json_t *parent, const char *field)
{
	const json_t *value = json_object_get(parent, field);

	if (!json_is_boolean(value))
		refuse(r, field, "%s true or false", value ? "is neither" : "is missing:");
	return json_is_true(value);
}

static void need_text(struct reading *r, const json_t *parent, const char *field, char *buffer,
		      size_t size)
{
	const json_t *value = json_object_get(parent, field);
	size_t n = json_string_length(value);

	if (!json_is_string(value) || n == 0 || n >= size ||
	    !text_is_clean(json_string_value(value), n))
		refuse(r, field, "%s text of 1 to %zu bytes without control characters",
		       value ? "is no" : "is missing: a", size - 1);
	else
		memcpy(buffer, json_string_value(value), n + 1);
}

static void need_date(struct reading *r, const json_t *parent, char date[POLICY_DATE_LEN])
{
	static const char shape[] = "0000-00-00";

	need_text(r, parent, "date", date, POLICY_DATE_LEN);
	for (size_t i = 0; !r->code && i < sizeof(shape); i++)
		if (shape[i] == '0' ? date[i] < '0' || date[i] > '9' : date[i] != shape[i])
			refuse(r, "date", "\"%s\" is no date like 2026-01-31", date);
}

/* The index of the one of `names` (NULL-terminated) that the field names. */
static int need_choice(struct reading *r, const json_t *parent, const char *field,
		       const char *const *names, const char *prose)
{
	const char *value = json_string_value(json_object_get(parent, field));

	for (int i = 0; value && names[i]; i++)
		if (strcmp(names[i], value) == 0)
			return i;
	refuse(r, field, "%s (%s)", value ? "is none of the known ones" : "is missing", prose);
	return 0;
}

/* The rule's place in the set, where each one stands once. */
static unsigned intern_rule(struct reading *r, const struct bill_rule *rule)
{
	struct policies *set = r->set;
	char text[BILL_RULE_TEXT_LEN], other[BILL_RULE_TEXT_LEN];
	unsigned at;

	bill_rule_text(rule, text, sizeof(text));
	for (at = 0; at < set->rule_count; at++) {
		bill_rule_text(&set->rules[at], other, sizeof(other));
		if (strcmp(text, other) == 0)
			return at;
	}
	if (set->rule_count == POLICIES_MAX_RULES)
		return refuse(r, "", "more than %d rules", POLICIES_MAX_RULES), 0;
	set->rules[at] = *rule;
	set->rule_count++;
	return at;
}

static unsigned read_rule(struct reading *r, const json_t *parent)
{
	static const char *const bases[] = { "wall", "cpu", "life", "floor", NULL };
	static const char known[] =
		"basis granularity_ns minimum_ns init restore after_response between default_milli";
	const json_t *o = need_object(r, parent, "time", false);
	struct bill_rule rule = { 0 };
	size_t back = enter(r, "time");
	unsigned at = 0;

	if (o) {
		check_known(r, o, known);
		rule.basis = (enum bill_basis)need_choice(r, o, "basis", bases,
							  "wall, cpu, life or floor");
		rule.granularity_ns = need_integer(r, o, "granularity_ns", 1, NS_PER_DAY, NULL);
		rule.minimum_ns = need_integer(r, o, "minimum_ns", 0, NS_PER_DAY, NULL);
		rule.init = need_bool(r, o, "init");
		rule.restore = need_bool(r, o, "restore");
		rule.after_response = need_bool(r, o, "after_response");
		rule.between = need_bool(r, o, "between");
		if (!r->code && rule.minimum_ns % rule.granularity_ns)
			refuse(r, "minimum_ns",
			       "is no multiple of granularity_ns (round it up: billed time is "
			       "one)");
		if (rule.basis == BILL_FLOOR)
			rule.vcpu_milli = need_integer(r, o, "default_milli", 0, 1000000, NULL);
		else if (json_object_get(o, "default_milli"))
			refuse(r, "default_milli", "belongs to the basis floor only (delete it)");
		if (!r->code && rule.basis == BILL_LIFE &&
		    (rule.minimum_ns || !rule.init || !rule.after_response || !rule.between))
			refuse(r, "basis",
			       "life is all of an instance's life: init, after_response and "
			       "between "
			       "are true with it, and minimum_ns is 0");
		if (!r->code)
			at = intern_rule(r, &rule);
	}
	r->path[back] = '\0';
	return at;
}

static void read_price(struct reading *r, const json_t *parent, struct bill_price *price)
{
	const json_t *o = need_object(r, parent, "price", false);
	size_t back = enter(r, "price");

	if (o) {
		check_known(r, o, "e12 per date source verified");
		price->e12 = need_integer(r, o, "e12", 0, MAX_E12, NULL);
		price->per = need_integer(r, o, "per", 1, 1000000000, NULL);
		need_date(r, o, price->date);
		need_text(r, o, "source", price->source, sizeof(price->source));
		price->verified = need_bool(r, o, "verified");
	}
	r->path[back] = '\0';
}

static void read_memory(struct reading *r, const json_t *parent, struct policy *p)
{
	static const char *const sizes[] = { "configured", "observed", "max", NULL };
	static const int64_t none = 0, one = 1;
	const json_t *o = need_object(r, parent, "memory", true);
	size_t back = enter(r, "memory");

	p->memory_time = p->time;
	if (o) {
		p->has_memory = true;
		check_known(r, o, "size default_mb step_mb minimum_mb maximum_mb time price");
		p->size = (enum bill_size)need_choice(r, o, "size", sizes,
						      "configured, observed or max");
		p->default_mb = need_integer(r, o, "default_mb", 1, MAX_MB, NULL);
		p->step_mb = need_integer(r, o, "step_mb", 1, MAX_MB, &one);
		p->minimum_mb = need_integer(r, o, "minimum_mb", 0, MAX_MB, &none);
		p->maximum_mb = need_integer(r, o, "maximum_mb", 0, MAX_MB, &none);
		if (!r->code && p->maximum_mb && p->maximum_mb < p->minimum_mb)
			refuse(r, "maximum_mb", "is less than minimum_mb (0 = no maximum)");
		if (json_object_get(o, "time"))
			p->memory_time = read_rule(r, o);
		read_price(r, o, &p->memory_price);
	}
	r->path[back] = '\0';
}

static void read_cpu(struct reading *r, const json_t *parent, struct policy *p)
{
	static const char *const kinds[] = { "configured", "one", NULL };
	const json_t *o = need_object(r, parent, "cpu", true);
	size_t back = enter(r, "cpu");

	if (o) {
		p->has_cpu = true;
		check_known(r, o, "vcpus default_milli price");
		p->vcpus = (enum bill_vcpus)need_choice(r, o, "vcpus", kinds, "configured or one");
		if (p->vcpus == BILL_VCPUS_CONFIGURED)
			p->default_milli = need_integer(r, o, "default_milli", 1, 1000000, NULL);
		else if (json_object_get(o, "default_milli"))
			refuse(r, "default_milli", "belongs to configured only (delete it)");
		read_price(r, o, &p->cpu_price);
	}
	r->path[back] = '\0';
}

static void read_extras(struct reading *r, const json_t *parent, struct policy *p)
{
	const json_t *o = need_object(r, parent, "request", true);
	size_t back = enter(r, "request");

	if (o) {
		p->has_request = true;
		check_known(r, o, "price");
		read_price(r, o, &p->request_price);
	}
	r->path[back] = '\0';
	o = need_object(r, parent, "free_tier", true);
	back = enter(r, "free_tier");
	if (o) {
		p->has_free_tier = true;
		check_known(r, o, "gib_seconds vcpu_seconds requests");
		p->free_gib_seconds = need_integer(r, o, "gib_seconds", 0, INT64_MAX, NULL);
		p->free_vcpu_seconds = need_integer(r, o, "vcpu_seconds", 0, INT64_MAX, NULL);
		p->free_requests = need_integer(r, o, "requests", 0, INT64_MAX, NULL);
	}
	r->path[back] = '\0';
}

static void read_words(struct reading *r, const json_t *o, struct policy *p)
{
	const json_t *rule = need_object(r, o, "rule", false);
	size_t back;

	need_text(r, o, "title", p->title, sizeof(p->title));
	need_text(r, o, "currency", p->currency, sizeof(p->currency));
	if (!r->code && strspn(p->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		refuse(r, "currency", "is no code of ISO 4217 like USD");
	back = enter(r, "rule");
	if (rule) {
		check_known(r, rule, "text date source verified");
		need_text(r, rule, "text", p->text, sizeof(p->text));
		need_date(r, rule, p->rule_date);
		need_text(r, rule, "source", p->rule_source, sizeof(p->rule_source));
		p->rule_verified = need_bool(r, rule, "verified");
	}
	r->path[back] = '\0';
}

/* The name goes into queries, tables and labels: letters, digits, '-', '_' and '.'. */
static void read_name(struct reading *r, const json_t *o, struct policy *p)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	need_text(r, o, "name", p->name, sizeof(p->name));
	if (!r->code && strspn(p->name, letters) != strlen(p->name))
		refuse(r, "name", "has other bytes than letters, digits, '-', '_' and '.'");
	if (!r->code && strcmp(p->name, "all") == 0)
		refuse(r, "name", "\"all\" means every policy (choose another)");
}

static void read_policy(struct reading *r, const json_t *o, size_t index)
{
	static const char known[] =
		"name version title currency rule time memory cpu request free_tier";
	struct policy p = { 0 };
	const struct policy *same;

	snprintf(r->path, sizeof(r->path), "policies[%zu]", index);
	if (!json_is_object(o)) {
		refuse(r, "", "is no object ({…})");
		return;
	}
	read_name(r, o, &p);
	if (!r->code)
		snprintf(r->path, sizeof(r->path), "policies[%zu] \"%s\"", index, p.name);
	check_known(r, o, known);
	p.version = (uint32_t)need_integer(r, o, "version", 1, UINT32_MAX, NULL);
	read_words(r, o, &p);
	p.time = read_rule(r, o);
	read_memory(r, o, &p);
	read_cpu(r, o, &p);
	read_extras(r, o, &p);
	if (r->code)
		return;
	same = policies_find(r->set, p.name);
	if (same)
		r->set->list[same - r->set->list] = p;
	else if (r->set->count == POLICIES_MAX)
		refuse(r, "", "more than %d policies", POLICIES_MAX);
	else
		r->set->list[r->set->count++] = p;
}

static void check_twice(struct reading *r, const json_t *list)
{
	size_t i;
	const json_t *o;

	json_array_foreach(list, i, o)
	{
		const char *name = json_string_value(json_object_get(o, "name"));

		for (size_t k = 0; name && k < i; k++) {
			const char *before =
				json_string_value(json_object_get(json_array_get(list, k), "name"));

			snprintf(r->path, sizeof(r->path), "policies[%zu]", i);
			if (before && strcmp(before, name) == 0)
				refuse(r, "name", "\"%.24s\" stands in policies[%zu] already", name,
				       k);
		}
	}
	r->path[0] = '\0';
}

static int read_text(struct reading *r, const char *text, size_t size)
{
	json_error_t where;
	json_t *root;
	const json_t *list, *o;
	size_t i;

	r->path[0] = '\0';
	if (size > POLICIES_MAX_BYTES)
		return refuse(r, "", "has more than %d bytes", POLICIES_MAX_BYTES);
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	if (!root) {
		snprintf(r->error, POLICY_ERROR_LEN, "%s:%d:%d: is no JSON: %s", r->name,
			 where.line, where.column, where.text);
		return r->code = -EINVAL;
	}
	if (!json_is_object(root)) {
		refuse(r, "", "is no object ({\"schema\":\"oncpu.policies/1\",\"policies\":[…]})");
	} else {
		const char *schema = json_string_value(json_object_get(root, "schema"));

		check_known(r, root, "schema host policies");
		if (!schema || strcmp(schema, "oncpu.policies/1") != 0)
			refuse(r, "schema", "is not \"oncpu.policies/1\"");
		list = json_object_get(root, "policies");
		if (!json_is_array(list))
			refuse(r, "policies", "is no array ([…])");
		check_twice(r, list);
		json_array_foreach(list, i, o) if (!r->code) read_policy(r, o, i);
	}
	json_decref(root);
	return r->code;
}

/* A rule that a replaced policy left behind is no rule of the set; floors get their twins. */
static void settle_rules(struct reading *r)
{
	struct policies *set = r->set;
	struct bill_rule old[POLICIES_MAX_RULES];

	memcpy(old, set->rules, sizeof(old));
	set->rule_count = 0;
	for (unsigned i = 0; i < set->count && !r->code; i++) {
		struct policy *p = &set->list[i];
		struct bill_rule memory = old[p->memory_time];

		p->time = intern_rule(r, &old[p->time]);
		p->memory_time = intern_rule(r, &memory);
	}
	for (unsigned i = 0, n = set->rule_count; i < n && !r->code; i++) {
		struct bill_rule exact = set->rules[i];

		set->twins[i] = i;
		if (exact.basis != BILL_FLOOR)
			continue;
		exact.granularity_ns = 1;
		exact.minimum_ns = 0;
		set->twins[i] = intern_rule(r, &exact);
		set->twins[set->twins[i]] = set->twins[i];
	}
}

/* What a record keeps: the three that every ledger has, and the host's own. */
static void choose_stored(struct reading *r, const char *host)
{
	static const char *const always[] = { "aws-lambda-2018", "aws-lambda", "on-cpu" };
	struct policies *set = r->set;
	const struct policy *p = policies_find(set, host);

	if (!p) {
		refuse(r, "",
		       "there is no policy \"%.24s\" for the host (oncpu policies lists them)",
		       host);
		return;
	}
	set->host = (unsigned)(p - set->list);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if ((p = policies_find(set, always[i])))
			set->stored[set->stored_count++] = (unsigned)(p - set->list);
	for (unsigned i = 0; i < set->stored_count; i++)
		if (set->stored[i] == set->host)
			return;
	set->stored[set->stored_count++] = set->host;
}

int policies_parse(const char *name, const char *text, size_t size, const char *host,
		   struct policies **ret_policies, char error[POLICY_ERROR_LEN])
{
	struct policies *set = calloc(1, sizeof(*set));
	struct reading r = { .name = "policies.json", .set = set, .error = error };

	if (!set) {
		snprintf(error, POLICY_ERROR_LEN, "%s: out of memory", name ? name : r.name);
		return -ENOMEM;
	}
	read_text(&r, policies_preset, strlen(policies_preset));
	if (name)
		r.name = name;
	if (text && !r.code)
		read_text(&r, text, size);
	r.path[0] = '\0';
	if (!r.code)
		settle_rules(&r);
	if (!r.code)
		choose_stored(&r, host ? host : "aws-lambda");
	if (r.code)
		policies_free(&set);
	else
		*ret_policies = set;
	return r.code;
}

static struct policies *embedded; /* written once, by the function below */

static void parse_embedded(void)
{
	char error[POLICY_ERROR_LEN];

	if (policies_parse(NULL, NULL, 0, NULL, &embedded, error)) {
		/* the presets are part of the program: a test parses them */
		fprintf(stderr, "oncpu: %s\n", error);
		abort();
	}
}

const struct policies *policies_embedded(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, parse_embedded);
	return embedded;
}
