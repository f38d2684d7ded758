/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's types that we read, trimmed by hand, and every difference between kernels.
 *
 * Only the fields that are used stand here: CO-RE finds their offsets on the running kernel, so the
 * build needs no BTF of the build machine. From Linux 6.1 on.
 *
 * Differences between kernels, all of them here:
 *  - rq.curr stands in an anonymous union with rq.donor since 6.12 (proxy execution): CO-RE looks
 *    into anonymous unions by itself.
 *  - task_struct.__state is `state` before 5.14: not supported.
 *  - `runqueues` is not a symbol on every kernel: the rq is reached through task->se.cfs_rq->rq,
 *    which every task has, whatever its class.
 *  - bpf_rdonly_cast came with 6.2: see READ_KERNEL.
 *  - A cgroup's own per-CPU counters are cgroup.rstat_cpu up to 6.15, rstat_base_cpu since.
 *  - Before 6.13 (private stacks) the frames of a chain of calls share 512 bytes, each rounded up
 * to 16, and to 32 on 6.1; since, each frame may have that for itself. So what calls deep
 *    (instance_end, read_instance) has small frames on the way, and large frames call what is flat.
 */
#ifndef ONCPU_BPF_KERNEL_H
#define ONCPU_BPF_KERNEL_H

#define __VMLINUX_H__ /* makes bpf_tracing.h use the kernel's register names */

#include <linux/types.h>
#include <linux/bpf.h>

typedef __u64 u64;
typedef __s64 s64;
typedef __u32 u32;
typedef __u16 u16;
typedef __u8 u8;
typedef __s32 s32;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* x86-64; the layout is ABI, so it stands outside CO-RE */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	u64 id;
};
struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};
struct cgroup_root {
	int hierarchy_id;
};
struct task_cputime {
	unsigned long long sum_exec_runtime;
};
struct cgroup_base_stat {
	struct task_cputime cputime;
};
struct cgroup_rstat_cpu { /* up to 6.15 */
	struct cgroup_base_stat bstat;
};
struct cgroup_rstat_base_cpu { /* from 6.16 on */
	struct cgroup_base_stat bstat;
};
struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup_rstat_cpu *rstat_cpu;
	struct cgroup_rstat_base_cpu *rstat_base_cpu;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};
struct bpf_local_storage;
struct rq {
	unsigned int nr_running;
	unsigned int clock_update_flags;
	u64 nr_switches; /* counted just before curr is set, under the rq's lock */
	struct task_struct *curr;
	struct task_struct *idle;
	u64 clock;
	u64 clock_task;
	u64 prev_steal_time_rq; /* only with CONFIG_PARAVIRT_TIME_ACCOUNTING */
};
struct cfs_rq {
	struct rq *rq;
	int throttle_count; /* only with CONFIG_CFS_BANDWIDTH */
};
struct list_head {
	struct list_head *next;
};
struct cfs_bandwidth {
	struct list_head throttled_cfs_rq;
};
struct task_group {
	struct task_group *parent;
	struct cfs_bandwidth cfs_bandwidth; /* only with CONFIG_CFS_BANDWIDTH */
};
struct sched_entity {
	u64 exec_start;
	u64 sum_exec_runtime;
	u64 prev_sum_exec_runtime;
	struct cfs_rq *cfs_rq;
};
struct sched_info {
	unsigned long long run_delay;
};
struct signal_struct {
	int nr_threads;
	unsigned long long sum_sched_runtime;
};
struct thread_info {
	u32 cpu;
};
struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	int on_cpu;
	int on_rq;
	int exit_state;
	struct sched_entity se;
	struct task_group *sched_task_group; /* only with CONFIG_CGROUP_SCHED */
	unsigned in_iowait : 1;
	struct sched_info sched_info;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	u64 start_time;
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage; /* NULL = no program keeps anything of the task */
};
struct super_block {
	u32 s_dev;
};
struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};
struct file {
	struct inode *f_inode;
};
struct vm_area_struct {
	struct file *vm_file;
};
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/*
 * Kernel memory at an address, as a type, and a field of it. With bpf_rdonly_cast that is one plain
 * load; without it (6.1) a helper call, some 15 ns each. Either gives 0 where there is no memory.
 * Every read is one access, in the order of the text.
 */
extern void *bpf_rdonly_cast(void *object, u32 type) __ksym __weak;
extern const volatile bool direct_reads; /* set by the agent: this kernel has bpf_rdonly_cast */

#define KERNEL_AT_BY(direct, type, address)                                                        \
	((type *)((direct) ? bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(type))     \
			   : (void *)(address)))
#define KERNEL_AT(type, address) KERNEL_AT_BY(direct_reads, type, address)
/* For walking from pointer to pointer. Of each one that a trusted pointer leads to the verifier
 * asks vmlinux's BTF, from end to end and by name, whether it is trusted too: 2 ms a time. */
#define WALK(pointer) KERNEL_AT(__typeof__(*(pointer)), pointer)
/* `direct`: direct_reads, or a copy of it where each load counts. */
#define READ_KERNEL_BY(direct, pointer, field)                                                     \
	({                                                                                         \
		__typeof__((pointer)->field) value_;                                               \
		if (direct) {                                                                      \
			value_ = *(volatile __typeof__((pointer)->field) *)&(pointer)->field;      \
		} else {                                                                           \
			__typeof__((pointer)->field) read_ = 0;                                    \
			bpf_core_read(&read_, sizeof(read_), &(pointer)->field);                   \
			value_ = read_;                                                            \
		}                                                                                  \
		value_;                                                                            \
	})
#define READ_KERNEL(pointer, field) READ_KERNEL_BY(direct_reads, pointer, field)

#define TASK_DEAD 0x80
#define RQCF_REQ_SKIP 1 /* of rq.clock_update_flags: see struct cpu_clocks */
#define RQCF_ACT_SKIP 2
#define PRCTL_SYSCALL 157 /* x86-64 */
#define PR_SET_NAME 15
#define SIGSTOP 19

#endif
