/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu forecast: wall time and bill of a function at other memory sizes. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/money.h"
#include "core/forecast.h"

static const int64_t sizes[] = { 128,  256,  512,  768,	 1024, 1536, 1769,
				 2048, 3072, 4096, 6144, 8192, 10240 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), SIZES_MAX = 32 };

struct forecast {
	struct forecast_record *records;
	size_t count, room, without_where;
	int64_t peak_mb; /* the largest observed, -1 = unknown */
	int64_t period_ns;
	int64_t sizes[SIZES_MAX];
	size_t size_count;
	bool json;
	const char *function;
	const struct policies *set;
	const struct policy *policy;
};

struct size_result {
	int64_t memory_mb, wall_ns, worst_ns; /* mean and largest, init not included */
	struct bill_cost cost;
	bool too_small; /* for the observed peak */
};

/* ---- the records ---- */

static int64_t number(const json_t *o, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(o, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static void fill(struct forecast_record *r, const json_t *o)
{
	const json_t *init = json_object_get(o, "init"), *quota = json_object_get(o, "cpu_quota");
	const json_t *where = json_object_get(o, "where"), *segment;
	int64_t awake = 0;
	size_t i;

	r->wall_ns = number(o, "wall_ns", 0);
	json_array_foreach(json_object_get(o, "segments"), i, segment) awake +=
		number(segment, "wall_ns", 0);
	if (awake > 0)
		r->wall_ns = awake;
	r->cpu_ns = number(o, "cpu_ns", 0);
	r->no_init = !json_is_true(json_object_get(o, "cold_start")) || !json_is_object(init);
	r->init_wall_ns = number(init, "wall_ns", 0);
	r->init_cpu_ns = number(init, "cpu_ns", 0);
	r->quota_us = number(quota, "quota_us", -1);
	r->period_us = number(quota, "period_us", -1);
	r->run_queue_ns = number(o, "run_queue_ns", -1);
	r->running_ns = number(where, "running_ns", -1);
	r->waiting_ns = r->running_ns < 0
				? -1
				: number(where, "blocked_io_ns", 0) + number(where, "idle_ns", 0);
	r->used_mb = bill_memory_class(number(o, "max_memory_bytes", -1));
}

static int on_line(void *user, const char *line, size_t length)
{
	struct forecast *f = user;
	json_t *o = json_loadb(line, length, 0, NULL);

	if (!o)
		return -EPROTO;
	if (f->count == f->room) {
		size_t room = f->room ? 2 * f->room : 256;
		void *grown = reallocarray(f->records, room, sizeof(*f->records));

		if (!grown) {
			json_decref(o);
			return -ENOMEM;
		}
		f->records = grown;
		f->room = room;
	}
	memset(&f->records[f->count], 0, sizeof(*f->records));
	fill(&f->records[f->count], o);
	f->without_where += f->records[f->count].running_ns < 0;
	if (f->records[f->count].used_mb > f->peak_mb)
		f->peak_mb = f->records[f->count].used_mb;
	f->count++;
	json_decref(o);
	return 0;
}

/* ---- a size ---- */

static void forecast_size(const struct forecast *f, int64_t memory_mb, struct size_result *ret)
{
	struct bill_key key = { .memory_mb = memory_mb,
				.used_mb = f->peak_mb,
				.vcpu_milli = bill_scale(memory_mb, 1000, FORECAST_MB_PER_VCPU) };
	struct bill_group group;

	bill_group_begin(&group, &key);
	*ret = (struct size_result){ .memory_mb = memory_mb, .too_small = f->peak_mb > memory_mb };
	for (size_t i = 0; i < f->count; i++) {
		int64_t times[BILL_TIMES];

		forecast_times(&f->records[i], memory_mb, f->period_ns, times);
		bill_group_add_times(&group, f->set, times);
		if (times[BILL_AWAKE] > ret->worst_ns)
			ret->worst_ns = times[BILL_AWAKE];
	}
	ret->wall_ns = bill_scale(group.times[BILL_AWAKE], 1, (int64_t)f->count);
	bill_cost_of(f->set, f->policy, &group, 1, &ret->cost);
}

static int64_t per_million(const struct forecast *f, const struct size_result *r)
{
	return bill_scale(r->cost.cost_e12, 1000000, (int64_t)f->count);
}

static int print_json(const struct forecast *f, const struct size_result *r, bool cheapest)
{
	char line[1024];
	struct json_writer w;

	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.forecast/1");
	jw_key_string(&w, "function", f->function);
	jw_key_string(&w, "policy", f->policy->name);
	jw_key_string(&w, "currency", f->policy->currency);
	jw_key_uint64(&w, "records", f->count);
	jw_key_int64(&w, "memory_mb", r->memory_mb);
	jw_key_int64(&w, "quota_ns", forecast_quota_ns(r->memory_mb, f->period_ns));
	jw_key_int64(&w, "period_ns", f->period_ns);
	jw_key_int64(&w, "wall_ns", r->wall_ns);
	jw_key_int64(&w, "worst_wall_ns", r->worst_ns);
	jw_key_int64(&w, "billed_ns", r->cost.billed_ns);
	jw_key_int64(&w, "cost_e12", r->cost.cost_e12);
	jw_key_int64(&w, "cost_per_million_e12", per_million(f, r));
	jw_key_bool(&w, "fits", !r->too_small);
	jw_key_bool(&w, "cheapest", cheapest);
	jw_object_close(&w);
	return jw_end(&w) > 0 && puts(line) >= 0 ? 0 : -EIO;
}

static int fill_row(struct table *t, const struct forecast *f, const struct size_result *r,
		    bool cheapest, bool fastest)
{
	char(*cell)[CELL_MAX] = table_row(t);
	int64_t milli = bill_scale(r->memory_mb, 1000, FORECAST_MB_PER_VCPU);

	if (!cell)
		return -ENOMEM;
	snprintf(cell[0], CELL_MAX, "%" PRId64 " MB", r->memory_mb);
	snprintf(cell[1], CELL_MAX, "%" PRId64 ".%02" PRId64, milli / 1000, milli / 10 % 100);
	format_ns(r->wall_ns, cell[2]);
	format_ns(r->worst_ns, cell[3]);
	format_ns(bill_scale(r->cost.billed_ns, 1, (int64_t)f->count), cell[4]);
	format_money(per_million(f, r), f->policy->currency, cell[5]);
	snprintf(cell[6], CELL_MAX, "%s%s%s", r->too_small ? "too small for its peak" : "",
		 cheapest ? "cheapest" : "", fastest ? (cheapest ? ", fastest" : "fastest") : "");
	return 0;
}

/* The cheapest size that holds its peak, and the smallest of the fastest. */
static void pick(const struct forecast *f, const struct size_result *results, size_t *ret_cheapest,
		 size_t *ret_fastest)
{
	size_t cheapest = f->size_count, fastest = f->size_count;

	for (size_t i = 0; i < f->size_count; i++) {
		if (results[i].too_small)
			continue;
		if (cheapest == f->size_count ||
		    results[i].cost.cost_e12 < results[cheapest].cost.cost_e12)
			cheapest = i;
		if (fastest == f->size_count || results[i].wall_ns < results[fastest].wall_ns)
			fastest = i;
	}
	*ret_cheapest = cheapest;
	*ret_fastest = fastest;
}

static int show(const struct forecast *f)
{
	struct table table = { .columns = 7,
			       .titles = { "MEMORY", "VCPU", "WALL", "WORST", "BILLED",
					   "PER MILLION", "" },
			       .right = { true, true, true, true, true, true } };
	struct size_result results[SIZES_MAX];
	size_t cheapest, fastest;
	int err = 0;

	for (size_t i = 0; i < f->size_count; i++)
		forecast_size(f, f->sizes[i], &results[i]);
	pick(f, results, &cheapest, &fastest);
	for (size_t i = 0; i < f->size_count && !err; i++)
		err = f->json ? print_json(f, &results[i], i == cheapest)
			      : fill_row(&table, f, &results[i], i == cheapest, i == fastest);
	if (!err && !f->json) {
		char period[CELL_MAX];

		format_ns(f->period_ns, period);
		table_print(&table, stdout);
		printf("\nFrom the on-CPU time of %zu invocations of %s, 1 vCPU being %d MB and a "
		       "CPU quota's period %s; billed under %s.\n",
		       f->count, f->function, FORECAST_MB_PER_VCPU, period, f->policy->name);
		if (f->without_where)
			printf("Of %zu of them it is not known where their wall time went: what "
			       "they "
			       "were neither on-CPU nor on the run queue counts as waiting.\n",
			       f->without_where);
		if (cheapest < f->size_count)
			printf("%" PRId64 " MB is the cheapest size.\n", f->sizes[cheapest]);
	}
	table_free(&table);
	return err || fflush(stdout) ? command_fail("cannot write the output") : 0;
}

/* "512,1769": up to 32 sizes. */
static int parse_sizes(struct forecast *f, const char *text)
{
	char word[16];

	f->size_count = 0;
	for (;; text++) {
		size_t n = strcspn(text, ",");

		if (n >= sizeof(word) || f->size_count == SIZES_MAX)
			return -EINVAL;
		memcpy(word, text, n);
		word[n] = '\0';
		if (parse_int64(word, 1, 1 << 20, &f->sizes[f->size_count++]))
			return -EINVAL;
		text += n;
		if (!*text)
			return 0;
	}
}

static int command_forecast(int argc, char **argv)
{
	struct forecast f = { .period_ns = FORECAST_PERIOD_NS, .peak_mb = -1, .size_count = SIZES };
	struct pricing pricing = { 0 };
	struct selection s = { .last = 1000 };
	struct policies *set = NULL;
	struct place place;
	uint64_t last;
	int o, code = 1;

	memcpy(f.sizes, sizes, sizeof(sizes));
	place_defaults(&place);
	while ((o = command_next(&forecast_command, argc, argv)) != -1) {
		switch (o) {
		case 'j':
			f.json = true;
			break;
		case 'n':
			if (parse_uint64(optarg, 1, 1000000, &last))
				return command_fail(
					       "--last %s is no whole number from 1 to 1000000",
					       optarg),
				       2;
			s.last = last;
			break;
		case 'P':
			snprintf(pricing.names, sizeof(pricing.names), "%s", optarg);
			break;
		case 'p':
			if (parse_duration_ns(optarg, &f.period_ns) || f.period_ns < 1000000 ||
			    f.period_ns > 1000000000)
				return command_fail("--period %s is no time from 1ms to 1s",
						    optarg),
				       2;
			break;
		case 'z':
			if (parse_sizes(&f, optarg))
				return command_fail("--sizes %s is no list of up to %d sizes in MB",
						    optarg, SIZES_MAX),
				       2;
			break;
		default:
			if (!source_option(o, optarg, &place, &s, &pricing))
				return command_misused("forecast", argc, argv);
			break;
		}
	}
	if (optind < argc)
		return command_fail("forecast takes no argument (%s)", argv[optind]), 2;
	if (!s.function)
		return command_fail("say which function: --function NAME"), 2;
	f.function = s.function;
	f.set = set = source_policies(&place, &pricing);
	if (set)
		f.policy = pricing.names[0] ? policies_find(set, pricing.names)
					    : &set->list[set->host];
	if (set && !f.policy)
		code = command_fail("there is no policy \"%s\" (oncpu policies lists them)",
				    pricing.names) +
		       1;
	else if (set && source_invocations(&place, &s, on_line, &f) == 0)
		code = f.count ? show(&f)
			       : command_fail("no invocations of %s yet to forecast from",
					      s.function);
	free(f.records);
	policies_free(&set);
	return code;
}

static const struct command_option options[] = {
	{ "function", 'f', "NAME", "the function (needed)" },
	{ "policy", 'P', "NAME", "whose bill (the host's own)" },
	{ "policies", 'F', "FILE", "policies of your own, on top of the built-in ones" },
	{ "sizes", 'z', "MB,MB…", "the memory sizes (13 from 128 to 10240)" },
	{ "period", 'p', "T", "the CPU quota's period (20ms)" },
	{ "last", 'n', "N", "from its last N invocations (1000)" },
	OPTION_SINCE,
	OPTION_JSON("one object a size, a line each"),
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command forecast_command = {
	.name = "forecast",
	.summary = "which memory size is cheapest: wall time and bill at other sizes",
	.options = options,
	.section = 1,
	.description =
		"From the on-CPU time that a function's invocations needed: what they would "
		"have taken "
		"and cost with the CPU share that AWS Lambda gives at other memory sizes, "
		"1,769 MB being "
		"one vCPU. Under a quota of Q every period P a need of C takes floor(C/Q)·P "
		"+ C mod Q; "
		"what was spent waiting for anything but CPU is added unchanged, and "
		"threads that ran "
		"at once run at once again as far as the quota goes.\n"
		"\n"
		"It assumes that the work takes the same CPU time at every size, and that each "
		"invocation begins with a fresh period: the worst case.",
	.examples = " oncpu forecast --function thumb\n"
		    " oncpu forecast --function thumb --policy azure-flex --sizes 512,2048,4096",
	.run = command_forecast,
};
