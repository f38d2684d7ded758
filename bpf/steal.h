/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A CPU's clocks, and the hypervisor's steal up to this instant.
 *
 * The scheduler takes steal off its task clock at clock updates only: between two ticks
 * rq.clock − rq.clock_task is out of date by whatever was stolen since. The hypervisor's own
 * counter of a CPU (kvm_steal_time) is a per-CPU variable with no address we may ask for, but it
 * and `runqueues` stand in the same per-CPU section: their distance is the same on every CPU, BTF
 * gives it, and the address of a CPU's rq is known from its switches. What the scheduler has booked
 * of the counter is rq.prev_steal_time_rq.
 */
#ifndef ONCPU_BPF_STEAL_H
#define ONCPU_BPF_STEAL_H

struct kvm_steal_time {
	u64 steal;
	u8 preempted;
} __attribute__((preserve_access_index));

struct cpu_clocks {
	u64 clock, clock_task; /* 0 = could not be read */
	u64 stolen;	       /* the hypervisor's own counter; 0 = not known */
	u64 booked;	       /* what the scheduler has taken off clock_task for it */
	u64 unbooked;	       /* of it, what is not yet taken off clock_task */
	bool away;	       /* the CPU is off right now, for how long nobody knows yet */
	/* Somebody was woken who takes the CPU from whoever runs: that switch will not update the
	 * clock, but charge up to the wake-up's own update. What runs until the switch comes (some
	 * µs in a system call, as a uprobe is one) is charged to nobody. */
	bool skips;
};

static __always_inline struct kvm_steal_time *steal_of(struct rq *rq)
{
	return KERNEL_AT(struct kvm_steal_time, (u64)rq + (u64)steal_from_rq);
}

static __always_inline void read_steal(struct rq *rq, struct cpu_clocks *c)
{
	c->booked = READ_KERNEL(rq, prev_steal_time_rq);
	c->stolen = READ_KERNEL(steal_of(rq), steal);
	c->unbooked = c->stolen > c->booked ? c->stolen - c->booked : 0; /* 0: it is not KVM */
}

static __always_inline bool is_away(struct rq *rq)
{
	return READ_KERNEL(steal_of(rq), preempted) & 1;
}

/* Asked for at the wake-up, and in force from the beginning of that switch to its end. */
static __always_inline bool clock_skips(struct rq *rq)
{
	return skip_check && READ_KERNEL(rq, clock_update_flags) & (RQCF_REQ_SKIP | RQCF_ACT_SKIP);
}

/* A scheduler that does not book steal (CONFIG_PARAVIRT_TIME_ACCOUNTING, which Debian's kernels are
 * without) charges it to the task: nothing to add, but a CPU that is away is away. */
static __always_inline void read_clocks(struct rq *rq, struct cpu_clocks *c)
{
	c->clock_task = READ_KERNEL(rq, clock_task);
	if (live_steal && steal_from_rq && bpf_core_field_exists(rq->prev_steal_time_rq))
		read_steal(rq, c);
	if (live_steal && steal_from_rq)
		c->away = is_away(rq);
	c->skips = clock_skips(rq);
	c->clock = READ_KERNEL(rq, clock);
	if (!c->clock)
		count(COUNT_reads_failed);
}

/* How often the CPU has switched, modulo 2^32. */
static __always_inline u32 switches_by(bool direct, struct rq *rq)
{
	return (u32)READ_KERNEL_BY(direct, rq, nr_switches);
}

static __always_inline u32 switches_of(struct rq *rq)
{
	return switches_by(direct_reads, rq);
}

static __always_inline bool clocks_unmoved(struct rq *rq, const struct cpu_clocks *c)
{
	return c->clock && (!c->stolen || READ_KERNEL(steal_of(rq), steal) == c->stolen) &&
	       READ_KERNEL(rq, clock_task) == c->clock_task && READ_KERNEL(rq, clock) == c->clock;
}

/*
 * False if the clocks moved since they were read, or the CPU went away, or what it runs is no
 * longer charged: whoever reads may himself be stopped in between. An update writes clock,
 * prev_steal_time_rq and clock_task within some 20 ns, so what is between the two readings, one of
 * ktime at least, takes longer than an update. (One that the hypervisor stopped half-way shows as
 * `away`.) Steal in between would be counted as running, for it came after the counter was read and
 * before ktime.
 */
static __always_inline bool clocks_settled(struct rq *rq, const struct cpu_clocks *c)
{
	if (live_steal && steal_from_rq && is_away(rq) != c->away)
		return false;
	return clock_skips(rq) == c->skips && clocks_unmoved(rq, c);
}

/* Of the CPU that whoever reads runs on: it is not away. */
static __always_inline void read_own_clocks(struct rq *rq, struct cpu_clocks *c)
{
	c->clock_task = READ_KERNEL(rq, clock_task);
	if (live_steal && steal_from_rq && bpf_core_field_exists(rq->prev_steal_time_rq))
		read_steal(rq, c);
	c->clock = READ_KERNEL(rq, clock);
}

/* The same as clocks_settled, there; false, too, if what runs is no longer charged. */
static __always_inline bool own_clocks_settled(struct rq *rq, const struct cpu_clocks *c)
{
	return !clock_skips(rq) && clocks_unmoved(rq, c);
}

#endif
