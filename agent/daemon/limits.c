// SPDX-License-Identifier: GPL-2.0
/* See limits.h. */
#include "daemon/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "daemon/attacher_protocol.h"

#define LOOK_EVERY_NS 1000000000ull
#define TELL_EVERY_NS 60000000000ull

static const struct {
	const char *counter, *what;
} watched[LIMITS_WATCHED] = {
	{ "instances_full", "instances are not measured: the table is full (raise max_instances "
			    "in [agent], then oncpu unpin and start again)" },
	{ "threads_full", "threads are not measured, their records say untracked_threads (raise "
			  "max_threads in [agent], then oncpu unpin and start again)" },
	{ "cgroups_full", "cgroups are not known to belong to a function (raise max_instances in "
			  "[agent], then oncpu unpin and start again)" },
	{ "events_lost", "boundary events found the ring full: their accounts are merged, the "
			 "records say events_lost, and no CPU time is lost (raise ring_bytes in "
			 "[agent], then oncpu unpin and start again)" },
	{ "requests_lost", "requests to attach marks found no room: marks may be missed, and are "
			   "counted" },
	{ "storage_failed", "threads are not measured: the kernel had no memory for them" },
};

static unsigned counter_index(const char *name)
{
	unsigned i = 0;

	while (i < kern_counter_count() && strcmp(kern_counter_name(i), name) != 0)
		i++;
	return i;
}

static void tell(struct limits *l, uint64_t now_ns)
{
	for (int i = 0; i < LIMITS_WATCHED; i++) {
		uint64_t value = kern_view_counter(l->view, counter_index(watched[i].counter));

		if (value == l->told[i] ||
		    (l->told_ns[i] && now_ns - l->told_ns[i] < TELL_EVERY_NS))
			continue;
		log_warning("%" PRIu64 " %s", value - l->told[i], watched[i].what);
		l->told[i] = value;
		l->told_ns[i] = now_ns;
	}
}

int limits_finish(struct limits *l)
{
	uint64_t lost = kern_view_counter(l->view, counter_index("events_lost")) + 1, used, size;
	struct attacher_request request = { .op = ATTACHER_OP_FINISH };
	struct attacher_reply reply;
	uint32_t at = 0;
	int err = 0, asked = 0;

	kern_view_ring(l->view, &used, &size);
	if (lost == l->asked_lost || used > size / 2)
		return 0;     /* nothing was lost since, or they would be again */
	l->asked_lost = lost; /* one that is lost again counts once more */
	while (err != -EPIPE && (request.address = kern_view_lost_exit(l->view, &at))) {
		err = attacher_ask(l->socket, &request, &reply, NULL, 0);
		asked += err == 0;
	}
	return err == -EPIPE ? err : asked;
}

int limits_run(struct limits *l, uint64_t now_ns)
{
	if (now_ns - l->looked_ns < LOOK_EVERY_NS)
		return 0;
	l->looked_ns = now_ns;
	tell(l, now_ns);
	return limits_finish(l) < 0 ? -EPIPE : 0;
}
