/* SPDX-License-Identifier: GPL-2.0 */
/* The table of instances: an index with a generation names one, so that nothing stale hits another.
 */
#ifndef ONCPU_SLICER_SLOTS_H
#define ONCPU_SLICER_SLOTS_H

#include "slicer/front.h"

enum slot_event {
	SLOT_LISTENER = 1,
	SLOT_LOG = 2,
	SLOT_EXTENSION_LOG = 3,
	SLOT_DELIVERY = 4 /* of telemetry to extension 0; those after it follow */
};

/* Makes the listener, asks the keeper for the process. 0, -EAGAIN (no index free), -errno. */
int instance_start(struct front *f, struct function *function);
void instance_free(struct instance *i);

/* What hangs on a connection: the instance's name, as a pointer-sized number; never NULL. */
void *slot_tag(const struct instance *i);
struct instance *slot_of_tag(struct front *f, const void *tag); /* NULL = it is gone */
/* For epoll. */
uint64_t slot_event(const struct instance *i, enum slot_event what);
struct instance *slot_of_event(struct front *f, uint64_t event, enum slot_event *ret_what);

#endif
