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

/* ktime less the CPU's clock, sampled now and then. */
static __always_inline void sample_clock(bool direct, struct oncpu_slot *slot, struct rq *rq)
{
	if (slot_clock_wanted(slot))
		slot_clock_sample(slot, bpf_ktime_get_ns(), READ_KERNEL_BY(direct, rq, clock));
}

static __always_inline void picture_of(struct oncpu_slot_copy *copy, struct task_struct *next,
				       struct oncpu_thread *n, u32 index,
				       const struct oncpu_total *total)
{
	copy->start_ns = next->se.exec_start;
	copy->sum_ns = next->se.sum_exec_runtime;
	copy->base_ns = total->charged_ns + copy->sum_ns - n->last_ns;
	copy->delay_base = total->run_delay - n->run_delay;
	copy->thread = index;
	copy->instance = n->instance + 1;
}

/* The picture of who comes, before it is published. */
static __always_inline void paint(struct oncpu_slot *slot, struct task_struct *next,
				  struct oncpu_thread *n, u32 index, u32 cpu, u64 booked)
{
	struct oncpu_slot_copy *copy = slot_next_picture(slot);
	struct oncpu_total *total;

	copy->task = (u64)next;
	copy->instance = 0;
	if (n && (total = total_at(cpu, n->instance))) {
		if (n->cpu != cpu) {
			n->cpu = cpu;
			instance_mark(n->instance, cpu);
		}
		picture_of(copy, next, n, index, total);
		copy->stolen_ns = booked;
	}
	slot->instance = copy->instance;
}

/* Where the thread table may have who leaves: the picture of his coming knows, without a look into
 * his task_struct. */
static __always_inline u32 index_of_leaver(struct oncpu_slot *slot, struct task_struct *prev)
{
	struct oncpu_slot_copy *came = slot_picture(slot);

	if (slot->instance && came->task == (u64)prev && came->thread)
		return came->thread;
	return index_of(prev);
}

/*
 * One switch. From nobody of ours to nobody of ours, which most of a host's are, only that there
 * was one is noted. False: nothing is done, the program in the array is to do it (`stub`).
 */
static __always_inline bool switch_step(bool preempt, struct task_struct *prev,
					struct task_struct *next, u32 prev_state, bool stub)
{
	u32 cpu = bpf_get_smp_processor_id(), was, is, ended = 0;
	struct oncpu_slot *slot = slot_at(cpu);
	struct oncpu_thread *p, *n;
	struct oncpu_total *total;
	struct rq *rq;
	bool direct = direct_reads;
	u64 booked;

	if (!slot) {
		count(COUNT_cpus_ignored);
		return true;
	}
	rq = KERNEL_AT_BY(direct, struct rq, slot->rq);
	was = index_of_leaver(slot, prev);
	is = index_of(next);
	if (!was && !is && !slot->instance && slot->rq) {
		slot->switches = switches_by(direct, rq);
		return true;
	}
	if (stub && slot->handed_over)
		return false;
	if (!slot->rq) { /* a CPU's stays where it is */
		slot->rq = (u64)WALK(prev)->se.cfs_rq->rq;
		rq = KERNEL_AT_BY(direct, struct rq, slot->rq);
	}
	p = thread_at(prev, &was);
	n = thread_at(next, &is);
	if (irq_on)
		irq_at_switch();
	booked = booked_steal(direct, rq);
	if (where_on)
		where_switch(p, n, prev, preempt, prev_state);
	if (p && (total = total_at(cpu, p->instance))) {
		charge_at_switch(p, total, prev);
		steal_at_switch(slot_picture(slot), total, p->instance, (u64)prev, booked);
		if (prev_state & TASK_DEAD) {
			ended = p->instance + 1;
			thread_forget(p, prev);
			count(COUNT_threads_closed);
		}
	}
	sample_clock(direct, slot, rq);
	paint(slot, next, n, is, cpu, booked);
	slot_publish(slot);
	slot->switches = switches_by(direct, rq);
	if (ended)
		instance_lose_thread(ended - 1);
	return true;
}

#endif
