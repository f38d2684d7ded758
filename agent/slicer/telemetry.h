/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lambda's Telemetry API of one instance: what its extensions subscribe to and are sent.
 *
 * Each subscriber has a queue (telemetry_queue.h) and one connection at a time (courier.h), and
 * only to a server within the instance's own cgroup: a destination is a port of this host, and the
 * front shall not be a way to speak to others. Nothing is sent to who is frozen. What came before a
 * subscription is kept while the instance starts, within bounds, for those that subscribe then.
 */
#ifndef ONCPU_SLICER_TELEMETRY_H
#define ONCPU_SLICER_TELEMETRY_H

#include "slicer/front.h"
#include "slicer/telemetry_queue.h"

/* Begins to keep events; again: does nothing. */
void telemetry_open(struct instance *i);
void telemetry_free(struct instance *i);
/* Subscribes extension number `e`, or changes its subscription. 0, -EACCES (the instance has
 * started: too late), -ENOMEM. `wanted`: kinds and bounds. `port`, `path` and `host`: of its
 * server. */
int telemetry_subscribe(struct instance *i, unsigned e, const struct telemetry_queue *wanted,
			unsigned port, const char *host, const char *path);

/* What happens; all do nothing where nobody listens. error_type NULL = none. */
void telemetry_extension(struct instance *i, const struct participant *p, const char *error_type);
void telemetry_init_done(struct instance *i, const char *status, const char *error_type);
void telemetry_init_report(struct instance *i, const char *status); /* init is over */
void telemetry_start(struct instance *i);
void telemetry_runtime_done(struct instance *i, const char *status, const char *error_type);
void telemetry_platform(struct instance *i, const char *event,
			int size); /* JSON; size < 1: nothing */
void telemetry_text(struct instance *i, bool of_extension, const char *text, size_t size);

/* Sends what is due; `all`: what there is. */
void telemetry_run(struct instance *i, uint64_t now, bool all);
uint64_t telemetry_when(const struct instance *i); /* something will be due; UINT64_MAX = nothing */
void telemetry_on_io(struct instance *i, unsigned e);

/* PUT /2022-07-01/telemetry of extension number e (telemetry_api.c). */
void telemetry_api(struct instance *i, unsigned e, struct exchange *x);

#endif
