// SPDX-License-Identifier: GPL-2.0
/* Sums and money: the platforms' own examples, parts that add up, and no order that matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "core/compare.h"

#define MS 1000000ll
#define DOLLAR 1000000000000ll

static const struct policies *set;

static struct bill_cost cost_of(const char *policy, uint64_t count, int64_t wall_ns, int64_t cpu_ns,
				int64_t memory_mb, int64_t peak_bytes)
{
	struct invocation_record record = { .wall_ns = wall_ns,
					    .cpu_ns = cpu_ns,
					    .init_wall_ns = -1,
					    .memory_mb = memory_mb,
					    .max_memory_bytes = peak_bytes,
					    .quota_us = -1 };
	struct bill_key key = bill_key_of_record(&record);
	struct bill_group group;
	struct bill_cost cost;

	bill_group_begin(&group, &key);
	bill_group_add_record(&group, set, &record);
	group.count = count;
	for (int i = 0; i < BILL_TIMES; i++)
		group.times[i] *= (int64_t)count;
	for (unsigned i = 0; i < set->rule_count; i++)
		group.billed[i] *= (int64_t)count;
	bill_cost_of(set, policies_find(set, policy), &group, 1, &cost);
	assert_false(cost.saturated);
	return cost;
}

static void test_compare_examples_of_the_platforms(void **state)
{
	struct bill_cost c;

	(void)state;
	/* AWS: 3 million requests of 120 ms at 1,536 MB: 540,000 GB-s and $0.60 */
	c = cost_of("aws-lambda", 3000000, 120 * MS, 1, 1536, -1);
	assert_int_equal(c.memory_cost_e12, 540000 * 16666700ll);
	assert_int_equal(c.request_e12, DOLLAR * 60 / 100);
	assert_int_equal(c.cost_e12, c.memory_cost_e12 + c.request_e12);
	/* its fee for a request equals 96 ms at 128 MB (the EuroSys'26 study) */
	c = cost_of("aws-lambda", 1, 96 * MS, 1, 128, -1);
	assert_int_equal(c.request_e12, 200000);
	assert_int_equal(c.memory_cost_e12, 200000);
	/* DigitalOcean: 10 million × 0.5 GiB × 0.1 s = 500,000 GiB-s, × 0.2 s at 15 million */
	c = cost_of("digitalocean", 10000000, 100 * MS, 1, 512, -1);
	assert_int_equal(c.cost_e12, 500000 * 18500000ll);
	c = cost_of("digitalocean", 15000000, 200 * MS, 1, 512, -1);
	assert_int_equal(c.cost_e12, 1500000 * 18500000ll);
	/* Azure: 3 million × 1 s at 1.5 GB observed, 4,500,000 GB-s: $72; 0.5 GB for 3 s */
	c = cost_of("azure-consumption", 3000000, 1000 * MS, 1, 4096, 1500ll << 20);
	assert_int_equal(c.memory_cost_e12, 72 * DOLLAR);
	c = cost_of("azure-consumption", 1, 3000 * MS, 1, 4096, 500 << 20);
	assert_int_equal(c.memory_cost_e12, 16000000 * 3 / 2);
	/* Azure's unit: MB-ms ÷ 1,024,000 is GB-s */
	assert_true(c.mb_ns == (__int128)512 * 3000 * MS);
	assert_true(c.mb_ns / MS * 1000 / 1024000 == 1500);
	/* Cloudflare: a million CPU ms are $0.02; Vercel: an hour of CPU and a GB-hour */
	c = cost_of("cloudflare-workers", 1000000, 50 * MS, 1 * MS, 128, -1);
	assert_int_equal(c.cpu_cost_e12, DOLLAR * 2 / 100);
	c = cost_of("vercel-fluid", 3600, 1000 * MS, 1000 * MS, 1024, -1);
	assert_int_equal(c.cpu_cost_e12, DOLLAR * 128 / 1000);
	assert_int_equal(c.memory_cost_e12, DOLLAR * 106 / 10000);
	/* Cloud Run: 1 vCPU-s and 0.5 GiB-s */
	c = cost_of("cloud-run-request", 1, 1000 * MS, 1, -1, -1);
	assert_int_equal(c.cpu_cost_e12, 24000000);
	assert_int_equal(c.memory_cost_e12, 1250000);
	assert_int_equal(c.request_e12, 400000);
}

