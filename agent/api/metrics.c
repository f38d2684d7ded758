// SPDX-License-Identifier: GPL-2.0
/*
 * /metrics: Prometheus's text exposition 0.0.4, by hand.
 *
 * Records are counted once their transaction is committed, from a list that it fills. A scrape is a
 * copy of the sums, taken in the loop, and written out in a thread of its own, so that it costs the
 * loop a copy of a third of a megabyte and no more.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "core/metrics.h"

#define KERNEL_COUNTERS 64
#define OUT_BYTES (64u << 10)
#define LINE_BYTES 1024 /* of which names and values are bounded */
#define FIRST_PENDING 256
#define TYPE "text/plain; version=0.0.4; charset=utf-8"

/* ---- what is counted ---- */

static struct metrics_observation *next_pending(struct api *api)
{
	struct pending *p = &api->pending;

	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : FIRST_PENDING;
		void *grown = reallocarray(p->list, room, sizeof(*p->list));

		if (!grown) {
			p->missed_now++;
			return NULL;
		}
		p->list = grown;
		p->room = room;
	}
	return &p->list[p->count++];
}

void api_observe_invocation(struct api *api, const struct invocation_record *record)
{
	struct metrics_observation *o = next_pending(api);

	if (o)
		metrics_observe_invocation(record, o);
}

void api_observe_instance(struct api *api, const struct instance_record *record)
{
	struct metrics_observation *o = next_pending(api);

	if (o)
		metrics_observe_instance(record, o);
}

void api_settled(struct api *api, bool stored)
{
	struct pending *p = &api->pending;

	if (stored && p->count + p->missed_now > 0)
		live_wake(&api->live);
	for (size_t i = 0; stored && i < p->count; i++)
		metrics_add(api->metrics, &p->list[i]);
	if (stored)
		p->missed += p->missed_now;
	p->missed_now = 0;
	p->count = 0;
}

/* ---- a scrape ---- */

struct kernel_counter {
	const char *name, *help; /* constants of the program */
	uint64_t value;
};

struct scrape {
	struct metrics metrics;
	struct api_health health;
	char version[32], host[RECORD_HOST_LEN];
	bool degraded;
	struct kernel_counter kernel[KERNEL_COUNTERS];
	unsigned kernel_count;
	uint64_t missed;
	/* the producer's */
	struct http_stream *stream;
	int error;
	size_t used;
	char block[OUT_BYTES];
};

__attribute__((format(printf, 2, 3))) static void out(struct scrape *s, const char *format, ...)
{
	va_list arguments;
	int n;

	if (s->error)
		return;
	if (sizeof(s->block) - s->used < LINE_BYTES) {
		s->error = http_stream_write(s->stream, s->block, s->used);
		s->used = 0;
	}
	va_start(arguments, format);
	n = vsnprintf(s->block + s->used, sizeof(s->block) - s->used, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof(s->block) - s->used)
		s->error = -ENOSPC;
	else
		s->used += (size_t)n;
}

/* Of a label's value; `to` has room for twice as much. */
static const char *escape(const char *text, char *to)
{
	char *at = to;

	for (; *text; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			*at++ = '\\';
		*at++ = *text == '\n' ? 'n' : *text;
	}
	*at = '\0';
	return to;
}

/* ns as seconds, every digit of them; the zeros behind are cut off. */
static const char *seconds(int64_t ns, char text[32])
{
	uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	int n = snprintf(text, 32, "%s%llu.%09llu", ns < 0 ? "-" : "",
			 (unsigned long long)(size / 1000000000u),
			 (unsigned long long)(size % 1000000000u));

	while (text[n - 1] == '0')
		text[--n] = '\0';
	if (text[n - 1] == '.')
		text[--n] = '\0';
	return text;
}

static void family(struct scrape *s, const char *name, enum metric_type type, const char *prose)
{
	out(s, "# HELP %s %s\n# TYPE %s %s\n", name, prose, name, metric_type_name(type));
}

/* ---- of a function ---- */

static void count_of(struct scrape *s, const char *name, const char *labels, uint64_t value)
{
	out(s, "%s{%s} %llu\n", name, labels, (unsigned long long)value);
}

