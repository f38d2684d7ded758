/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The switch: what a CPU's running thread has cost is charged, and the CPU's picture replaced.
 *
 * The only writer of a CPU's slot and of its totals, with interrupts off. It runs at each switch of
 * the host, so what it does not need it does not load.
 */
#ifndef ONCPU_BPF_SWITCH_H
#define ONCPU_BPF_SWITCH_H

#include "taken.h"
#include "where.h"
#include "life.h"

/* May a task be a tracked thread? By the table alone: a tid that is not in it, or that the table
 * has an older thread for, is looked at by thread_of. */
static __always_inline bool may_be_tracked(struct task_struct *task)
{
	u32 tid = task->pid;
	u32 *index = bpf_map_lookup_elem(&tids, &tid);

	return !index || *index;
}

/*
 * From nobody of ours to nobody of ours, which most switches of a host are: only who runs is noted.
 * It stands in the pinned stub, before the tail call, and is part of what ONCPU_ABI_VERSION names.
 * False: the switch wants the whole program.
 */
static __always_inline bool switch_is_foreign(struct task_struct *prev, struct task_struct *next)
{
	struct oncpu_slot *slot;
	struct oncpu_slot_copy *now;

	if (may_be_tracked(prev) || may_be_tracked(next))
		return false;
	slot = slot_at(bpf_get_smp_processor_id());
	if (!slot || !slot->rq)
		return false;
	now = slot_picture(slot);
	if (now->instance)
		return false;
	now->task = (u64)next;
	COMPILER_BARRIER();
	now->switches = switches_of(KERNEL_AT(struct rq, slot->rq));
	return true;
}

static __always_inline void charge_at_switch(struct oncpu_thread *t, struct oncpu_total *total,
					     struct task_struct *prev)
{
	u64 sum = prev->se.sum_exec_runtime, delay = prev->sched_info.run_delay;
	u64 voluntary = prev->nvcsw, involuntary = prev->nivcsw;

	total->charged_ns += sum - t->last_ns;
	total->run_delay += delay - t->run_delay;
	total->voluntary += voluntary - t->voluntary;
	total->involuntary += involuntary - t->involuntary;
	t->last_ns = sum;
	t->run_delay = delay;
	t->voluntary = voluntary;
	t->involuntary = involuntary;
}

/* ktime less the CPU's task clock, as far as it is known; samples it on the way. */
static __always_inline s64 slot_offset(struct oncpu_slot *slot, struct rq *rq)
{
	u64 clock = READ_KERNEL(rq, clock);

	if (slot_clock_wanted(slot))
		slot_clock_sample(slot, bpf_ktime_get_ns(), clock);
	return slot_clock_offset(slot) + (s64)(clock - READ_KERNEL(rq, clock_task));
}

static __always_inline void picture_of(struct oncpu_slot_copy *copy, struct task_struct *next,
				       struct oncpu_thread *n, u32 index,
				       const struct oncpu_total *total)
{
	copy->start_ns = next->se.exec_start;
	copy->base_ns = total->charged_ns + next->se.sum_exec_runtime - n->last_ns;
	copy->delay_base = total->run_delay - n->run_delay;
	copy->thread = index;
	copy->tid = next->pid;
	copy->instance = n->instance + 1;
}

#endif