static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
	return *random;
}

static struct invocation_record any_record(uint64_t *random)
{
	struct invocation_record r = { 0 };

	r.wall_ns = (int64_t)(next(random) % (2000 * MS));
	r.cpu_ns = (int64_t)(next(random) % (uint64_t)(r.wall_ns * 2 + 1));
	r.cold_start = next(random) % 4 == 0;
	r.init_wall_ns = r.cold_start ? (int64_t)(next(random) % (900 * MS)) : -1;
	r.init_cpu_ns = r.cold_start ? r.init_wall_ns / 3 : -1;
	r.after_response_wall_ns = (int64_t)(next(random) % (uint64_t)(r.wall_ns + 1));
	r.after_response_cpu_ns = r.after_response_wall_ns / 5;
	r.between_wall_ns = (int64_t)(next(random) % (5000 * MS));
	r.between_cpu_ns = (int64_t)(next(random) % MS) - 10; /* a negative split, too */
	r.freeze_wall_ns = (int64_t)(next(random) % (3000 * MS));
	r.memory_mb = (int64_t[]){ -1, 128, 512, 1769 }[next(random) % 4];
	r.max_memory_bytes = (int64_t)(next(random) % (3ull << 30)) - 1;
	r.quota_us = (int64_t[]){ -1, 50000, 33333 }[next(random) % 3];
	r.period_us = 100000;
	r.start_realtime_ns = (int64_t)(next(random) >> 4);
	r.end_realtime_ns = r.start_realtime_ns + r.wall_ns;
	return r;
}

enum { RECORDS = 400, GROUPS_MAX = RECORDS };

static size_t gather(struct bill_group *groups, size_t count, const struct invocation_record *r)
{
	struct bill_key key = bill_key_of_record(r);
	size_t i = 0;

	while (i < count && !bill_key_equal(&groups[i].key, &key))
		i++;
	if (i == count)
		bill_group_begin(&groups[count++], &key);
	bill_group_add_record(&groups[i], set, r);
	return count;
}

static void check_sums(const struct policy *p, const struct bill_cost *c)
{
	int64_t ns = c->cpu_ns, money = c->used_e12 + c->memory_e12 + c->request_e12;

	for (int i = 0; i < BILL_PARTS; i++) {
		ns += c->parts_ns[i];
		money += c->parts_e12[i];
	}
	if (ns != c->billed_ns || money != c->cost_e12)
		fail_msg("%s: parts %lld ns of %lld, %lld e12 of %lld", p->name, (long long)ns,
			 (long long)c->billed_ns, (long long)money, (long long)c->cost_e12);
	assert_int_equal(c->memory_cost_e12 + c->cpu_cost_e12 + c->request_e12, c->cost_e12);
	assert_int_equal(bill_cost_waste_e12(c), c->cost_e12 - c->used_e12 - c->request_e12);
	assert_true(c->parts_ns[BILL_PART_ROUNDING] >= 0);
}

/* Whatever the records: parts add up to the whole, in time and in money, under every policy; and
 * backwards, or in two halves, it is the same to the last digit. */
