/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's own books of a cgroup, for the one moment at which no task's clock tells enough.
 *
 * Where the cpu controller is on, moving a running thread charges it up to that instant
 * (sched_move_task), and charges the new cgroup, as it is in there already; only then does
 * cgroup_attach_task tell us. How much that was, the thread's own clock does not say. The books of
 * a cgroup that nobody has been in do: all that stands in them is this.
 */
#ifndef ONCPU_BPF_BOOKS_H
#define ONCPU_BPF_BOOKS_H

/* What has been charged on a CPU to the cgroup itself, without those below; 0 = not known. */
static __noinline u64 booked_on_cpu(struct cgroup *cgrp, struct rq *rq)
{
	u64 offset = 0, sum = 0;

	if (!per_cpu_from_rq || !cgrp || !rq ||
	    bpf_probe_read_kernel(&offset, sizeof(offset), (void *)((u64)rq + per_cpu_from_rq)))
		return 0;
	if (bpf_core_field_exists(cgrp->rstat_base_cpu)) {
		struct cgroup_rstat_base_cpu *books = BPF_CORE_READ(cgrp, rstat_base_cpu);

		books = (void *)((u64)books + offset);
		bpf_core_read(&sum, sizeof(sum), &books->bstat.cputime.sum_exec_runtime);
	} else {
		struct cgroup_rstat_cpu *books = BPF_CORE_READ(cgrp, rstat_cpu);

		books = (void *)((u64)books + offset);
		bpf_core_read(&sum, sizeof(sum), &books->bstat.cputime.sum_exec_runtime);
	}
	return sum;
}

struct books {
	struct cgroup *cgrp;
	u64 sum;
};

static long add_books(u32 cpu, struct books *b)
{
	struct oncpu_slot *slot = slot_at(cpu);

	if (slot && slot->rq) /* or it has not switched since there are hooks */
		b->sum += booked_on_cpu(b->cgrp, KERNEL_AT(struct rq, slot->rq));
	return 0;
}

/* On every CPU: who moves itself may be preempted on the way, and go on somewhere else. */
static __noinline u64 booked_to(struct cgroup *cgrp)
{
	struct books b = { .cgrp = cgrp };

	bpf_loop(cpus, add_books, &b, 0);
	return b.sum;
}

/* What the kernel had charged a thread before it came into this cgroup: all, but for what is on the
 * books of a cgroup that it was the first to enter. A tick may come in between the two. */
static __always_inline u64 charged_before_entry(struct cgroup *cgrp, struct task_struct *task)
{
	u64 id = WALK(cgrp)->kn->id, sum = READ_ONCE_OF(task->se.sum_exec_runtime), booked;
	struct oncpu_cgroup *cg = bpf_map_lookup_elem(&cgroups, &id);

	if (!cg || !cg->fresh)
		return sum;
	booked = booked_to(cgrp);
	if (READ_ONCE_OF(task->se.sum_exec_runtime) != sum) {
		sum = READ_ONCE_OF(task->se.sum_exec_runtime);
		booked = booked_to(cgrp);
	}
	return sum - booked;
}

#endif
