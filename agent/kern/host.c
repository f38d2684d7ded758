/* SPDX-License-Identifier: GPL-2.0 */
/* Facts of the host: where cgroup v2 is, and how the two clocks stand to each other. */
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/perf_event.h>

#include "kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

int kern_cgroup_root(char *buffer, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int error = -ENOENT;

	buffer[0] = 0;
	if (!f)
		return -errno;
	while (error && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2") &&
		    snprintf(buffer, size, "%s", m->mnt_dir) < (int)size)
			error = 0;
	endmntent(f);
	return error;
}

/* Where a CPU's variables are, seen from its rq: all are of one per-CPU section, so the distance is
 * the same on every CPU. */
static void read_distances(const struct btf *btf, struct kern_btf_facts *ret)
{
	int32_t section = btf__find_by_name_kind(btf, ".data..percpu", BTF_KIND_DATASEC);
	const struct btf_type *t = section > 0 ? btf__type_by_id(btf, (uint32_t)section) : NULL;
	const struct btf_var_secinfo *v = t ? btf_var_secinfos(t) : NULL;
	long steal = -1, per_cpu = -1, rq = -1;

	for (uint32_t i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_type *of = btf__type_by_id(btf, v[i].type);
		const char *name = of ? btf__name_by_offset(btf, of->name_off) : "";

		if (!strcmp(name, "steal_time"))
			steal = (long)v[i].offset;
		else if (!strcmp(name, "this_cpu_off"))
			per_cpu = (long)v[i].offset;
		else if (!strcmp(name, "runqueues"))
			rq = (long)v[i].offset;
	}
	ret->steal_from_rq = steal < 0 || rq < 0 ? 0 : steal - rq;
	ret->per_cpu_from_rq = per_cpu < 0 || rq < 0 ? 0 : per_cpu - rq;
}

void kern_read_btf(struct kern_btf_facts *ret_facts)
{
	/* libbpf reads it again for its relocations and does not lend it: 8 ms of a start */
	struct btf *btf = btf__load_vmlinux_btf();

	memset(ret_facts, 0, sizeof(*ret_facts));
	if (!btf)
		return;
	read_distances(btf, ret_facts);
	ret_facts->direct_reads = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	btf__free(btf);
}

#if defined(__x86_64__)
static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* sched_clock of a TSC value, by the formula in the kernel's perf_event.h (time_zero). */
static uint64_t sched_clock_of(const struct perf_event_mmap_page *page, uint64_t tsc)
{
	uint64_t quotient = tsc >> page->time_shift;
	uint64_t remainder = tsc & ((1ull << page->time_shift) - 1);

	return page->time_zero + quotient * page->time_mult +
	       ((remainder * page->time_mult) >> page->time_shift);
}

int kern_clock_offset(int64_t *ret_offset_ns)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_DUMMY };
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct perf_event_mmap_page *page;
	uint64_t best = UINT64_MAX;
	int error = 0;

	if (fd < 0)
		return -ENOTSUP;
	page = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return -ENOTSUP;
	if (!page->cap_user_time_zero)
		error = -ENOTSUP;
	for (int i = 0; i < 3000 && !error; i++) { /* the narrowest bracket is the truest */
		uint64_t before = monotonic_ns(), tsc = __builtin_ia32_rdtsc();
		uint64_t after = monotonic_ns();

		if (after - before < best) {
			best = after - before;
			*ret_offset_ns = (int64_t)(before + best / 2 - sched_clock_of(page, tsc));
		}
	}
	munmap(page, sysconf(_SC_PAGESIZE));
	return error;
}
#else
int kern_clock_offset(int64_t *ret_offset_ns)
{
	(void)ret_offset_ns;
	return -ENOTSUP;
}
#endif

int kern_map_table(const struct bpf_map *map, size_t entry, void **ret_table, size_t *ret_bytes)
{
	size_t bytes = entry * bpf_map__max_entries(map);
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (table == MAP_FAILED)
		return -errno;
	*ret_table = table;
	*ret_bytes = bytes;
	return 0;
}

int kern_calibrate(struct kern_owner *o)
{
	struct oncpu_slot *slots;
	size_t bytes;
	int64_t truth;
	int error;

	if (o->without & KERN_WITHOUT_CLOCK || kern_clock_offset(&truth))
		return 0; /* the default stands; its error is part of every bound */
	error = kern_map_table(o->skel->maps.slots, sizeof(*slots), (void **)&slots, &bytes);
	if (error)
		return error;
	for (uint32_t c = 0; c < o->cpus; c++) {
		int64_t least =
			slots[c].d_now < slots[c].d_before ? slots[c].d_now : slots[c].d_before;
		int64_t lag = least - truth;

		if (slots[c].d_window && lag > 0 && lag < 5000)
			slots[c].hook_lag_ns = (uint32_t)lag;
	}
	munmap(slots, bytes);
	return 0;
}