static void test_compare_parts_add_up_in_any_order(void **state)
{
	static struct bill_group forth[GROUPS_MAX], back[GROUPS_MAX], half[GROUPS_MAX];
	static struct invocation_record records[RECORDS];
	uint64_t random = 42;
	size_t n = 0, m = 0, h = 0;

	(void)state;
	for (int i = 0; i < RECORDS; i++)
		records[i] = any_record(&random);
	for (int i = 0; i < RECORDS; i++) {
		n = gather(forth, n, &records[i]);
		m = gather(back, m, &records[RECORDS - 1 - i]);
	}
	for (int i = RECORDS / 2; i < RECORDS; i++)
		h = gather(half, h, &records[i]);
	for (int i = 0; i < RECORDS / 2; i++) { /* the other half comes as sums of one record */
		struct bill_key key = bill_key_of_record(&records[i]);
		struct bill_group one;
		size_t k = 0;

		bill_group_begin(&one, &key);
		bill_group_add_record(&one, set, &records[i]);
		while (k < h && !bill_key_equal(&half[k].key, &key))
			k++;
		if (k == h)
			bill_group_begin(&half[h++], &key);
		bill_group_merge(&half[k], &one, set->rule_count);
	}
	assert_int_equal(n, m);
	assert_int_equal(n, h);
	for (unsigned p = 0; p < set->count; p++) {
		struct bill_cost c, d, e;

		bill_cost_of(set, &set->list[p], forth, n, &c);
		bill_cost_of(set, &set->list[p], back, n, &d);
		bill_cost_of(set, &set->list[p], half, n, &e);
		check_sums(&set->list[p], &c);
		assert_int_equal(c.count, RECORDS);
		assert_int_equal(c.cost_e12, d.cost_e12);
		assert_int_equal(c.cost_e12, e.cost_e12);
		assert_memory_equal(c.parts_e12, d.parts_e12, sizeof(c.parts_e12));
		assert_memory_equal(c.parts_ns, e.parts_ns, sizeof(c.parts_ns));
		assert_false(c.saturated);
	}
}

/* Each part is what its name says, of one record worked out by hand. */
static void test_compare_parts_by_hand(void **state)
{
	struct invocation_record r = { .wall_ns = 30 * MS + 1,
				       .cpu_ns = 8 * MS,
				       .cold_start = true,
				       .init_wall_ns = 20 * MS,
				       .init_cpu_ns = 5 * MS,
				       .after_response_wall_ns = 10 * MS,
				       .after_response_cpu_ns = 3 * MS,
				       .memory_mb = 1024,
				       .max_memory_bytes = 256 << 20,
				       .quota_us = -1 };
	struct bill_key key = bill_key_of_record(&r);
	struct bill_group g;
	struct bill_cost c;

	(void)state;
	bill_group_begin(&g, &key);
	bill_group_add_record(&g, set, &r);
	bill_cost_of(set, policies_find(set, "aws-lambda"), &g, 1, &c);
	assert_int_equal(c.billed_ns, 51 * MS);
	assert_int_equal(c.parts_ns[BILL_PART_WAITING], 15 * MS + 1);
	assert_int_equal(c.parts_ns[BILL_PART_INIT], 20 * MS);
	assert_int_equal(c.parts_ns[BILL_PART_AFTER], 7 * MS);
	assert_int_equal(c.parts_ns[BILL_PART_BETWEEN], 0);
	assert_int_equal(c.parts_ns[BILL_PART_ROUNDING], MS - 1);
	/* 768 of 1,024 MB were never used: three quarters of 51 ms × 1 GB */
	/* 16666700 × 0.051 × ¾ = 637501.275: a difference of rounded sums is within 1 of it */
	assert_in_range(c.memory_e12, 637501, 637502);
	assert_int_equal(c.used_e12, 33333); /* 16666700 × 0.008 ÷ 4 = 33333.4 */
	/* FunctionGraph stops at the answer: the CPU time after it was free */
	bill_cost_of(set, policies_find(set, "huawei"), &g, 1, &c);
	assert_int_equal(c.billed_ns, 21 * MS);
	assert_int_equal(c.parts_ns[BILL_PART_AFTER], -3 * MS);
	assert_int_equal(c.parts_ns[BILL_PART_INIT], 0);
	assert_int_equal(c.parts_ns[BILL_PART_WAITING], 15 * MS + 1);
	/* several threads at once: the wall is less than they used */
	r.cpu_ns = 50 * MS;
	bill_group_begin(&g, &key);
	bill_group_add_record(&g, set, &r);
	bill_cost_of(set, policies_find(set, "aws-lambda-2020"), &g, 1, &c);
	assert_int_equal(c.billed_ns, 31 * MS);
	assert_true(c.parts_ns[BILL_PART_WAITING] < 0);
	check_sums(policies_find(set, "aws-lambda-2020"), &c);
}

