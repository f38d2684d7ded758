/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A reader of a BPF ring buffer that reads ahead of the position it has freed: the ring is the
 * durable queue, and freeing is a commit of its own. Needs only the map's descriptor and mmap.
 */
#ifndef ONCPU_KERN_RING_H
#define ONCPU_KERN_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	int fd; /* borrowed */
	void *consumer_page, *producer_pages;
	size_t producer_bytes;
	uint64_t size, position; /* next byte to read */
};

int ring_open(int fd, uint32_t size, struct ring *ret_ring);
void ring_close(struct ring *ring);
/* Next record: its length with *ret_data set (valid until freed), or 0 = none yet. */
uint32_t ring_next(struct ring *ring, const void **ret_data);
/* Records between two positions. */
uint64_t ring_count(const struct ring *ring, uint64_t from, uint64_t to);
void ring_free_to(struct ring *ring, uint64_t position);
uint64_t ring_freed(const struct ring *ring);
uint64_t ring_produced(const struct ring *ring);

#endif
