/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the agent answers over HTTP. Reads the ledger by itself; what only the running agent knows
 *comes through callbacks, all called in the loop's thread.
 *
 *	GET /v1/invocations?function=&id=&status=&since=&until= oncpu.invocation/1, a line each
 *		last=N		the newest N of them, oldest first
 *		limit=N&cursor=	pages, newest first; Oncpu-Next-Cursor leads to the next one
 *		fields=a,b,c	these members only
 *	GET /v1/invocations/{record_id}                         that record, and each policy's bill
 *	GET /v1/functions?since=                                what is known of each, a line each
 *	GET /v1/events?function=                                records as they are stored, as
 *								Server-Sent Events (events.c)
 *	GET /v1/closed-instances?function=&last=&since=&until=  oncpu.instance/1, a line each
 *	GET /v1/compare?function=&since=&until=&policy=A,B      what each used, and what policies
 *								bill for it, a line each
 *	GET /v1/policies                                        the policies: one JSON object
 *	GET /v1/instances                                       open instances, a line each
 *	GET /v1/health                                          one JSON object
 *	GET /v1/openapi.json                                    openapi.json: all of this
 *	POST /v1/boundaries                                     boundaries.h, for gateways
 *	GET /metrics                                            core/metrics.def, for Prometheus
 *
 * since and until are by the record's end: nanoseconds since the epoch, RFC 3339 UTC, or a duration
 * ("15m") before now.
 */
#ifndef ONCPU_API_ROUTES_H
#define ONCPU_API_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/correlate.h"
#include "core/policy.h"
#include "http/server.h"

enum { API_PROCESS_WORKER, API_PROCESS_ATTACHER, API_PROCESSES };

struct api_health {
	const char *version;
	int pid; /* of the agent as started: its privileged half */
	int64_t uptime_ns;
	int64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC, as records have it */
	const char *host, *boot_id, *ledger_directory;
	struct correlator_counters correlator;
	uint64_t ring_bytes, ring_used_bytes, ring_position, ring_committed;
	uint64_t commits, failed_commits;
	int64_t last_commit_realtime_ns; /* 0 = none yet */
	const char *degraded;		 /* reason, "" = all is well */
	uint64_t mark_requests, mark_objects, mark_sites, mark_failures;
	struct http_counters http; /* of all doors */
	struct {
		int64_t cpu_ns;
		uint64_t resident_bytes;
	} process[API_PROCESSES];
	/* our accounts against the kernel's own cpu.stat (daemon/audit.h) */
	uint64_t audit_readings, audit_at_rest, audit_mismatches, audit_unreadable;
	int64_t audit_difference_ns, audit_worst_ns;
	const char *audit_last; /* the last mismatch, "" = none */
};
extern const char *const api_process_names[API_PROCESSES];

/* A boundary that a gateway reports; bounded and checked (boundaries.h). */
struct api_boundary {
	char cgroup[ONCPU_PATTERN_LEN]; /* "" = by pid */
	int pid;			/* 0 = by cgroup */
	uint32_t kind;			/* ONCPU_EV_START, _RESPONSE, _END */
	int32_t status;			/* of END */
	char id[ONCPU_ID_LEN];
	uint32_t id_len;
};
struct api_boundary_done {
	int64_t time_ns, total_cpu_ns; /* CLOCK_MONOTONIC; all that was charged until then */
	uint64_t uid;
	char function[ONCPU_NAME_LEN];
};
#define API_BOUNDARY_ERROR_LEN 512

struct api_config {
	const char *ledger_directory;	 /* borrowed, likewise: */
	const struct policies *policies; /* NULL = the presets */
	void *user;
	/* Makes all that happened until now readable. 0, or -errno (then what is stored is
	 * answered). */
	int (*sync)(void *user);
	void (*each_instance)(void *user,
			      void (*visit)(void *visit_user, const struct instance_view *view),
			      void *visit_user);
	void (*health)(void *user,
		       struct api_health *ret_health); /* strings valid until the next call */
	/* 0, -ENOENT (no such instance), -EBUSY (another makes its boundaries), -errno; with one
	 * line in error. */
	int (*boundary)(void *user, const struct api_boundary *boundary,
			struct api_boundary_done *ret_done, char error[API_BOUNDARY_ERROR_LEN]);
	/* Counters of the kernel side, in order; false past the end. */
	bool (*counter)(void *user, unsigned i, const char **ret_name, const char **ret_help,
			uint64_t *ret_value);
};

struct api;

/* The routes' `user` is the api. 0, -ENOMEM. */
int api_new(const struct api_config *config, struct api **ret_api);
void api_free(struct api **api); /* after the server */
/* From the loop: a record was put into a transaction; and, in the end, whether all such since the
 * last time are stored or none. Then they count, and who follows them may read on. */
void api_observe_invocation(struct api *api, const struct invocation_record *record);
void api_observe_instance(struct api *api, const struct instance_record *record);
void api_settled(struct api *api, bool stored);
/* A function that is known beforehand: its series are there from the first scrape on. */
void api_expect_function(struct api *api, const char *name);
/* Ends what has no end of its own; before the server is freed. */
void api_stop(struct api *api);
const struct http_route *api_routes(size_t *ret_count);

#endif
