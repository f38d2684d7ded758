/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An event of the ring made whole. The kernel side leaves out what it need not say, and what of its
 * work costs less here: after this, what is not said is 0, and an id has its length.
 */
#include <string.h>

#include "kern/kern_internal.h"

/* The end of the id is where its NUL is; all that is not said is 0. */
static void cut_id(struct oncpu_event *e)
{
	if (e->id_len == ONCPU_ID_UNCUT) {
		e->id_len = (uint32_t)strnlen(e->id, ONCPU_ID_LEN);
		if (e->id_len == ONCPU_ID_LEN && e->id_end[0])
			e->flags |= ONCPU_EVF_ID_TRUNCATED;
	}
	if (e->id_len < ONCPU_ID_LEN) /* what is larger is for the reader to refuse */
		memset(e->id + e->id_len, 0, ONCPU_ID_LEN - e->id_len);
	memset(e->id_end, 0, sizeof(e->id_end));
}

static void cut_function(struct oncpu_event *e)
{
	size_t length = strnlen(e->function, ONCPU_NAME_LEN - 1);

	memset(e->function + length, 0, ONCPU_NAME_LEN - length);
}

bool kern_event_unpack(const void *data, uint32_t length, struct oncpu_event *ret_event)
{
	struct oncpu_event *e = ret_event;

	if (length == ONCPU_EVENT_BRIEF) {
		memcpy(e, data, ONCPU_EVENT_BRIEF);
		memset((char *)e + ONCPU_EVENT_BRIEF, 0, sizeof(*e) - ONCPU_EVENT_BRIEF);
		e->id_len = 0;
		return true;
	}
	if (length != sizeof(*e))
		return false;
	memcpy(e, data, sizeof(*e));
	cut_id(e);
	cut_function(e);
	if (!(e->flags & ONCPU_EVF_WHERE))
		memset(e->where_ns, 0, sizeof(e->where_ns));
	if (!(e->flags & ONCPU_EVF_IRQ))
		e->irq_ns = 0;
	return true;
}
