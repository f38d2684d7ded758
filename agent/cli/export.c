/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oncpu export: the host's own bill as FOCUS rows, and records as CloudEvents.
 *
 * FOCUS (focus.finops.org, 1.2): a row per function, hour and meter. PricingQuantity is exact, or
 * rounded to 18 decimals where an hourly price asks for a division; ListUnitPrice ×
 * PricingQuantity, rounded half up to 12 decimals, is ListCost. Columns of our own begin with x_;
 * what is not a meter's but the function's and the hour's (on-CPU time, waste) stands in its first
 * row only, so that every column can be summed.
 *
 * CloudEvents 1.0 in JSON: a line a record, the record being its data.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json_writer.h"
#include "cli/cli.h"
#include "cli/csv.h"
#include "cli/money.h"
#include "core/record_json.h"

enum form { FORM_NONE, FORM_FOCUS, FORM_CLOUDEVENTS };

struct export
{
	enum form form;
	const struct policies *set;
	const struct policy *policy;
	char host[RECORD_HOST_LEN];
	uint64_t rows;
};

/* ---- FOCUS ---- */

static const char focus_head[] =
	"BilledCost,BillingCurrency,BillingPeriodEnd,BillingPeriodStart,ChargeCategory,"
	"ChargeDescription,ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,ConsumedQuantity,"
	"ConsumedUnit,EffectiveCost,ListCost,ListUnitPrice,PricingCategory,PricingQuantity,"
	"PricingUnit,ProviderName,ResourceId,ResourceName,ResourceType,ServiceCategory,ServiceName,"
	"ServiceSubcategory,SkuId,SkuMeter,x_Invocations,x_OnCpuSeconds,x_PolicyVersion,"
	"x_WasteCost\r\n";

struct meter {
	const char *name, *unit, *hours; /* "GB-Seconds"; its unit where a price is per hour */
	const char *sku;
	const struct bill_price *price;
	__int128 quantity; /* of 10^-decimals units */
	int decimals;
	int64_t cost_e12;
};

struct focus_row {
	const struct export *export;
	const char *function;
	time_t hour;
	const struct bill_cost *cost;
	bool first; /* of its function and hour */
};

static void put_time(FILE *to, time_t t)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	fprintf(to, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* The first instant of the month that is `months` after the one of t. */
static time_t month_of(time_t t, int months)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	tm = (struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon + months, .tm_mday = 1 };
	return timegm(&tm);
}

static void put_decimal(FILE *to, __int128 value, int decimals)
{
	char cell[CELL_MAX];

	format_decimal(value, decimals, cell);
	fprintf(to, "%s", cell);
}

static __int128 power_of_ten(int n)
{
	__int128 power = 1;

	while (n-- > 0)
		power *= 10;
	return power;
}

/* Price and quantity: by the unit where that price is a decimal, else by what the price is for. */
static void put_pricing(FILE *to, const struct meter *m)
{
	const struct bill_price *p = m->price;
	__int128 scaled = (__int128)p->e12 * 1000000;

	if (scaled % p->per == 0) {
		put_decimal(to, scaled / p->per, 18);
		fputs(",Standard,", to);
		put_decimal(to, m->quantity, m->decimals);
		fprintf(to, ",%s,", m->unit);
		return;
	}
	put_decimal(to, p->e12, 12);
	fputs(",Standard,", to);
	scaled = m->decimals > 18 ? m->quantity / power_of_ten(m->decimals - 18)
				  : m->quantity * power_of_ten(18 - m->decimals);
	put_decimal(to, (scaled + p->per / 2) / p->per, 18);
	if (p->per == 3600)
		fprintf(to, ",%s,", m->hours);
	else
		fprintf(to, ",%" PRId64 " %s,", p->per, m->unit);
}

