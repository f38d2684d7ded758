/* SPDX-License-Identifier: GPL-2.0 */
/* The lines that Lambda writes around an invocation's own output, byte for byte. Pure. */
#ifndef ONCPU_SLICER_REPORT_H
#define ONCPU_SLICER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
	const char *id;
	int64_t duration_ns; /* the invocation's own, without init */
	int64_t init_ns;     /* −1 = no cold start */
	int64_t billed_ms;
	int64_t memory_mb;
	uint64_t peak_bytes; /* 0 = not known: the line then has no Max Memory Used */
	int64_t cpu_ns;	     /* −1 = not known */
	const char *status;  /* "timeout", "error"; NULL = success */
};

/* Each returns the length, or −ENOSPC. The line ends with \n. */
int report_start(const char *id, char *buffer, size_t size);
int report_end(const char *id, char *buffer, size_t size);
/* REPORT RequestId: …\tDuration: … ms\t…: Lambda's fields in Lambda's order, then "On-CPU: … ms\t".
 */
int report_line(const struct report *report, char *buffer, size_t size);
/* The same as a platform.report event of the Telemetry API, one line of JSON. */
int report_json(const struct report *report, int64_t realtime_ns, char *buffer, size_t size);

#endif