static void time_of(struct scrape *s, const char *name, const char *labels, int64_t ns)
{
	char text[32];

	out(s, "%s{%s} %s\n", name, labels, seconds(ns, text));
}

static void histogram(struct scrape *s, enum metric metric, const char *labels,
		      const struct metrics_histogram *h)
{
	const struct metrics_bounds *bounds = metrics_bounds_of(metric);
	const char *name = metric_info(metric)->name;
	bool bytes = metric == METRIC_FAAS_MEM_USAGE;
	uint64_t total = 0;
	char text[32];

	for (unsigned i = 0; i < bounds->count; i++) {
		total += h->count[i];
		if (bytes)
			snprintf(text, sizeof(text), "%lld", (long long)bounds->bound[i]);
		else
			seconds(bounds->bound[i], text);
		out(s, "%s_bucket{%s,le=\"%s\"} %llu\n", name, labels, text,
		    (unsigned long long)total);
	}
	total += h->count[bounds->count];
	out(s, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)total);
	if (bytes)
		out(s, "%s_sum{%s} %lld\n", name, labels, (long long)h->sum);
	else
		out(s, "%s_sum{%s} %s\n", name, labels, seconds(h->sum, text));
	out(s, "%s_count{%s} %llu\n", name, labels, (unsigned long long)total);
}

/* One for each of some names: "function,NAME". */
static void times_of(struct scrape *s, const char *name, const char *labels, const char *label,
		     const char *const *values, const int64_t *ns, int count)
{
	char text[32];

	for (int i = 0; i < count; i++)
		out(s, "%s{%s,%s=\"%s\"} %s\n", name, labels, label, values[i],
		    seconds(ns[i], text));
}

static void by_status(struct scrape *s, const char *name, const char *labels,
		      const struct metrics_function *f)
{
	for (int i = 0; i <= ONCPU_STATUS_COUNT; i++)
		if (i < ONCPU_STATUS_COUNT || f->status[i])
			out(s, "%s{%s,status=\"%s\"} %llu\n", name, labels,
			    i < ONCPU_STATUS_COUNT ? record_status_name(i) : "other",
			    (unsigned long long)f->status[i]);
}

static void billed(struct scrape *s, const char *name, const char *labels,
		   const struct metrics_function *f)
{
	char policy[64], text[32];

	for (unsigned i = 0; i < s->metrics.policies; i++)
		out(s, "%s{%s,policy=\"%s\"} %s\n", name, labels,
		    escape(s->metrics.policy[i], policy), seconds(f->billed_ns[i], text));
}

static void of_function(struct scrape *s, enum metric metric, const char *name, const char *labels,
			const struct metrics_function *f)
{
	switch (metric) {
	case METRIC_FAAS_INVOKE_DURATION:
		return histogram(s, metric, labels, &f->wall_faas);
	case METRIC_FAAS_INIT_DURATION:
		return histogram(s, metric, labels, &f->init_faas);
	case METRIC_FAAS_CPU_USAGE:
		return histogram(s, metric, labels, &f->cpu_faas);
	case METRIC_FAAS_MEM_USAGE:
		return histogram(s, metric, labels, &f->memory);
	case METRIC_WALL:
		return histogram(s, metric, labels, &f->wall);
	case METRIC_CPU:
		return histogram(s, metric, labels, &f->cpu);
	case METRIC_FAAS_COLDSTARTS:
		return count_of(s, name, labels, f->cold_starts);
	case METRIC_FAAS_INVOCATIONS:
		return count_of(s, name, labels, f->status[ONCPU_STATUS_OK]);
	case METRIC_FAAS_ERRORS:
		return count_of(s, name, labels,
				f->status[ONCPU_STATUS_ERROR] + f->status[ONCPU_STATUS_CRASHED]);
	case METRIC_FAAS_TIMEOUTS:
		return count_of(s, name, labels, f->status[ONCPU_STATUS_TIMEOUT]);
	case METRIC_INVOCATIONS:
		return by_status(s, name, labels, f);
	case METRIC_ACCOUNT:
		return times_of(s, name, labels, "account", metrics_account_names,
				f->account_shown_ns, METRICS_ACCOUNTS);
	case METRIC_WHERE:
		return times_of(s, name, labels, "state", metrics_state_names, f->where_ns,
				METRICS_STATES);
	case METRIC_RUN_QUEUE:
		return time_of(s, name, labels, f->run_queue_ns);
	case METRIC_BILLED:
		return billed(s, name, labels, f);
	case METRIC_ERROR_BOUND:
		return time_of(s, name, labels, f->error_bound_ns);
	case METRIC_FLAGGED:
		return count_of(s, name, labels, f->flagged);
	case METRIC_INSTANCES_OPEN:
		return count_of(s, name, labels, f->instances_open);
	case METRIC_IN_INVOCATION:
		return count_of(s, name, labels, f->in_invocation);
	case METRIC_INSTANCES_CLOSED:
		return count_of(s, name, labels, f->instances_closed);
	case METRIC_CONSERVATION:
		return time_of(s, name, labels, f->audit_difference_ns);
	case METRIC_AUDITS:
		return count_of(s, name, labels, f->audits);
	case METRIC_AUDIT_MISMATCHES:
		return count_of(s, name, labels, f->audit_mismatches);
	default:
		return;
	}
}

