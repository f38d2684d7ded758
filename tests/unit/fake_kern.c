// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel side that is an array: the ring's reader as the pipeline sees it. Positions count
 * events. What is freed is gone: reading below the committed position is impossible, as in the real
 * ring.
 */
#include "tests/unit/fake_kern.h"

#include <errno.h>
#include <string.h>

struct kern_view {
	struct oncpu_event events[FAKE_KERN_MAX];
	size_t produced, position, committed;
	unsigned commits, rewinds;
	uint64_t forgotten;
};

static struct kern_view the_view;
static uint64_t pins = 1;

struct kern_view *fake_kern_reset(void)
{
	memset(&the_view, 0, sizeof(the_view));
	return &the_view;
}

void fake_kern_push(const struct oncpu_event *event)
{
	if (the_view.produced < FAKE_KERN_MAX)
		the_view.events[the_view.produced++] = *event;
}

void fake_kern_new_pins(void)
{
	pins++;
}

void fake_kern_forget(uint64_t uid)
{
	the_view.forgotten = uid;
}

uint64_t kern_view_pins(const struct kern_view *v)
{
	(void)v;
	return pins;
}

bool kern_view_has(const struct kern_view *v, uint64_t uid)
{
	return uid != v->forgotten;
}

size_t fake_kern_committed(void)
{
	return the_view.committed;
}

unsigned fake_kern_rewinds(void)
{
	return the_view.rewinds;
}

int kern_view_read(struct kern_view *v, struct oncpu_event *events, size_t max)
{
	size_t n = v->produced - v->position;

	if (n > max)
		n = max;
	memcpy(events, v->events + v->position, n * sizeof(*events));
	v->position += n;
	return (int)n;
}

uint64_t kern_view_position(const struct kern_view *v)
{
	return v->position;
}

int kern_view_commit(struct kern_view *v, uint64_t position)
{
	if (position < v->committed || position > v->position)
		return -EINVAL;
	v->committed = position;
	v->commits++;
	return 0;
}

void kern_view_rewind(struct kern_view *v)
{
	v->position = v->committed;
	v->rewinds++;
}

void kern_view_ring(const struct kern_view *v, uint64_t *ret_used, uint64_t *ret_size)
{
	*ret_used = v->produced - v->committed;
	*ret_size = FAKE_KERN_MAX;
}
