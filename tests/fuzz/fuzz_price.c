// SPDX-License-Identifier: GPL-2.0
/*
 * Lines of other people's logs: what can be priced has times that can be, and clean texts. And what
 * is a record to a whole JSON parser is the same record to the quick reader.
 */
#include <jansson.h>

#include "core/price_line.h"
#include "tests/fuzz/fuzz.h"

/* What does not follow the form; and what is said in a way that the two need not agree on. */
enum verdict { RECORD, NEITHER, UNSAID };

static enum verdict integer(const json_t *value, int64_t *ret_value)
{
	if (!value || json_is_null(value))
		return RECORD;
	if (json_is_real(value))
		return UNSAID; /* 12.0 is a whole number, 1e1 is none */
	if (!json_is_integer(value))
		return NEITHER;
	*ret_value = json_integer_value(value);
	return RECORD;
}

static enum verdict worse(enum verdict a, enum verdict b)
{
	return a == UNSAID || b == UNSAID ? UNSAID : a == NEITHER ? a : b;
}

static enum verdict pair(const json_t *value, const char *first, int64_t *ret_first,
			 const char *second, int64_t *ret_second)
{
	if (!value || json_is_null(value))
		return RECORD;
	if (!json_is_object(value))
		return NEITHER;
	return worse(integer(json_object_get(value, first), ret_first),
		     integer(json_object_get(value, second), ret_second));
}

static enum verdict segments(const json_t *value, struct invocation_record *r)
{
	enum verdict verdict = RECORD;
	const json_t *one;
	size_t i;

	if (!value)
		return RECORD;
	if (!json_is_array(value) || json_array_size(value) > RECORD_MAX_SEGMENTS)
		return NEITHER;
	json_array_foreach(value, i, one)
	{
		struct record_segment *s = &r->segments[r->segment_count++];

		verdict = worse(verdict, json_is_object(one) ? pair(one, "wall_ns", &s->wall_ns,
								    "cpu_ns", &s->cpu_ns)
							     : NEITHER);
	}
	return verdict;
}

static enum verdict read_record(const json_t *o, struct invocation_record *r)
{
	const json_t *function = json_object_get(o, "function");
	enum verdict verdict = RECORD;

#define PAIR(name, a, x, b, y)                                                                     \
	verdict = worse(verdict, pair(json_object_get(o, name), a, &r->x, b, &r->y))
#define INTEGER(name) verdict = worse(verdict, integer(json_object_get(o, #name), &r->name))
#define WALL_AND_CPU(name) PAIR(#name, "wall_ns", name##_wall_ns, "cpu_ns", name##_cpu_ns)
	WALL_AND_CPU(init);
	WALL_AND_CPU(after_response);
	WALL_AND_CPU(between);
	WALL_AND_CPU(freeze);
	PAIR("cpu_quota", "quota_us", quota_us, "period_us", period_us);
	INTEGER(memory_mb);
	INTEGER(max_memory_bytes);
	INTEGER(wall_ns);
	INTEGER(cpu_ns);
	verdict = worse(verdict, segments(json_object_get(o, "segments"), r));
	r->cold_start = json_is_true(json_object_get(o, "cold_start"));
	if (!json_is_integer(json_object_get(o, "wall_ns")) ||
	    !json_is_integer(json_object_get(o, "cpu_ns")) || !json_is_string(function) ||
	    json_string_length(function) == 0)
		verdict = worse(verdict, NEITHER);
	return verdict;
}

/* Names are compared where they have room. */
static void same_record(const json_t *o, const struct price_line *price)
{
	struct invocation_record r = { .memory_mb = -1,
				       .max_memory_bytes = -1,
				       .quota_us = -1,
				       .period_us = -1,
				       .init_wall_ns = -1,
				       .init_cpu_ns = -1 };
	enum verdict verdict = read_record(o, &r);
	const char *function = json_string_value(json_object_get(o, "function"));
	int64_t times[BILL_TIMES];
	struct bill_key key;

	if (verdict == UNSAID)
		return;
	PROMISE((price->kind == PRICE_LINE_RECORD) == (verdict == RECORD));
	if (verdict == NEITHER)
		return;
	bill_times_of_record(&r, times);
	key = bill_key_of_record(&r);
	PROMISE(memcmp(times, price->times, sizeof(times)) == 0);
	PROMISE(key.memory_mb == price->key.memory_mb && key.used_mb == price->key.used_mb &&
		key.vcpu_milli == price->key.vcpu_milli && key.no_cpu == price->key.no_cpu);
	PROMISE(strlen(function) >= ONCPU_NAME_LEN || strcmp(function, price->function) == 0);
}

/* A member said twice, or one whose name may be escaped, is in none of our records: which counts is
 * nobody's promise. */
static void against_a_parser(const uint8_t *data, size_t size, const struct price_line *price)
{
	/* after a number jansson takes a 0 byte for nothing */
	json_t *o = memchr(data, 0, size)
			    ? NULL
			    : json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	const char *schema = json_string_value(json_object_get(o, "schema"));

	if (schema && strcmp(schema, "oncpu.invocation/1") == 0 && !memmem(data, size, "\\u", 2) &&
	    !memmem(data, size, "\\/", 2))
		same_record(o, price);
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct policies *set = policies_embedded();
	char *line = malloc(size + !size); /* no NUL behind it: a reader past its end is found */
	struct price_line price;

	memcpy(line, data, size);
	price_line_parse(line, size, &price);
	PROMISE(price.kind == PRICE_LINE_NEITHER || price.kind == PRICE_LINE_RECORD ||
		price.kind == PRICE_LINE_REPORT);
	if (price.kind != PRICE_LINE_NEITHER) {
		PROMISE(memchr(price.function, 0, sizeof(price.function)));
		PROMISE(memchr(price.start, 0, sizeof(price.start)));
		PROMISE(price.stated_ns >= -1);
		for (unsigned i = 0; i < set->rule_count; i++)
			PROMISE(bill_billed_ns(&set->rules[i], price.times, price.key.vcpu_milli) >=
				0);
	}
	against_a_parser(data, size, &price);
	free(line);
	return 0;
}