static void of_functions(struct scrape *s, enum metric metric)
{
	const struct metric_info *info = metric_info(metric);
	const struct metrics *m = &s->metrics;

	for (unsigned i = 0; i <= METRICS_FUNCTIONS; i++) {
		const struct metrics_function *f = &m->function[i];
		char name[2 * ONCPU_NAME_LEN], labels[2 * ONCPU_NAME_LEN + 16];

		if (i >= m->functions &&
		    (i < METRICS_FUNCTIONS || (m->folded == 0 && f->instances_open == 0)))
			continue;
		snprintf(labels, sizeof(labels), "function=\"%s\"", escape(f->name, name));
		of_function(s, metric, info->name, labels, f);
	}
}

/* ---- of the host ---- */

static void process_time(struct scrape *s, const char *name)
{
	char text[32];

	for (int i = 0; i < API_PROCESSES; i++)
		out(s, "%s{process=\"%s\"} %s\n", name, api_process_names[i],
		    seconds(s->health.process[i].cpu_ns, text));
}

static void process_memory(struct scrape *s, const char *name)
{
	for (int i = 0; i < API_PROCESSES; i++)
		out(s, "%s{process=\"%s\"} %llu\n", name, api_process_names[i],
		    (unsigned long long)s->health.process[i].resident_bytes);
}

static void info(struct scrape *s, const char *name)
{
	char version[64], host[2 * RECORD_HOST_LEN];

	out(s, "%s{version=\"%s\",host=\"%s\"} 1\n", name, escape(s->version, version),
	    escape(s->host, host));
}

/* A plain number of the host; false: it is no plain one. */
static bool host_number(const struct scrape *s, enum metric metric, uint64_t *ret_value)
{
	const struct api_health *h = &s->health;
	const struct correlator_counters *c = &h->correlator;
	const uint64_t numbers[METRIC_COUNT] = {
		[METRIC_FUNCTIONS] = s->metrics.functions,
		[METRIC_FUNCTIONS_FOLDED] = s->metrics.folded,
		[METRIC_RECORDS_MISSED] = s->missed,
		[METRIC_EVENTS] = c->events,
		[METRIC_EVENTS_LOST] = c->lost,
		[METRIC_EVENTS_DUPLICATE] = c->duplicates,
		[METRIC_EVENTS_REORDERED] = c->reordered,
		[METRIC_EVENTS_REFUSED] = c->malformed + c->refused,
		[METRIC_UNMATCHED] = c->unmatched,
		[METRIC_RING_BYTES] = h->ring_bytes,
		[METRIC_LAG_BYTES] = h->ring_used_bytes,
		[METRIC_COMMITS] = h->commits,
		[METRIC_COMMITS_FAILED] = h->failed_commits,
		[METRIC_DEGRADED] = s->degraded,
		[METRIC_AUDIT_COMPARISONS] = h->audit_readings,
		[METRIC_AUDIT_ALARMS] = h->audit_mismatches,
		[METRIC_MARK_OBJECTS] = h->mark_objects,
		[METRIC_MARK_SITES] = h->mark_sites,
		[METRIC_MARK_FAILURES] = h->mark_failures,
		[METRIC_HTTP_REQUESTS] = h->http.requests,
		[METRIC_HTTP_REFUSED] = h->http.refused,
		[METRIC_HTTP_STREAMS] = h->http.streams,
		[METRIC_HTTP_CUT] = h->http.streams_cut,
	};

	if (metric == METRIC_LAST_COMMIT || metric == METRIC_AGENT_CPU ||
	    metric == METRIC_AGENT_MEMORY || metric == METRIC_UPTIME || metric == METRIC_INFO ||
	    metric == METRIC_AUDIT_DIFFERENCE)
		return false;
	*ret_value = numbers[metric];
	return true;
}

