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

uint32_t ring_next(struct ring *ring, const void **ret_data)
{
	const char *data = (const char *)ring->producer_pages + sysconf(_SC_PAGESIZE);

	while (ring->position < ring_produced(ring)) {
		const char *at = data + (ring->position & (ring->size - 1));
		uint32_t header = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
		uint32_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (header & BPF_RINGBUF_BUSY_BIT)
			return 0;
		ring->position += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
		if (header & BPF_RINGBUF_DISCARD_BIT)
			continue;
		*ret_data = at + BPF_RINGBUF_HDR_SZ;
		return length;
	}
	return 0;
}

void ring_free_to(struct ring *ring, uint64_t position)
{
	__atomic_store_n((uint64_t *)ring->consumer_page, position, __ATOMIC_RELEASE);
}
