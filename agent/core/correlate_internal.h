/* SPDX-License-Identifier: GPL-2.0 */
/* What the correlator's files share. */
#ifndef ONCPU_CORE_CORRELATE_INTERNAL_H
#define ONCPU_CORE_CORRELATE_INTERNAL_H

#include "core/machine.h"

enum { HELD_MAX = 64 }; /* events of one instance that wait for a gap */

struct instance {
	struct instance *next, *next_dirty;
	uint64_t uid;
	bool dirty;
	bool over; /* it ended since the last commit: known until then, so that nothing revives it
		    */
	uint32_t held_count;
	struct oncpu_event *held; /* by n; HELD_MAX + 1 of them, allocated at the first gap */
	struct machine machine;
};

struct correlator {
	struct correlator_config config;
	struct correlator_counters counters;
	struct instance **buckets;
	struct instance *dirty; /* changed or ended since the last commit */
	uint32_t buckets_count;
	uint32_t holding; /* instances with held events */
	uint64_t sequence;
};

struct instance *correlator_find(struct correlator *c, uint64_t uid);
int correlator_add(struct correlator *c, uint64_t uid, struct instance **ret_instance);
void correlator_remove(struct correlator *c, struct instance *in);

#endif
