/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What was taken out of an instance's slices: by interrupts, which the kernel charges to whom they
 * interrupt, and by the hypervisor, which it does not.
 *
 * Interrupts are opt-in: with irq_on false at loading their hooks are neither loaded nor attached.
 * Only the outermost one counts, on its CPU, for the thread that it came upon; soft interrupts that
 * run in a thread of their own (ksoftirqd) are that thread's. It is the time that a kernel with
 * IRQ_TIME_ACCOUNTING would not have charged.
 */
#ifndef ONCPU_BPF_TAKEN_H
#define ONCPU_BPF_TAKEN_H

#include "steal.h"

const volatile bool irq_on = false;

MAP(irqs, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_irq, 1, BPF_F_MMAPABLE); /* a CPU each */

/* ---- the hypervisor ---- */

/* What the scheduler has booked as stolen on a CPU so far. */
static __always_inline u64 booked_steal(bool direct, struct rq *rq)
{
	if (!bpf_core_field_exists(rq->prev_steal_time_rq))
		return 0;
	return READ_KERNEL_BY(direct, rq, prev_steal_time_rq);
}

/* At a switch away from a thread of ours: what was stolen since it came. */
static __always_inline void steal_at_switch(const struct oncpu_slot_copy *came,
					    struct oncpu_total *total, u32 instance, u64 prev,
					    u64 booked)
{
	if (came->stolen_ns >= booked || came->task != prev || came->instance != instance + 1)
		return;
	total->steal_ns += booked - came->stolen_ns;
}

/* ---- interrupts ---- */

static __always_inline struct oncpu_irq *irq_here(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&irqs, &cpu);
}

static __always_inline u64 stolen_here(void)
{
	struct oncpu_slot *slot = slot_at(bpf_get_smp_processor_id());
	struct rq *rq;

	if (!steal_from_rq || !slot || !slot->rq)
		return 0;
	rq = KERNEL_AT(struct rq, slot->rq);
	return READ_KERNEL(steal_of(rq), steal);
}

static __always_inline void irq_enter(void)
{
	struct oncpu_irq *irq = irq_here();

	if (!irq || irq->depth++)
		return;
	irq->stolen_ns = stolen_here();
	irq->entered_ns = bpf_ktime_get_ns();
}

static __always_inline void irq_leave(void)
{
	struct oncpu_irq *irq = irq_here();
	struct oncpu_thread *t;
	struct oncpu_total *of;
	s64 ns;

	if (!irq || !irq->depth || --irq->depth)
		return; /* attached in the middle of one */
	t = thread_of(bpf_get_current_task_btf());
	if (!t || !(of = total_at(bpf_get_smp_processor_id(), t->instance)))
		return;
	ns = bpf_ktime_get_ns() - irq->entered_ns - (stolen_here() - irq->stolen_ns);
	if (ns > 0)
		of->irq_ns += ns;
}

/* No CPU switches in an interrupt: an end that was missed is made up for. */
static __always_inline void irq_at_switch(void)
{
	struct oncpu_irq *irq = irq_here();

	if (irq && irq->depth)
		irq->depth = 0;
}

#endif
