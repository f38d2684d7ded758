// SPDX-License-Identifier: GPL-2.0
/*
 * The routes. Ledger answers are streamed from a reader of their own in the producer's thread; what
 * the loop owns (open instances, counters) is written into one buffer in the loop.
 */
#include "base/fnv.h"
#include "api/routes.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/internal.h"
#include "api/page.h"
#include "api/query.h"
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "core/record_json.h"
#include "ledger/ledger.h"

#define HEALTH_BYTES (64u << 10)

const char *const api_process_names[API_PROCESSES] = { "worker", "attacher" };

int64_t now_realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* ---- in the producer's thread ---- */

int answer_flush(struct answer *answer)
{
	int err = http_stream_write(answer->stream, answer->block, answer->used);

	answer->used = 0;
	return err;
}

char *answer_line_begin(struct answer *answer)
{
	if (answer->used + RECORD_JSON_MAX + 1 > sizeof(answer->block) && answer_flush(answer))
		return NULL;
	return answer->block + answer->used;
}

int answer_line_end(struct answer *answer, int n)
{
	if (n < 0)
		return n;
	answer->used += (size_t)n;
	answer->block[answer->used++] = '\n';
	return 0;
}

static int on_instance(void *user, const struct instance_record *record)
{
	char *line = answer_line_begin(user);

	return line ? answer_line_end(user, instance_record_json(record, line, RECORD_JSON_MAX))
		    : -EPIPE;
}

static int read_instances(struct answer *answer, const struct ledger_query *query)
{
	return ledger_read_instances(answer->reader, query, on_instance, answer);
}

/* To him who asked each time, to the log once for each new text. */
static void tell_damage(struct answer *answer)
{
	const char *damage = ledger_reader_damage(answer->reader);
	uint64_t hash;

	if (!damage)
		return;
	http_stream_trailer(answer->stream, "Oncpu-Warning", damage);
	hash = fnv(FNV_BASIS, damage, strlen(damage));
	if (atomic_exchange(&answer->api->told, hash) != hash)
		log_warning("%s", damage);
}

static int produce(void *user, struct http_stream *stream)
{
	struct answer *answer = user;
	struct ledger_query query = api_query_ledger(&answer->query);
	int err;

	answer->stream = stream;
	err = answer->reader || answer->without_ledger ? answer->read(answer, &query) : 0;
	if (!err)
		err = answer_flush(answer);
	if (!err && answer->reader)
		tell_damage(answer);
	if (err && err != -EPIPE)
		log_warning("an answer was cut short: %s", ledger_error());
	return err;
}

void answer_free(void *user)
{
	struct answer *answer = user;

	ledger_reader_close(&answer->reader);
	free(answer->extra);
	free(answer);
}

/* ---- in the loop ---- */

struct answer *answer_new(struct api *api,
			  int (*read)(struct answer *, const struct ledger_query *))
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return NULL;
	answer->api = api;
	answer->read = read;
	return answer;
}

struct parsing {
	struct api_query *query;
	const char *allowed;
	int64_t now;
	char error[QUERY_ERROR_LEN];
};

static int on_parameter(void *user, const char *name, const char *value, size_t length)
{
	struct parsing *p = user;

	return api_query_set(p->query, p->allowed, p->now, name, value, length, p->error);
}

void synchronise(struct api *api, struct http_request *request)
{
	struct api_health health = { 0 };

	if (api->config.sync(api->config.user) == 0)
		return;
	api->config.health(api->config.user, &health);
	http_add_header(request, "Oncpu-Degraded",
			health.degraded && health.degraded[0] ? health.degraded : "not up to date");
}

int answer_begin(struct answer *answer, struct http_request *request, const char *type)
{
	struct api *api = answer->api;
	int err;

	synchronise(api, request);
	if (answer->view)
		api->config.each_instance(api->config.user, answer->view, answer);
	err = ledger_reader_open(api->config.ledger_directory, &answer->reader);
	if (err && err != -ENOENT) { /* that one: nothing has been stored yet */
		answer_free(answer);
		return http_reply_problem(request, 500, "the ledger cannot be read: %s",
					  ledger_error());
	}
	if (answer->reader)
		ledger_reader_share(answer->reader, api->contents);
	return http_reply_stream(request, type, produce, answer_free, answer);
}

int api_query_parse(struct api_query *query, struct http_request *request, const char *allowed,
		    char error[QUERY_ERROR_LEN])
{
	struct parsing parsing = { .query = query, .allowed = allowed, .now = now_realtime_ns() };

	query->cursor.hour = INT64_MAX;
	if (http_query_each(request, on_parameter, &parsing) == 0 &&
	    api_query_check(query, parsing.error) == 0)
		return 0;
	memcpy(error, parsing.error, sizeof(parsing.error));
	return -EINVAL;
}

