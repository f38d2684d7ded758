/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The unprivileged half: reads events and requests through descriptors, frees what is committed.
 *
 * An instance slot is given back to the kernel side when its EXIT is committed: first the totals
 * are zeroed and the slot freed, then the ring moves. Killed in between, the EXIT is read again,
 * and the uid no longer fits: nothing is done twice, and no slot leaks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kern/kern_internal.h"
#include "kern/ring.h"

#define ONCPU_COUNTER(name, help) COUNTER_##name,
enum {
#include "../bpf/counters.def"
};
#undef ONCPU_COUNTER

struct gone {
	uint64_t position, uid;
	uint32_t instance;
};

struct kern_view {
	int fds[KERN_FD_COUNT];
	struct ring events, requests;
	struct oncpu_control *control;
	struct oncpu_instance *instances;
	struct oncpu_total *totals;
	uint64_t *counters;
	size_t control_bytes, instances_bytes, totals_bytes, counters_bytes;
	uint32_t max_instances, cpus, pins;
	struct gone *gone;
	size_t gone_count, gone_room;
};

static int map_entries(int fd, uint32_t *ret_entries, size_t *ret_bytes)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	long page = sysconf(_SC_PAGESIZE);

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	*ret_entries = info.max_entries;
	*ret_bytes = ((size_t)info.max_entries * ((info.value_size + 7) & ~7u) + page - 1) &
		     ~(size_t)(page - 1);
	return 0;
}

/* The kernel counts map ids up, and one is enough for all that are pinned together. */
static int read_identity(struct kern_view *v)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(v->fds[KERN_FD_EVENTS], &info, &length))
		return -errno;
	v->pins = info.id;
	return 0;
}