static void put_row(FILE *to, const struct focus_row *r, const struct meter *m)
{
	const struct policy *p = r->export->policy;
	char description[200];

	put_decimal(to, m->cost_e12, 12);
	fprintf(to, ",%s,", p->currency);
	put_time(to, month_of(r->hour, 1));
	putc(',', to);
	put_time(to, month_of(r->hour, 0));
	fputs(",Usage,", to);
	snprintf(description, sizeof(description), "%s of %s under %s", m->name, r->function,
		 p->title);
	csv_put(to, description);
	fputs(",Usage-Based,", to);
	put_time(to, r->hour + 3600);
	putc(',', to);
	put_time(to, r->hour);
	putc(',', to);
	put_decimal(to, m->quantity, m->decimals);
	fprintf(to, ",%s,", m->unit);
	put_decimal(to, m->cost_e12, 12);
	putc(',', to);
	put_decimal(to, m->cost_e12, 12);
	putc(',', to);
	put_pricing(to, m);
	csv_put(to, r->export->host);
	putc(',', to);
	csv_put(to, r->function);
	putc(',', to);
	csv_put(to, r->function);
	fputs(",Function,Compute,oncpu,Serverless Compute,", to);
	fprintf(to, "%s/%s,%s,", p->name, m->sku, m->name);
	if (r->first) {
		fprintf(to, "%" PRIu64 ",", r->cost->count);
		put_decimal(to, r->cost->cpu_ns, 9);
		fprintf(to, ",%" PRIu32 ",", p->version);
		put_decimal(to, bill_cost_waste_e12(r->cost), 12);
	} else {
		fprintf(to, ",,%" PRIu32 ",", p->version);
	}
	fputs("\r\n", to);
}

static int on_hour(void *user, const struct ledger_sum *sum, int64_t bucket,
		   const struct bill_group *groups, size_t count)
{
	struct export *e = user;
	const struct policy *p = e->policy;
	struct bill_cost cost;
	struct focus_row row = { e, sum->function, (time_t)(bucket * 3600), &cost, true };

	bill_cost_of(e->set, p, groups, count, &cost);
	/* 10^10 ÷ 1024 is 9765625: GB-seconds have 19 decimals */
	struct meter meters[] = {
		{ "Memory", "GB-Seconds", "GB-Hours", "memory",
		  p->has_memory ? &p->memory_price : NULL, cost.mb_ns * 9765625, 19,
		  cost.memory_cost_e12 },
		{ "CPU", "vCPU-Seconds", "vCPU-Hours", "vcpu", p->has_cpu ? &p->cpu_price : NULL,
		  cost.milli_ns, 12, cost.cpu_cost_e12 },
		{ "Requests", "Requests", "Requests", "requests",
		  p->has_request ? &p->request_price : NULL, (__int128)cost.count, 0,
		  cost.request_e12 },
	};

	for (size_t i = 0; i < sizeof(meters) / sizeof(meters[0]); i++) {
		if (!meters[i].price || !meters[i].quantity)
			continue;
		put_row(stdout, &row, &meters[i]);
		row.first = false;
		e->rows++;
	}
	return ferror(stdout) ? -EIO : 0;
}

/* The ledger's host, of its newest record. */
static int on_record(void *user, const struct invocation_record *record)
{
	struct export *e = user;

	memcpy(e->host, record->host, sizeof(e->host));
	return 0;
}

static int export_focus(struct export *e, const struct place *place, const struct selection *s)
{
	struct compare_choice choice = { .shown = { (unsigned)(e->policy - e->set->list) },
					 .count = 1 };
	struct ledger_query newest = { .last = 1 }, query;
	struct ledger_reader *reader = NULL;
	int err = source_ledger(place, s, &reader, &query);

	if (err)
		return 1;
	fputs(focus_head, stdout);
	err = ledger_read_invocations(reader, &newest, on_record, e);
	if (!err)
		err = ledger_read_bills(reader, &query, e->set, &choice, 60, on_hour, e);
	if (err == -EIO && ferror(stdout))
		command_fail("cannot write the output");
	else if (err)
		command_fail("%s", ledger_error());
	source_ledger_close(&reader);
	return err ? 1 : 0;
}

/* ---- CloudEvents ---- */

static void put_source(struct json_writer *w, const char *host, const char *record_id)
{
	char uri[512] = "oncpu://";
	size_t used = strlen(uri), n = strlen(host);

	for (; *host && used + 4 < sizeof(uri) - 32; host++) {
		unsigned char c = (unsigned char)*host;

		used += (size_t)snprintf(uri + used, sizeof(uri) - used,
					 isalnum(c) || strchr("-._~", c) ? "%c" : "%%%02X", c);
	}
	/* a record's id is HOST-BOOT-SEQUENCE */
	if (strlen(record_id) > n + 1) {
		const char *boot = record_id + n + 1;

		snprintf(uri + used, sizeof(uri) - used, "/boot/%.*s", (int)strcspn(boot, "-"),
			 boot);
	}
	jw_key_string(w, "source", uri);
}