int answer_run(struct answer *answer, struct http_request *request, const char *allowed,
	       const char *type)
{
	char error[QUERY_ERROR_LEN];

	if (api_query_parse(&answer->query, request, allowed, error)) {
		answer_free(answer);
		return http_reply_problem(request, 400, "%s", error);
	}
	return answer_begin(answer, request, type);
}

int answer_from_ledger(struct api *api, struct http_request *request, const char *allowed,
		       int (*read)(struct answer *, const struct ledger_query *))
{
	struct answer *answer = answer_new(api, read);

	return answer ? answer_run(answer, request, allowed, NDJSON) : -ENOMEM;
}

static int on_get_closed_instances(void *user, struct http_request *request)
{
	return answer_from_ledger(user, request, "function last since until", read_instances);
}

/* A list that grows with the open instances, whose number is bounded by the configuration. */
struct listing {
	FILE *out;
	int error;
};

static void on_view(void *user, const struct instance_view *view)
{
	struct listing *listing = user;
	char line[RECORD_JSON_MAX];
	struct json_writer w;
	int n;

	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "function", view->function);
	jw_key_string(&w, "instance", view->instance);
	jw_key_uint64(&w, "uid", view->uid);
	jw_key_uint64(&w, "cgroup_id", view->cgroup_id);
	jw_key_uint64(&w, "threads", view->threads);
	jw_key_bool(&w, "in_invocation", view->in_invocation);
	jw_key_int64(&w, "total_cpu_ns", view->total_cpu_ns);
	jw_key_int64(&w, "invocations", view->invocations);
	record_audit_json(&w, view->audit.count, view->audit.mismatches, view->audit.difference_ns,
			  view->audit.worst_ns);
	record_flags_json(&w, view->flags);
	jw_object_close(&w);
	n = jw_end(&w);
	if (n < 0 || fprintf(listing->out, "%s\n", line) < 0)
		listing->error = -ENOMEM;
}

int refuse_parameters(void *user, const char *name, const char *value, size_t length)
{
	(void)user, (void)name, (void)value, (void)length;
	return -EINVAL;
}

static int on_get_instances(void *user, struct http_request *request)
{
	struct api *api = user;
	_cleanup_free_ char *body = NULL;
	struct listing listing = { 0 };
	size_t size = 0;

	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "/v1/instances takes no parameters");
	synchronise(api, request);
	listing.out = open_memstream(&body, &size);
	if (!listing.out)
		return -ENOMEM;
	api->config.each_instance(api->config.user, on_view, &listing);
	if (fclose(listing.out) || listing.error)
		return http_reply_problem(request, 500, "out of memory");
	return http_reply(request, 200, NDJSON, body, size);
}

static void write_correlator(struct json_writer *w, const struct correlator_counters *c)
{
	jw_key(w, "correlator");
	jw_object_open(w);
	jw_key_uint64(w, "events", c->events);
	jw_key_uint64(w, "duplicates", c->duplicates);
	jw_key_uint64(w, "reordered", c->reordered);
	jw_key_uint64(w, "lost", c->lost);
	jw_key_uint64(w, "unmatched", c->unmatched);
	jw_key_uint64(w, "malformed", c->malformed);
	jw_key_uint64(w, "refused", c->refused);
	jw_key_uint64(w, "invocations", c->invocations);
	jw_key_uint64(w, "instances_closed", c->instances_closed);
	jw_key_uint64(w, "instances_open", c->instances_open);
	jw_object_close(w);
}

static void write_stores(struct json_writer *w, const struct api_health *h)
{
	char when[40];

	jw_key(w, "ring");
	jw_object_open(w);
	jw_key_uint64(w, "bytes", h->ring_bytes);
	jw_key_uint64(w, "used_bytes", h->ring_used_bytes);
	jw_key_uint64(w, "position", h->ring_position);
	jw_key_uint64(w, "committed", h->ring_committed);
	jw_key_uint64(w, "lag_bytes", h->ring_position - h->ring_committed);
	jw_object_close(w);
	jw_key(w, "ledger");
	jw_object_open(w);
	jw_key_string(w, "directory", h->ledger_directory);
	jw_key_uint64(w, "commits", h->commits);
	jw_key_uint64(w, "failed_commits", h->failed_commits);
	if (h->last_commit_realtime_ns &&
	    realtime_format(h->last_commit_realtime_ns, when, sizeof(when)) >= 0)
		jw_key_string(w, "last_commit", when);
	else
		jw_key_null(w, "last_commit");
	jw_object_close(w);
	jw_key(w, "marks");
	jw_object_open(w);
	jw_key_uint64(w, "requests", h->mark_requests);
	jw_key_uint64(w, "objects", h->mark_objects);
	jw_key_uint64(w, "sites", h->mark_sites);
	jw_key_uint64(w, "failures", h->mark_failures);
	jw_object_close(w);
}

