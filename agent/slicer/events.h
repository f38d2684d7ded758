/* SPDX-License-Identifier: GPL-2.0 */
/* What the Runtime and Extensions APIs say to the processes of an instance. */
#ifndef ONCPU_SLICER_EVENTS_H
#define ONCPU_SLICER_EVENTS_H

#include "slicer/front.h"

void event_to_runtime(struct instance *i, struct exchange *x, struct invocation *v);
/* After suspend?until: the same invocation, with its deadline moved. */
void event_to_sleeper(struct instance *i, struct exchange *x, struct invocation *v);
void event_to_extension(struct instance *i, struct exchange *x, struct invocation *v);
void event_shutdown(struct instance *i, struct exchange *x, const char *reason, int64_t ms);
void event_trace(const struct invocation *v, char *text, size_t size);
void event_time(char *text, size_t size); /* now, as RFC 3339 */
/* {"errorMessage":…,"errorType":…} */
void event_refuse(struct exchange *x, unsigned status, const char *type, const char *text);
/* The function's environment says that several invocations may run in one instance. */
bool event_shares_instance(const struct instance *i);

#endif
