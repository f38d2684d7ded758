/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of agent/kern share. */
#ifndef ONCPU_KERN_INTERNAL_H
#define ONCPU_KERN_INTERNAL_H

#include <limits.h>
#include <stdint.h>

#include "kern/kern.h"

/* Sets the text of kern_error() and returns `error`. */
__attribute__((format(printf, 2, 3))) int kern_fail(int error, const char *format, ...);

#define KERN_CGROUP_ROOT_MAX 512
/* True if the glob (bpf/accounting.h) takes the path. */
int kern_glob(const char *pattern, const char *path);

/* What an event in the ring says, whole: false if it is of no length that our programs make. The
 * data's own claims are not checked. */
bool kern_event_unpack(const void *data, uint32_t length, struct oncpu_event *ret_event);

struct kern_btf_facts {
	long steal_from_rq; /* bytes from a CPU's struct rq to its kvm_steal_time; 0 = not known */
	long per_cpu_from_rq; /* likewise to its offset of per-CPU memory */
	bool direct_reads;    /* the kernel has bpf_rdonly_cast */
};
/* What vmlinux's BTF says; nothing where it cannot be read. */
void kern_read_btf(struct kern_btf_facts *ret_facts);
/* CLOCK_MONOTONIC − sched_clock, exactly, from the kernel's own conversion. 0, -ENOTSUP. */
int kern_clock_offset(int64_t *ret_offset_ns);

struct oncpu_bpf;
struct kern_owner {
	struct oncpu_bpf *skel;
	char pin_dir[256];
	char cgroup_root[KERN_CGROUP_ROOT_MAX];
	const struct kern_pattern *patterns;
	uint32_t pattern_count, symbol_names;
	uint32_t symbol_generation; /* of the programs that it attaches to symbols */
	uint32_t cpus, without;
	struct oncpu_control *control; /* mmapped */
	int cgroup_fd;		       /* of cgroup_root, for audits; -1 = not opened yet */
	uint64_t switch_identity;      /* of its program for the switch */
	bool hands_over;	       /* the pinned stub's is another one */
	uint64_t where_since_ns; /* watching where wall time goes begins with this agent; else 0 */
};

/* A cgroup's directory, by its id. The descriptor, -ENOENT, -EPERM. */
int kern_open_cgroup(struct kern_owner *o, uint64_t id);
/* Before the hooks are attached: are they to watch where wall time goes, and did they already? */
int kern_where_begin(struct kern_owner *o, bool wanted);
/* What lived before has been looked at: from here on it is watched, too. */
int kern_where_ready(struct kern_owner *o);

struct bpf_map;
/* A table's entries, shared with the kernel side; the caller unmaps them. 0 or -errno. */
int kern_map_table(const struct bpf_map *map, size_t entry, void **ret_table, size_t *ret_bytes);
/* Before the load: which program of the switch is wanted. `pinned`: the stub is attached already.
 */
void kern_handover_choose(struct kern_owner *o, bool pinned);
/* Makes the switch this owner's: 0 or an error. */
int kern_handover(struct kern_owner *o);
/* Registers the cgroups that exist already and match. */
int kern_register_cgroups(struct kern_owner *o);
/* For the programs at symbols of an owner that is being loaded. */
uint32_t kern_next_generation(const struct kern_owner *o);
/* Writes each slot's hook_lag_ns from what the hooks saw since they were attached. */
int kern_calibrate(struct kern_owner *o);

#endif