/* The share of an instance's end is priced as the function's most frequent size. */
static void test_compare_closing_share(void **state)
{
	struct invocation_record r = { .wall_ns = 10 * MS,
				       .cpu_ns = MS,
				       .init_wall_ns = -1,
				       .memory_mb = 1024,
				       .max_memory_bytes = -1,
				       .quota_us = 200000,
				       .period_us = 100000 };
	struct instance_record end = { .end_realtime_ns = 110 * MS,
				       .last_between_wall_ns = 100 * MS };
	struct bill_key key = bill_key_of_record(&r), none = { -1, -1, -1, false };
	struct bill_group g[2];
	struct bill_cost c;

	(void)state;
	bill_group_begin(&g[1], &key);
	bill_group_add_record(&g[1], set, &r);
	bill_group_begin(&g[0], &none);
	bill_group_add_close(&g[0], set, &end);
	bill_cost_of(set, policies_find(set, "cloud-run-instance"), g, 2, &c);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.billed_ns, 200 * MS);
	assert_int_equal(c.memory_cost_e12, 2000000 / 5); /* 1 GiB for 0.2 s */
	assert_int_equal(c.cpu_cost_e12, 18000000 * 2 / 5);
	check_sums(policies_find(set, "cloud-run-instance"), &c);
	/* nothing but ends: the policy's own size */
	bill_cost_of(set, policies_find(set, "cloud-run-instance"), g, 1, &c);
	assert_int_equal(c.count, 0);
	assert_int_equal(c.request_e12, 0);
	bill_cost_of(set, policies_find(set, "cloud-run-instance"), g, 0, &c);
	assert_int_equal(c.cost_e12, 0);
}

/* Where CPU time is not known, what rests on it is not, either; the rest is. */
static void test_compare_without_cpu(void **state)
{
	int64_t times[BILL_TIMES] = { [BILL_AWAKE] = 1500000 };
	struct bill_key key = { 128, -1, -1, true };
	struct compare_choice choice;
	char text[COMPARE_JSON_MAX], error[POLICY_ERROR_LEN];
	struct bill_group g;
	struct json_writer w;
	json_t *o, *p;

	(void)state;
	bill_group_begin(&g, &key);
	bill_group_add_times(&g, set, times);
	assert_int_equal(compare_choose(set, "aws-lambda,on-cpu", &choice, error), 0);
	jw_begin(&w, text, sizeof(text));
	jw_object_open(&w);
	compare_policies_json(&w, set, &choice, &g, 1, 0);
	jw_object_close(&w);
	assert_true(jw_end(&w) > 0);
	o = json_loads(text, 0, NULL);
	p = json_array_get(json_object_get(o, "policies"), 0);
	assert_int_equal(json_integer_value(json_object_get(p, "billed_ns")), 2 * MS);
	assert_true(json_is_null(json_object_get(p, "waste")));
	assert_true(json_is_null(json_object_get(p, "billed_per_cpu_milli")));
	assert_true(json_is_null(json_object_get(p, "cost_per_month_e12")));
	p = json_array_get(json_object_get(o, "policies"), 1);
	assert_true(json_is_null(json_object_get(p, "billed_ns")));
	assert_true(json_is_null(json_object_get(p, "cost_e12")));
	json_decref(o);
}

