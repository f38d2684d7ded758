/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files of this folder. */
#ifndef ONCPU_API_INTERNAL_H
#define ONCPU_API_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/query.h"
#include "api/routes.h"
#include "base/json_writer.h"
#include "core/compare.h"
#include "core/metrics.h"
#include "core/record_json.h"
#include "ledger/ledger.h"

#define NDJSON "application/x-ndjson"
#define BLOCK_BYTES (96u << 10) /* a record with every policy's bill fits */

/* Those who read /v1/events. */
struct live {
	pthread_mutex_t lock;
	struct live_reader *first;
};

/* Records of a transaction that is not committed yet. */
struct pending {
	struct metrics_observation *list;
	size_t count, room;
	uint64_t missed_now, missed; /* for want of memory: in it, and ever */
};

struct api {
	struct api_config config;
	struct metrics *metrics;
	struct ledger_contents *contents; /* what producers remember of closed segments */
	struct pending pending;
	_Atomic uint64_t told; /* hash of the last warning of a damaged segment that was logged */
	atomic_bool stopping;
	struct live live;
};

_Static_assert(BLOCK_BYTES > RECORD_JSON_MAX + COMPARE_JSON_MAX, "one record");

/* One answer from the ledger; the producer's own once it runs. */
struct answer {
	struct ledger_reader *reader; /* NULL: nothing has been stored yet */
	bool without_ledger;	      /* `read` wants to be called even so */
	struct api_query query;
	int (*read)(struct answer *answer, const struct ledger_query *query);
	/* of each open instance, in the loop, once all that happened is stored; NULL = none */
	void (*view)(void *answer, const struct instance_view *view);
	void *extra; /* what `read` needs besides; free()d */
	struct http_stream *stream;
	struct api *api;
	size_t used;
	char block[BLOCK_BYTES];
};

/* ---- in the loop ---- */
int64_t now_realtime_ns(void);
/* The query's parameters, of the `allowed` ones; 0 or -EINVAL with what is wrong. */
int api_query_parse(struct api_query *query, struct http_request *request, const char *allowed,
		    char error[QUERY_ERROR_LEN]);
/* Makes all that happened until now readable, or says in a header that it is not. */
void synchronise(struct api *api, struct http_request *request);
int refuse_parameters(void *user, const char *name, const char *value, size_t length);
struct answer *answer_new(struct api *api,
			  int (*read)(struct answer *, const struct ledger_query *));
void answer_free(void *answer);
/* Hands it to a producer; it is gone from here on. */
int answer_begin(struct answer *answer, struct http_request *request, const char *type);
/* The query's parameters first. Likewise. */
int answer_run(struct answer *answer, struct http_request *request, const char *allowed,
	       const char *type);
/* All in one, for lines. */
int answer_from_ledger(struct api *api, struct http_request *request, const char *allowed,
		       int (*read)(struct answer *, const struct ledger_query *));

/* ---- in the producer's thread ---- */
/* Room for one more line of RECORD_JSON_MAX bytes; NULL = the client is gone. */
char *answer_line_begin(struct answer *answer);
/* It has n bytes; n < 0 is handed back. */
int answer_line_end(struct answer *answer, int n);
int answer_flush(struct answer *answer);

/* ---- the routes, by file ---- */
int on_get_invocations(void *api, struct http_request *request); /* invocations.c */
int on_get_invocation(void *api, struct http_request *request);
int on_get_functions(void *api, struct http_request *request); /* functions.c */
int on_get_events(void *api, struct http_request *request);    /* events.c */
int on_get_compare(void *api, struct http_request *request);   /* bills.c */
int on_get_policies(void *api, struct http_request *request);
void live_wake(struct live *live);
int on_post_boundaries(void *api, struct http_request *request); /* boundaries.c */
int on_get_metrics(void *api, struct http_request *request);	 /* metrics.c */

#endif
