/* SPDX-License-Identifier: GPL-2.0 */
/* The maps, all pinned; sizes that depend on the host are set by the agent before loading. */
#ifndef ONCPU_BPF_MAPS_H
#define ONCPU_BPF_MAPS_H

/* Set by the agent before loading; equal to oncpu_control's. */
const volatile unsigned int max_instances = 4096;
const volatile unsigned int max_threads = 65536;
const volatile unsigned int cpus = 2;
const volatile unsigned int read_error_ns =
	2500; /* of one running slice elsewhere: lag and offset together */
const volatile unsigned int transit_cap_ns = 60000;
const volatile bool hidden_check = true;
const volatile bool live_steal = true;
const volatile long steal_from_rq; /* a CPU's kvm_steal_time, from its rq; 0 = not known */
const volatile long
	per_cpu_from_rq; /* a CPU's offset of per-CPU memory, from its rq; 0 = unknown */
const volatile bool wakeup_bound = true;
const volatile unsigned int
	clock_unsure_ns;	       /* where the scheduler's clock does not go with ktime */
const volatile bool may_stop = true;   /* processes, until their marks are attached */
const volatile bool skip_check = true; /* see struct cpu_clocks */
const volatile bool direct_reads = false;
const volatile unsigned int symbol_generation = 1; /* of this program at symbols */
const volatile unsigned long mark_identity;	   /* see stub_mark */
const volatile unsigned int open_trap; /* of the scheme's traps, the one left open, for the tests
					  of it; the verifier drops what is switched off */

#define MAP(name, map_type, key_type, value_type, entries, flags)                                  \
	struct {                                                                                   \
		__uint(type, map_type);                                                            \
		__uint(max_entries, entries);                                                      \
		__uint(map_flags, flags);                                                          \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

MAP(control, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_control, 1, BPF_F_MMAPABLE);
MAP(instances, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_instance, 1, BPF_F_MMAPABLE);
MAP(totals, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_total, 1, BPF_F_MMAPABLE); /* cpu × instance */
MAP(threads, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_thread, 1, BPF_F_MMAPABLE);
MAP(tids, BPF_MAP_TYPE_ARRAY, u32, u32, 1, BPF_F_MMAPABLE); /* tid → index in threads */
MAP(slots, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_slot, 1, BPF_F_MMAPABLE);
MAP(counters, BPF_MAP_TYPE_ARRAY, u32, u64, 64, BPF_F_MMAPABLE);
MAP(patterns, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_pattern, ONCPU_MAX_PATTERNS, BPF_F_MMAPABLE);
MAP(symbol_names, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_pattern, ONCPU_MAX_PATTERNS,
    BPF_F_MMAPABLE);
MAP(cgroups, BPF_MAP_TYPE_HASH, u64, struct oncpu_cgroup, 1, 0);
MAP(objects, BPF_MAP_TYPE_HASH, struct oncpu_object, u32, 4096, 0);

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u32);
} task_thread SEC(".maps"); /* task → index in threads: the authority */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps"); /* durable: freed only after the ledger's commit */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} requests SEC(".maps"); /* for now and here: not durable */

/* One program array a hook: what stands behind each pinned stub. An upgrade is one map update. */
#define HOOK_ARRAY(name)                                                                           \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                             \
		__uint(max_entries, 1);                                                            \
		__uint(key_size, 4);                                                               \
		__uint(value_size, 4);                                                             \
	} hook_##name SEC(".maps")

HOOK_ARRAY(switch);
HOOK_ARRAY(fork);
HOOK_ARRAY(exec);
HOOK_ARRAY(free);
HOOK_ARRAY(rename);
HOOK_ARRAY(migrate);
HOOK_ARRAY(wakeup_new);
HOOK_ARRAY(cgroup_mkdir);
HOOK_ARRAY(cgroup_rmdir);
HOOK_ARRAY(cgroup_attach);
HOOK_ARRAY(wakeup);
HOOK_ARRAY(notify_frozen);
HOOK_ARRAY(unfreeze);
HOOK_ARRAY(irq_entry);
HOOK_ARRAY(irq_exit);
HOOK_ARRAY(softirq_entry);
HOOK_ARRAY(softirq_exit);
HOOK_ARRAY(timer_entry);
HOOK_ARRAY(timer_exit);
HOOK_ARRAY(ipi_entry);
HOOK_ARRAY(ipi_exit);
HOOK_ARRAY(mark);

#define ONCPU_COUNTER(name, help) COUNT_##name,
enum counter {
#include "counters.def"
	COUNTER_COUNT
};
#undef ONCPU_COUNTER

static __always_inline void count(u32 which)
{
	u64 *c = bpf_map_lookup_elem(&counters, &which);

	if (c)
		__sync_fetch_and_add(c, 1);
}

static __always_inline struct oncpu_control *the_control(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline struct oncpu_instance *instance_at(u32 i)
{
	return bpf_map_lookup_elem(&instances, &i);
}

static __always_inline u32 index_of_instance(const struct oncpu_instance *in)
{
	return in->uid & ((1u << ONCPU_INSTANCE_BITS) - 1);
}

static __always_inline struct oncpu_total *total_at(u32 cpu, u32 instance)
{
	u32 i = cpu * max_instances + instance;

	return bpf_map_lookup_elem(&totals, &i);
}

static __always_inline struct oncpu_slot *slot_at(u32 cpu)
{
	return bpf_map_lookup_elem(&slots, &cpu);
}

/* A slow look-up by the authority; NULL when not tracked. */
static __always_inline struct oncpu_thread *thread_by_storage(struct task_struct *task)
{
	u32 *index = bpf_task_storage_get(&task_thread, task, 0, 0);
	struct oncpu_thread *t;
	u32 i;

	if (!index)
		return NULL;
	i = *index;
	if (!i)
		return NULL;
	t = bpf_map_lookup_elem(&threads, &i);
	return t && t->task == (u64)task ? t : NULL;
}

/*
 * Where the thread table may have a task: 0 = it is nobody of ours. A task that no program keeps a
 * storage for is not, which its own task_struct says, without a look into any table. A tid beyond
 * the table (pid_max was raised) has an index beyond the other.
 */
static __always_inline u32 index_of(struct task_struct *task)
{
	u32 tid, *index;

	if (!task->bpf_storage)
		return 0;
	tid = task->pid;
	index = bpf_map_lookup_elem(&tids, &tid);
	return index ? *index : ~0u;
}

/*
 * The thread of a task, by what index_of says of it, without a helper call on the usual ways. The
 * table can be behind for an instant when exec swaps tids; then the storage knows, and there is no
 * index (0).
 */
static __always_inline struct oncpu_thread *thread_at(struct task_struct *task, u32 *index)
{
	u32 i = *index;
	struct oncpu_thread *t;

	if (!i)
		return NULL;
	t = bpf_map_lookup_elem(&threads, &i);
	if (t && t->task == (u64)task)
		return t;
	*index = 0;
	return thread_by_storage(task);
}

static __always_inline struct oncpu_thread *thread_of(struct task_struct *task)
{
	u32 index = index_of(task);

	return thread_at(task, &index);
}

#endif