static void test_compare_saturates(void **state)
{
	struct bill_key key = { INT64_MAX / 4, -1, -1, false };
	struct bill_group g;
	struct bill_cost c;

	(void)state;
	bill_group_begin(&g, &key);
	g.count = 1;
	for (unsigned i = 0; i < set->rule_count; i++)
		g.billed[i] = INT64_MAX;
	for (unsigned p = 0; p < set->count; p++) {
		bill_cost_of(set, &set->list[p], &g, 1, &c);
		assert_true(c.cost_e12 > 0);
		if (set->list[p].has_memory && !set->list[p].maximum_mb)
			assert_true(c.saturated);
	}
}

static void test_compare_scale(void **state)
{
	(void)state;
	assert_int_equal(bill_scale(1, 1, 2), 1); /* half up */
	assert_int_equal(bill_scale(-1, 1, 2), 0);
	assert_int_equal(bill_scale(-3, 1, 2), -1);
	assert_int_equal(bill_scale(1, 1, 3), 0);
	assert_int_equal(bill_scale(2, 1, 3), 1);
	assert_int_equal(bill_scale(INT64_MAX, 1000, 1000), INT64_MAX);
	assert_int_equal(bill_scale(INT64_MAX, 2, 1), INT64_MAX);
	assert_int_equal(bill_scale(INT64_MIN, 2, 1), INT64_MIN);
}

static void test_compare_choice(void **state)
{
	char error[POLICY_ERROR_LEN];
	struct compare_choice c;

	(void)state;
	assert_int_equal(compare_choose(set, NULL, &c, error), 0);
	assert_int_equal(c.count, 3); /* the host's own is aws-lambda */
	assert_string_equal(set->list[c.shown[0]].name, "aws-lambda");
	assert_int_equal(compare_choose(set, "huawei,on-cpu,huawei", &c, error), 0);
	assert_int_equal(c.count, 2);
	assert_string_equal(set->list[c.shown[0]].name, "huawei");
	assert_int_equal(compare_choose(set, "all", &c, error), 0);
	assert_int_equal(c.count, set->count);
	assert_int_equal(c.shown[0], set->host);
	assert_int_equal(compare_choose(set, "huawei,,on-cpu", &c, error), -EINVAL);
	assert_int_equal(compare_choose(set, "huaweii", &c, error), -EINVAL);
	assert_non_null(strstr(error, "there is no policy \"huaweii\" (known: aws-lambda "));
	assert_non_null(strstr(error, "all)"));
}

static void test_compare_json_of_a_record(void **state)
{
	static char text[COMPARE_JSON_MAX];
	uint64_t random = 7;
	struct invocation_record r = any_record(&random);
	struct json_writer w;
	json_t *o, *list, *p;
	size_t i;

	(void)state;
	jw_begin(&w, text, sizeof(text));
	jw_object_open(&w);
	compare_record_json(&w, set, &r);
	jw_object_close(&w);
	assert_true(jw_end(&w) > 0);
	o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	list = json_object_get(o, "policies");
	assert_int_equal(json_array_size(list), set->count);
	json_array_foreach(list, i, p)
	{
		const char *name = json_string_value(json_object_get(p, "policy"));

		assert_string_equal(name, set->list[i].name);
		assert_int_equal(json_integer_value(json_object_get(p, "billed_ns")),
				 billing_billed_ns(set, &set->list[i], &r));
	}
	json_decref(o);
}

static int load(void **state)
{
	(void)state;
	set = policies_embedded();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare_examples_of_the_platforms),
		cmocka_unit_test(test_compare_parts_add_up_in_any_order),
		cmocka_unit_test(test_compare_parts_by_hand),
		cmocka_unit_test(test_compare_closing_share),
		cmocka_unit_test(test_compare_without_cpu),
		cmocka_unit_test(test_compare_saturates),
		cmocka_unit_test(test_compare_scale),
		cmocka_unit_test(test_compare_choice),
		cmocka_unit_test(test_compare_json_of_a_record),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
