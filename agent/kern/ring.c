/* SPDX-License-Identifier: GPL-2.0 */
/* See ring.h. Layout of the pages and of a record's header: Documentation/bpf/ringbuf.rst. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "kern/ring.h"

int ring_open(int fd, uint32_t size, struct ring *ret_ring)
{
	long page = sysconf(_SC_PAGESIZE);
	struct ring r = { .fd = fd, .size = size };

	r.consumer_page = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r.consumer_page == MAP_FAILED)
		return -errno;
	r.producer_bytes = page + 2ull * size; /* the data is mapped twice: no record wraps */
	r.producer_pages = mmap(NULL, r.producer_bytes, PROT_READ, MAP_SHARED, fd, page);
	if (r.producer_pages == MAP_FAILED) {
		int error = -errno;

		munmap(r.consumer_page, page);
		return error;
	}
	r.position = ring_freed(&r);
	*ret_ring = r;
	return 0;
}

void ring_close(struct ring *ring)
{
	if (!ring->consumer_page)
		return;
	munmap(ring->consumer_page, sysconf(_SC_PAGESIZE));
	munmap(ring->producer_pages, ring->producer_bytes);
	ring->consumer_page = NULL;
}

uint64_t ring_freed(const struct ring *ring)
{
	return __atomic_load_n((const uint64_t *)ring->consumer_page, __ATOMIC_ACQUIRE);
}

uint64_t ring_produced(const struct ring *ring)
{
	return __atomic_load_n((const uint64_t *)ring->producer_pages, __ATOMIC_ACQUIRE);
}

static const char *record_at(const struct ring *ring, uint64_t position, uint32_t *ret_header)
{
	const char *at = (const char *)ring->producer_pages + sysconf(_SC_PAGESIZE) +
			 (position & (ring->size - 1));

	*ret_header = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
	return at + BPF_RINGBUF_HDR_SZ;
}

static uint32_t record_length(uint32_t header)
{
	return header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
}

static uint64_t record_end(uint64_t position, uint32_t header)
{
	return position + ((record_length(header) + BPF_RINGBUF_HDR_SZ + 7) & ~7ull);
}

uint32_t ring_next(struct ring *ring, const void **ret_data)
{
	uint32_t header;

	while (ring->position < ring_produced(ring)) {
		*ret_data = record_at(ring, ring->position, &header);
		if (header & BPF_RINGBUF_BUSY_BIT)
			return 0;
		ring->position = record_end(ring->position, header);
		if (!(header & BPF_RINGBUF_DISCARD_BIT))
			return record_length(header);
	}
	return 0;
}

uint64_t ring_count(const struct ring *ring, uint64_t from, uint64_t to)
{
	uint64_t count = 0;
	uint32_t header;

	for (; from < to; count++) {
		record_at(ring, from, &header); /* its length is there before the position moves */
		from = record_end(from, header);
	}
	return count;
}

void ring_free_to(struct ring *ring, uint64_t position)
{
	__atomic_store_n((uint64_t *)ring->consumer_page, position, __ATOMIC_RELEASE);
}