static int map_array(int fd, void **ret_memory, size_t *ret_bytes, uint32_t *ret_entries)
{
	int error = map_entries(fd, ret_entries, ret_bytes);
	void *memory;

	if (error)
		return error;
	memory = mmap(NULL, *ret_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	return 0;
}

static int open_maps(struct kern_view *v)
{
	uint32_t entries, bytes;
	size_t unused;
	int error;

	if ((error = map_array(v->fds[KERN_FD_CONTROL], (void **)&v->control, &v->control_bytes,
			       &entries)) ||
	    (error = map_array(v->fds[KERN_FD_INSTANCES], (void **)&v->instances,
			       &v->instances_bytes, &v->max_instances)) ||
	    (error = map_array(v->fds[KERN_FD_TOTALS], (void **)&v->totals, &v->totals_bytes,
			       &entries)) ||
	    (error = map_array(v->fds[KERN_FD_COUNTERS], (void **)&v->counters, &v->counters_bytes,
			       &bytes)))
		return error;
	v->cpus = entries / v->max_instances;
	if ((error = read_identity(v)) ||
	    (error = map_entries(v->fds[KERN_FD_EVENTS], &bytes, &unused)) ||
	    (error = ring_open(v->fds[KERN_FD_EVENTS], bytes, &v->events)) ||
	    (error = map_entries(v->fds[KERN_FD_REQUESTS], &bytes, &unused)) ||
	    (error = ring_open(v->fds[KERN_FD_REQUESTS], bytes, &v->requests)))
		return error;
	return 0;
}

int kern_view_open(const int fds[KERN_FD_COUNT], struct kern_view **ret_view)
{
	struct kern_view *v = calloc(1, sizeof(*v));
	int error;

	if (!v)
		return -ENOMEM;
	memcpy(v->fds, fds, sizeof(v->fds));
	error = open_maps(v);
	if (error) {
		kern_fail(error, "cannot map the kernel side's tables: %s", strerror(-error));
		for (int i = 0; i < KERN_FD_COUNT; i++)
			v->fds[i] = -1; /* still the caller's */
		kern_view_close(&v);
		return error;
	}
	*ret_view = v;
	return 0;
}

void kern_view_close(struct kern_view **view)
{
	struct kern_view *v = *view;

	if (!v)
		return;
	ring_close(&v->events);
	ring_close(&v->requests);
	if (v->control)
		munmap(v->control, v->control_bytes);
	if (v->instances)
		munmap(v->instances, v->instances_bytes);
	if (v->totals)
		munmap(v->totals, v->totals_bytes);
	if (v->counters)
		munmap(v->counters, v->counters_bytes);
	for (int i = 0; i < KERN_FD_COUNT; i++)
		if (v->fds[i] >= 0)
			close(v->fds[i]);
	free(v->gone);
	free(v);
	*view = NULL;
}

int kern_view_events_fd(const struct kern_view *v)
{
	return v->fds[KERN_FD_EVENTS];
}

int kern_view_requests_fd(const struct kern_view *v)
{
	return v->fds[KERN_FD_REQUESTS];
}

static int remember_exit(struct kern_view *v, const struct oncpu_event *e)
{
	if (v->gone_count == v->gone_room) {
		size_t room = v->gone_room ? v->gone_room * 2 : 64;
		struct gone *grown = realloc(v->gone, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		v->gone = grown;
		v->gone_room = room;
	}
	v->gone[v->gone_count++] = (struct gone){ .position = v->events.position,
						  .uid = e->uid,
						  .instance = e->instance };
	return 0;
}

int kern_view_read(struct kern_view *v, struct oncpu_event *events, size_t max)
{
	size_t count = 0;

	while (count < max) {
		uint64_t before = v->events.position;
		const void *data;
		uint32_t length = ring_next(&v->events, &data);

		if (!length)
			break;
		if (!kern_event_unpack(data, length, &events[count]))
			continue; /* never made by our programs: skip rather than misread */
		if (events[count].kind == ONCPU_EV_EXIT && remember_exit(v, &events[count])) {
			v->events.position = before;
			break;
		}
		count++;
	}
	return (int)count;
}

uint64_t kern_view_position(const struct kern_view *v)
{
	return v->events.position;
}

static void recycle(struct kern_view *v, const struct gone *g)
{
	struct oncpu_instance *in;

	if (g->instance >= v->max_instances)
		return;
	in = &v->instances[g->instance];
	if (in->uid != g->uid ||
	    __atomic_load_n(&in->state, __ATOMIC_ACQUIRE) != ONCPU_INSTANCE_EXITED)
		return;
	for (uint32_t c = 0; c < v->cpus; c++)
		memset(&v->totals[(size_t)c * v->max_instances + g->instance], 0,
		       sizeof(struct oncpu_total));
	__atomic_store_n(&in->state, ONCPU_INSTANCE_FREE, __ATOMIC_RELEASE);
}

int kern_view_commit(struct kern_view *v, uint64_t position)
{
	size_t kept = 0;

	if (position > v->events.position)
		return -EINVAL;
	for (size_t i = 0; i < v->gone_count; i++) {
		if (v->gone[i].position <= position)
			recycle(v, &v->gone[i]);
		else
			v->gone[kept++] = v->gone[i];
	}
	v->gone_count = kept;
	__atomic_fetch_add(&v->counters[COUNTER_events],
			   ring_count(&v->events, ring_freed(&v->events), position),
			   __ATOMIC_RELAXED);
	ring_free_to(&v->events, position);
	return 0;
}

void kern_view_rewind(struct kern_view *v)
{
	v->events.position = ring_freed(&v->events);
	v->gone_count = 0;
}

void kern_view_heartbeat(struct kern_view *v, uint64_t now_ns)
{
	__atomic_store_n(&v->control->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
}

int kern_view_next_request(struct kern_view *v, struct kern_request *ret_request)
{
	const struct oncpu_request *r;
	const void *data;
	uint32_t length;

	while ((length = ring_next(&v->requests, &data))) {
		r = data;
		if (length == sizeof(*r)) {
			*ret_request = (struct kern_request){ .kind = KERN_REQ_HELLO,
							      .tgid = r->tgid,
							      .site = r->site,
							      .uid = r->uid,
							      .threads = r->threads,
							      .tree = r->tree,
							      .object = r->object,
							      .stopped = r->stopped };
			ring_free_to(&v->requests, v->requests.position);
			return 1;
		}
		ring_free_to(&v->requests, v->requests.position);
	}
	return 0;
}

uint64_t kern_view_counter(const struct kern_view *v, unsigned i)
{
	uint64_t value =
		i < kern_counter_count() ? __atomic_load_n(&v->counters[i], __ATOMIC_RELAXED) : 0;

	/* counted by who frees them: at a boundary it would cost an atomic addition */
	if (i == COUNTER_events)
		value += ring_count(&v->events, ring_freed(&v->events), ring_produced(&v->events));
	return value;
}

uint64_t kern_view_pins(const struct kern_view *v)
{
	return v->pins;
}

bool kern_view_has(const struct kern_view *v, uint64_t uid)
{
	uint64_t index = uid & ((1u << ONCPU_INSTANCE_BITS) - 1);

	return index < v->max_instances && v->instances[index].uid == uid &&
	       __atomic_load_n(&v->instances[index].state, __ATOMIC_ACQUIRE) != ONCPU_INSTANCE_FREE;
}

uint64_t kern_view_lost_exit(const struct kern_view *v, uint32_t *at)
{
	for (; *at < v->max_instances; ++*at) {
		const struct oncpu_instance *in = &v->instances[*at];

		if (__atomic_load_n(&in->state, __ATOMIC_ACQUIRE) == ONCPU_INSTANCE_EXITED &&
		    __atomic_load_n(&in->flags, __ATOMIC_RELAXED) & ONCPU_INSTANCE_EXIT_LOST) {
			++*at;
			return in->uid;
		}
	}
	return 0;
}

static bool is_of(const struct oncpu_instance *in, uint64_t cgroup_id, uint32_t root_tgid)
{
	if (__atomic_load_n(&in->state, __ATOMIC_ACQUIRE) != ONCPU_INSTANCE_LIVE)
		return false;
	return cgroup_id ? in->cgroup_id == cgroup_id
			 : in->flags & ONCPU_EVF_TREE && in->root_tgid == root_tgid;
}

static int find_instance(const struct kern_view *v, uint64_t cgroup_id, uint32_t root_tgid,
			 struct kern_instance *ret_instance)
{
	for (uint32_t i = 0; i < v->max_instances; i++) {
		const struct oncpu_instance *in = &v->instances[i];

		if (!is_of(in, cgroup_id, root_tgid))
			continue;
		ret_instance->uid = in->uid;
		ret_instance->held = in->flags & ONCPU_EVF_HELD;
		memcpy(ret_instance->function, in->function, sizeof(in->function));
		ret_instance->function[sizeof(in->function) - 1] = '\0';
		return 0;
	}
	return -ENOENT;
}

int kern_view_find_cgroup(const struct kern_view *v, uint64_t cgroup_id,
			  struct kern_instance *ret_instance)
{
	return cgroup_id ? find_instance(v, cgroup_id, 0, ret_instance) : -ENOENT;
}

int kern_view_find_tree(const struct kern_view *v, uint32_t root_tgid,
			struct kern_instance *ret_instance)
{
	return root_tgid ? find_instance(v, 0, root_tgid, ret_instance) : -ENOENT;
}

void kern_view_ring(const struct kern_view *v, uint64_t *ret_used, uint64_t *ret_size)
{
	*ret_used = ring_produced(&v->events) - ring_freed(&v->events);
	*ret_size = v->events.size;
}
