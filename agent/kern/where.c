/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beginning and ending to watch where wall time goes, over tables that outlive the agent.
 *
 * The kernel side counts changes, so it must know every thread's state from some instant on. Where
 * the agent before this one watched already, that goes on unbroken. Where it did not, all is set to
 * "unknown" while no hook looks, the hooks are attached, every thread is looked at once, and only
 * then the integrals of what lived before are declared true.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */
#include "../bpf/integral.h"

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int forget_threads(const struct bpf_map *map)
{
	struct oncpu_thread *threads;
	size_t bytes;
	int error = kern_map_table(map, sizeof(*threads), (void **)&threads, &bytes);

	if (error)
		return error;
	for (size_t i = 0; i < bytes / sizeof(*threads); i++)
		if (threads[i].task)
			threads[i].doing = DOING_UNKNOWN;
	munmap(threads, bytes);
	return 0;
}

static int forget_instances(const struct bpf_map *map, uint64_t now_ns)
{
	struct oncpu_where *wheres;
	size_t bytes;
	int error = kern_map_table(map, sizeof(*wheres), (void **)&wheres, &bytes);

	if (error)
		return error;
	for (size_t i = 0; i < bytes / sizeof(*wheres); i++) {
		where_begin(&wheres[i], now_ns);
		wheres[i].born_ns = 0;
	}
	munmap(wheres, bytes);
	return 0;
}

int kern_where_begin(struct kern_owner *o, bool wanted)
{
	uint32_t before = o->control->where;
	int error;

	if (!wanted) {
		o->control->where = ONCPU_WHERE_OFF;
		return 0;
	}
	if (before == ONCPU_WHERE_ON)
		return 0;
	/* An agent that was killed half-way has left hooks that count already, from states that we
	 * are about to forget: what lives now is never declared true, what comes later is. */
	if (before == ONCPU_WHERE_OFF)
		o->where_since_ns = monotonic_ns();
	o->control->where = ONCPU_WHERE_BEGINNING;
	error = forget_threads(o->skel->maps.threads);
	if (!error)
		error = forget_instances(o->skel->maps.wheres, o->where_since_ns);
	return error ? kern_fail(error, "cannot map the kernel side's tables: %s", strerror(-error))
		     : 0;
}

static bool is_frozen(int cgroup)
{
	int fd = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && strstr(text, "frozen 1");
}

/* Who was frozen before we came told nobody. Looked at again afterwards, for a thaw in between has
 * come too early for us to hear of. */
static void see_frozen(struct kern_owner *o, const struct oncpu_instance *in, struct oncpu_where *w)
{
	int cgroup = in->cgroup_id ? kern_open_cgroup(o, in->cgroup_id) : -1;

	if (cgroup < 0)
		return;
	if (is_frozen(cgroup)) {
		where_set(w, WHERE_FROZEN, 1, monotonic_ns());
		if (!is_frozen(cgroup))
			where_set(w, WHERE_FROZEN, 0, monotonic_ns());
	}
	close(cgroup);
}

int kern_where_ready(struct kern_owner *o)
{
	struct oncpu_instance *instances = NULL;
	struct oncpu_where *wheres = NULL;
	size_t bytes = 0, instances_bytes = 0;
	int error = 0;

	if (o->control->where != ONCPU_WHERE_BEGINNING)
		return 0;
	if (o->where_since_ns)
		error = kern_map_table(o->skel->maps.wheres, sizeof(*wheres), (void **)&wheres,
				       &bytes);
	if (!error && wheres)
		error = kern_map_table(o->skel->maps.instances, sizeof(*instances),
				       (void **)&instances, &instances_bytes);
	for (size_t i = 0; instances && i < bytes / sizeof(*wheres); i++) {
		if (instances[i].state != ONCPU_INSTANCE_LIVE || wheres[i].born_ns)
			continue;
		see_frozen(o, &instances[i], &wheres[i]);
		wheres[i].born_ns = o->where_since_ns;
	}
	if (instances)
		munmap(instances, instances_bytes);
	if (wheres)
		munmap(wheres, bytes);
	if (!error)
		o->control->where = ONCPU_WHERE_ON;
	return error;
}