static void of_host(struct scrape *s, enum metric metric)
{
	const char *name = metric_info(metric)->name;
	char text[32];
	uint64_t value;

	if (host_number(s, metric, &value))
		out(s, "%s %llu\n", name, (unsigned long long)value);
	else if (metric == METRIC_LAST_COMMIT)
		out(s, "%s %s\n", name, seconds(s->health.last_commit_realtime_ns, text));
	else if (metric == METRIC_AUDIT_DIFFERENCE)
		out(s, "%s %s\n", name, seconds(s->health.audit_difference_ns, text));
	else if (metric == METRIC_UPTIME)
		out(s, "%s %s\n", name, seconds(s->health.uptime_ns, text));
	else if (metric == METRIC_AGENT_CPU)
		process_time(s, name);
	else if (metric == METRIC_AGENT_MEMORY)
		process_memory(s, name);
	else
		info(s, name);
}

static void of_kernel(struct scrape *s)
{
	for (unsigned i = 0; i < s->kernel_count; i++) {
		char name[96];

		snprintf(name, sizeof(name), "oncpu_kernel_%s_total", s->kernel[i].name);
		family(s, name, METRIC_COUNTER, s->kernel[i].help);
		out(s, "%s %llu\n", name, (unsigned long long)s->kernel[i].value);
	}
}

static int produce(void *user, struct http_stream *stream)
{
	struct scrape *s = user;

	s->stream = stream;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *about = metric_info((enum metric)i);

		family(s, about->name, about->type, about->prose);
		if (i < METRIC_FIRST_OF_HOST)
			of_functions(s, (enum metric)i);
		else
			of_host(s, (enum metric)i);
	}
	of_kernel(s);
	return s->error ? s->error : http_stream_write(stream, s->block, s->used);
}

/* ---- in the loop ---- */

static void on_view(void *user, const struct instance_view *view)
{
	struct metrics_function *f = metrics_function(user, view->function);

	f->instances_open++;
	f->in_invocation += view->in_invocation;
}

static void take(struct api *api, struct scrape *s)
{
	const struct api_config *config = &api->config;
	struct kernel_counter *k = s->kernel;

	/* what runs is looked at in the original: a function gets its series when it is first seen
	 */
	for (unsigned i = 0; i <= METRICS_FUNCTIONS; i++)
		api->metrics->function[i].instances_open = api->metrics->function[i].in_invocation =
			0;
	config->each_instance(config->user, on_view, api->metrics);
	s->metrics = *api->metrics;
	config->health(config->user, &s->health);
	snprintf(s->version, sizeof(s->version), "%s", s->health.version);
	snprintf(s->host, sizeof(s->host), "%s", s->health.host);
	s->degraded = s->health.degraded && s->health.degraded[0];
	/* the others are the loop's, which goes on */
	s->health.version = s->version;
	s->health.host = s->host;
	s->health.boot_id = s->health.ledger_directory = NULL;
	s->health.degraded = s->health.audit_last = NULL;
	while (s->kernel_count < KERNEL_COUNTERS &&
	       config->counter(config->user, s->kernel_count, &k->name, &k->help, &k->value)) {
		s->kernel_count++;
		k++;
	}
	s->missed = api->pending.missed;
}

int on_get_metrics(void *user, struct http_request *request)
{
	struct scrape *s;

	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "/metrics takes no parameters");
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	memset(s, 0, offsetof(struct scrape, block));
	take(user, s);
	return http_reply_stream(request, TYPE, produce, free, s);
}