static void write_audit(struct json_writer *w, const struct api_health *h)
{
	jw_key(w, "audit");
	jw_object_open(w);
	jw_key_uint64(w, "readings", h->audit_readings);
	jw_key_uint64(w, "at_rest", h->audit_at_rest);
	jw_key_uint64(w, "mismatches", h->audit_mismatches);
	jw_key_uint64(w, "unreadable", h->audit_unreadable);
	jw_key_int64(w, "difference_ns", h->audit_difference_ns);
	jw_key_int64(w, "worst_ns", h->audit_worst_ns);
	if (h->audit_last[0])
		jw_key_string(w, "last_mismatch", h->audit_last);
	else
		jw_key_null(w, "last_mismatch");
	jw_object_close(w);
}

static void write_health(struct api *api, struct json_writer *w, const struct api_health *h)
{
	const char *name, *help;
	uint64_t value;

	jw_object_open(w);
	jw_key_string(w, "schema", "oncpu.health/1");
	jw_key_string(w, "status", h->degraded[0] ? "degraded" : "ok");
	jw_key(w, "degraded");
	jw_array_open(w);
	if (h->degraded[0])
		jw_string(w, h->degraded);
	jw_array_close(w);
	jw_key_string(w, "version", h->version);
	jw_key_int64(w, "pid", h->pid);
	jw_key_int64(w, "uptime_ns", h->uptime_ns);
	jw_key_string(w, "host", h->host);
	jw_key_string(w, "boot_id", h->boot_id);
	write_correlator(w, &h->correlator);
	write_stores(w, h);
	write_audit(w, h);
	jw_key(w, "kernel");
	jw_object_open(w);
	for (unsigned i = 0; api->config.counter(api->config.user, i, &name, &help, &value); i++)
		jw_key_uint64(w, name, value);
	jw_object_close(w);
	jw_object_close(w);
}

static int on_get_health(void *user, struct http_request *request)
{
	struct api *api = user;
	_cleanup_free_ char *body = malloc(HEALTH_BYTES);
	struct api_health health = { 0 };
	struct json_writer w;
	int n;

	if (!body)
		return -ENOMEM;
	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "/v1/health takes no parameters");
	synchronise(api, request);
	api->config.health(api->config.user, &health);
	jw_begin(&w, body, HEALTH_BYTES);
	write_health(api, &w, &health);
	n = jw_end(&w);
	if (n < 0)
		return http_reply_problem(request, 500, "the answer does not fit");
	return http_reply(request, 200, "application/json", body, (size_t)n);
}

extern const char openapi_text[]; /* openapi.S */

static int on_get_openapi(void *user, struct http_request *request)
{
	(void)user;
	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "the description takes no parameters");
	return http_reply(request, 200, "application/json", openapi_text, strlen(openapi_text));
}

static const struct http_route routes[] = {
	{ "GET", "/v1/invocations", on_get_invocations },
	{ "GET", "/v1/invocations/*", on_get_invocation },
	{ "GET", "/v1/functions", on_get_functions },
	{ "GET", "/v1/events", on_get_events },
	{ "GET", "/v1/closed-instances", on_get_closed_instances },
	{ "GET", "/v1/compare", on_get_compare },
	{ "GET", "/v1/policies", on_get_policies },
	{ "GET", "/v1/instances", on_get_instances },
	{ "GET", "/v1/health", on_get_health },
	{ "GET", "/v1/openapi.json", on_get_openapi },
	{ "POST", "/v1/boundaries", on_post_boundaries },
	{ "GET", "/metrics", on_get_metrics },
	{ "GET", "/v1/flags", on_get_flags },
	{ "GET", "/", on_get_page },
	{ "GET", "/web/*", on_get_asset },
	{ "GET", "/favicon.ico", on_get_favicon },
};

const struct http_route *api_routes(size_t *ret_count)
{
	*ret_count = sizeof(routes) / sizeof(routes[0]);
	return routes;
}

int api_new(const struct api_config *config, struct api **ret_api)
{
	struct api *api = calloc(1, sizeof(*api));

	if (!api)
		return -ENOMEM;
	api->config = *config;
	if (!api->config.policies)
		api->config.policies = policies_embedded();
	api->metrics = malloc(sizeof(*api->metrics));
	if (!api->metrics || ledger_contents_new(&api->contents)) {
		free(api->metrics);
		free(api);
		return -ENOMEM;
	}
	metrics_init(api->metrics);
	pthread_mutex_init(&api->live.lock, NULL);
	*ret_api = api;
	return 0;
}

void api_expect_function(struct api *api, const char *name)
{
	if (api->metrics->functions < METRICS_FUNCTIONS / 2) /* leave room for others */
		metrics_function(api->metrics, name);
}

void api_stop(struct api *api)
{
	atomic_store(&api->stopping, true);
	live_wake(&api->live);
}

void api_free(struct api **api)
{
	if (!*api)
		return;
	pthread_mutex_destroy(&(*api)->live.lock);
	free((*api)->metrics);
	ledger_contents_free(&(*api)->contents);
	free((*api)->pending.list);
	free(*api);
	*api = NULL;
}