static int on_line(void *user, const char *line, size_t length)
{
	struct export *e = user;
	json_t *o = json_loadb(line, length, 0, NULL);
	const char *id = json_string_value(json_object_get(o, "record_id"));
	const char *host = json_string_value(json_object_get(o, "host"));
	const char *end = json_string_value(json_object_get(o, "end"));
	const char *tenant = json_string_value(json_object_get(o, "tenant"));
	char event[RECORD_JSON_MAX + 2048];
	struct json_writer w;
	int n;

	jw_begin(&w, event, sizeof(event));
	jw_object_open(&w);
	jw_key_string(&w, "specversion", "1.0");
	jw_key_string(&w, "type", "oncpu.invocation.v1");
	put_source(&w, host ? host : "", id ? id : "");
	jw_key_string(&w, "id", id ? id : "");
	jw_key_string(&w, "time", end ? end : "");
	if (tenant && *tenant)
		jw_key_string(&w, "subject", tenant);
	jw_key_string(&w, "datacontenttype", "application/json");
	jw_key(&w, "data");
	jw_raw(&w, line, length);
	jw_object_close(&w);
	n = jw_end(&w);
	if (n > 0 && (!id || !host || !end))
		n = -EPROTO;
	json_decref(o);
	if (n < 0)
		return n;
	e->rows++;
	return puts(event) < 0 ? -EIO : 0;
}

/* ---- the command ---- */

static int choose_policy(struct export *e, const struct pricing *pricing)
{
	e->policy = pricing->names[0] ? policies_find(e->set, pricing->names)
				      : &e->set->list[e->set->host];
	if (e->policy)
		return 0;
	return command_fail(
		       "there is no policy \"%s\" (oncpu policies lists them; a bill is of one)",
		       pricing->names),
	       2;
}

static int command_export(int argc, char **argv)
{
	struct export e = { 0 };
	struct pricing pricing = { 0 };
	struct selection s = { 0 };
	struct policies *set = NULL;
	struct place place;
	int o, code;

	place_defaults(&place);
	while ((o = command_next(&export_command, argc, argv)) != -1) {
		switch (o) {
		case 'O':
			e.form = FORM_FOCUS;
			break;
		case 'C':
			e.form = FORM_CLOUDEVENTS;
			break;
		case 'P':
			snprintf(pricing.names, sizeof(pricing.names), "%s", optarg);
			break;
		default:
			if (!source_option(o, optarg, &place, &s, &pricing))
				return command_misused("export", argc, argv);
			break;
		}
	}
	if (optind < argc)
		return command_fail("export takes no argument (%s)", argv[optind]), 2;
	if (e.form == FORM_NONE)
		return command_fail("say what to export: --focus or --cloudevents"), 2;
	if (e.form == FORM_CLOUDEVENTS) {
		code = source_invocations(&place, &s, on_line, &e) ? 1 : 0;
	} else {
		e.set = set = source_policies(&place, &pricing);
		code = set ? choose_policy(&e, &pricing) : 1;
		if (!code)
			code = export_focus(&e, &place, &s);
	}
	if (fflush(stdout) && !code)
		code = command_fail("cannot write the output: %s", strerror(errno));
	policies_free(&set);
	return code;
}

static const struct command_option options[] = {
	{ "focus", 'O', NULL, "the bill as FOCUS rows, CSV: one a function, hour and meter" },
	{ "cloudevents", 'C', NULL, "the records as CloudEvents, a line of JSON each" },
	{ "function", 'f', "NAME", "only this function" },
	OPTION_SINCE,
	{ "policy", 'P', "NAME", "with --focus: whose bill (the host's own)" },
	{ "policies", 'F', "FILE", "policies of your own, on top of the built-in ones" },
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command export_command = {
	.name = "export",
	.summary = "the bill as FOCUS rows, or records as CloudEvents",
	.options = options,
	.synopsis = "--focus [--policy NAME] [OPTION...]\n--cloudevents [OPTION...]",
	.section = 1,
	.description =
		"FOCUS rows are read from the ledger itself, after a running agent has stored what "
		"has "
		"happened: being root, or in the agent's group, is needed. Hours are by the end of "
		"invocations, in UTC. x_OnCpuSeconds, x_WasteCost and x_Invocations stand in the "
		"first "
		"row of a function and hour, so that each column can be summed.",
	.examples = " oncpu export --focus --since 24h >bill.csv\n"
		    " oncpu export --cloudevents --function thumb >events.jsonl",
	.run = command_export,
};
