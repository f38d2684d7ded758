/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Holds one thread in the middle of moving itself into an empty cgroup: the kernel's books have it
 * there already, and cgroup_attach_task has not told anybody yet. Until somebody has given it other
 * CPUs, or a second is over.
 *
 * The cgroup is told to be populated under a lock, with interrupts off; a timer of no delay, armed
 * there, comes in as soon as they are on again.
 */
#include "../../../bpf/kernel.h"
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define CLOCK_MONOTONIC 1

struct cpumask {
	unsigned long bits[1];
} __attribute__((preserve_access_index));
struct task_struct___allowed {
	struct cpumask cpus_mask;
} __attribute__((preserve_access_index));

struct held {
	struct bpf_timer timer;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct held);
} timers SEC(".maps");

int mover;	      /* its tid */
int there;	      /* 1: it is held, 2: it goes on */
int held_on, told_on; /* CPUs: where it was held, and where cgroup_attach_task was told */

struct hold {
	u64 begun_ns, cpus;
};

static u64 allowed(void)
{
	struct task_struct___allowed *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, cpus_mask.bits[0]);
}

static long hold_step(u32 i, struct hold *h)
{
	u64 held_ns = bpf_ktime_get_ns() - h->begun_ns;

	return held_ns > 1000000000 || (held_ns > 3000000 && allowed() != h->cpus);
}

static int hold(void *map, u32 *key, struct held *value)
{
	struct hold h = { .begun_ns = bpf_ktime_get_ns(), .cpus = allowed() };

	if ((u32)bpf_get_current_pid_tgid() != (u32)mover)
		return 0; /* too late for it */
	held_on = bpf_get_smp_processor_id();
	there = 1;
	bpf_loop(1 << 23, hold_step, &h, 0);
	there = 2;
	return 0;
}

/* A hypervisor's timer takes its time, too: it is to be due when interrupts are on again. */
static long wait_step(u32 i, u64 *begun_ns)
{
	return bpf_ktime_get_ns() - *begun_ns > 200000;
}

SEC("tp_btf/cgroup_notify_populated")
int BPF_PROG(on_populated, struct cgroup *cgrp, const char *path, int populated)
{
	u64 begun_ns = bpf_ktime_get_ns();
	u32 zero = 0;
	struct held *h = bpf_map_lookup_elem(&timers, &zero);

	if (!h || !populated || there || (u32)bpf_get_current_pid_tgid() != (u32)mover)
		return 0;
	bpf_timer_init(&h->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&h->timer, hold);
	bpf_timer_start(&h->timer, 0, 0);
	bpf_loop(1 << 23, wait_step, &begun_ns, 0);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_attach, struct cgroup *cgrp, const char *path, struct task_struct *task)
{
	if (task->pid == mover)
		told_on = bpf_get_smp_processor_id();
	return 0;
}
