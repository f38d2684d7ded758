/* SPDX-License-Identifier: GPL-2.0 */
/* The events of Lambda's Telemetry API as JSON: {"time":…,"type":…,"record":…}. Pure. */
#ifndef ONCPU_SLICER_TELEMETRY_EVENT_H
#define ONCPU_SLICER_TELEMETRY_EVENT_H

#include <stddef.h>
#include <stdint.h>

enum { TELEMETRY_EVENT = 2048, TELEMETRY_TIME = 40 }; /* room for a platform event; for a time */

/* Times are realtime, in ns; durations in ns. Each returns the length, or −ENOSPC. `status` is
 * "success", "error", "failure" or "timeout"; error_type NULL = none. */
int telemetry_event_init_start(int64_t now, const char *function, const char *instance,
			       int64_t memory_mb, char *buffer, size_t size);
int telemetry_event_init_done(int64_t now, const char *status, const char *error_type, char *buffer,
			      size_t size);
int telemetry_event_init_report(int64_t now, int64_t duration_ns, const char *status, char *buffer,
				size_t size);
int telemetry_event_start(int64_t now, const char *id, const char *trace, char *buffer,
			  size_t size);
/* response_ns: from the start to the answer; −1 = there was none. */
int telemetry_event_done(int64_t start, int64_t now, const char *id, const char *status,
			 const char *error_type, int64_t response_ns, uint64_t produced_bytes,
			 const char *trace, char *buffer, size_t size);
int telemetry_event_extension(int64_t now, const char *name, unsigned wants, const char *error_type,
			      char *buffer, size_t size);
/* kinds: of enum telemetry_kind, or-ed. */
int telemetry_event_subscription(int64_t now, const char *name, unsigned kinds, char *buffer,
				 size_t size);
int telemetry_event_soft_limit(int64_t now, const char *id, int64_t used_ns, int64_t limit_ns,
			       char *buffer, size_t size);
/* A line of output, of the function or an extension; room for one of n bytes: 6n + 128. */
int telemetry_event_line(int64_t now, const char *type, const char *text, size_t n, char *buffer,
			 size_t size);

/* What an extension asks to be told of, in telemetry_event_extension(). */
enum { TELEMETRY_WANTS_INVOKE = 1, TELEMETRY_WANTS_SHUTDOWN = 2 };

#endif
