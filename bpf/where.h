/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where wall time goes: the steps of integral.h on the scheduler's transitions. Opt-in: with
 * where_on false at loading, none of it is left in the programs, and the wake-up and freezer hooks
 * are not attached.
 *
 * The scheduler lets one transition of a thread follow the other under its locks, so a thread's own
 * state needs no guard against them; only who takes a thread in or out comes from aside. A missed
 * transition heals at the thread's next one, for each change starts from what was counted last.
 */
#ifndef ONCPU_BPF_WHERE_H
#define ONCPU_BPF_WHERE_H

#include "integral.h"

const volatile bool where_on = false;

MAP(wheres, BPF_MAP_TYPE_ARRAY, u32, struct oncpu_where, 1, BPF_F_MMAPABLE);

#define STATE_UNINTERRUPTIBLE 0x2
#define STATE_NOLOAD 0x400 /* a kernel thread that only looks as if */

static __always_inline struct oncpu_where *where_at(u32 instance)
{
	return bpf_map_lookup_elem(&wheres, &instance);
}

static __always_inline u32 doing_asleep(struct task_struct *task, u32 state)
{
	if (state & STATE_UNINTERRUPTIBLE)
		return state & STATE_NOLOAD ? DOING_SLEEP : DOING_BLOCKED;
	return BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait) ? DOING_BLOCKED : DOING_SLEEP;
}

/* Is a thread that is ready kept off the CPU by a quota, its cgroup's or one above it? */
static __always_inline bool sits_out_a_quota(struct task_struct *task)
{
	if (!bpf_core_field_exists(((struct cfs_rq *)0)->throttle_count))
		return false; /* a kernel without CONFIG_CFS_BANDWIDTH */
	return WALK(task)->se.cfs_rq->throttle_count > 0;
}

/* And is anybody of its group, on any CPU? Asked when the last one that ran goes to sleep and
 * others are still waiting. */
#define GROUP_LEVELS 6
static __always_inline bool group_sits_out_a_quota(struct task_struct *task)
{
	struct task_group *group;

	if (!bpf_core_field_exists(((struct cfs_rq *)0)->throttle_count))
		return false;
	group = BPF_CORE_READ(task, sched_task_group);
	for (int i = 0; i < GROUP_LEVELS && group; i++) {
		u64 list =
			(u64)group + bpf_core_field_offset(group->cfs_bandwidth.throttled_cfs_rq);
		u64 first = (u64)BPF_CORE_READ(group, cfs_bandwidth.throttled_cfs_rq.next);

		if (first && first != list)
			return true;
		group = BPF_CORE_READ(group, parent);
	}
	return false;
}

static __always_inline void where_quota(struct oncpu_where *w, struct task_struct *prev, u32 doing,
					u64 now)
{
	u64 word = READ_ONCE_OF(w->word);

	if (doing == DOING_READY)
		where_set(w, WHERE_QUOTA, sits_out_a_quota(prev), now);
	else if ((word & WHERE_RUNNING_MASK) == WHERE_RUNNING && word & WHERE_READY_MASK)
		where_set(w, WHERE_QUOTA, group_sits_out_a_quota(prev), now);
}

/* This kernel may hide a switch: who leaves a CPU, or makes a boundary on one, and was last seen
 * waiting for it, has run `ran_ns` since. */
static __always_inline void where_unseen(struct oncpu_where *w, struct oncpu_thread *t, u64 now,
					 s64 ran_ns)
{
	u64 delta = 0;

	if (ran_ns > 0 && t->doing == DOING_READY && where_move(&t->doing, DOING_RUN, &delta))
		where_change(w, delta, where_unseen_since(w, now, ran_ns));
}

/* For the thread that makes a boundary. */
static __always_inline void where_here(struct oncpu_thread *t, struct task_struct *task)
{
	struct oncpu_slot *slot = slot_at(bpf_get_smp_processor_id());
	struct oncpu_where *w;
	u64 now, clock_task;
	struct rq *rq;

	if (t->doing != DOING_READY || !slot || !slot->rq || !(w = where_at(t->instance)))
		return;
	rq = KERNEL_AT(struct rq, slot->rq);
	now = bpf_ktime_get_ns();
	clock_task = now - slot_clock_offset(slot) -
		     (READ_KERNEL(rq, clock) - READ_KERNEL(rq, clock_task));
	where_unseen(w, t, now,
		     task->se.sum_exec_runtime - t->last_ns + clock_task - task->se.exec_start);
}

/* At a switch, before it is charged. Two threads of one instance change its word once: no instant
 * without either. */
static __always_inline void where_switch(struct oncpu_thread *p, struct oncpu_thread *n,
					 struct task_struct *prev, bool preempt, u32 prev_state)
{
	u64 now = 0, delta = 0;
	struct oncpu_where *w;
	u32 doing;

	if (p && (w = where_at(p->instance))) {
		now = bpf_ktime_get_ns();
		doing = preempt || !prev_state	 ? DOING_READY
			: prev_state & TASK_DEAD ? DOING_GONE
						 : doing_asleep(prev, prev_state);
		where_unseen(w, p, now, prev->se.sum_exec_runtime - p->last_ns);
		where_quota(w, prev, doing, now);
		where_move(&p->doing, doing, &delta);
		if (n && n->instance == p->instance) {
			where_move(&n->doing, DOING_RUN, &delta);
			n = NULL;
		}
		where_change(w, delta, now);
	}
	if (n && (w = where_at(n->instance))) {
		delta = 0;
		where_move(&n->doing, DOING_RUN, &delta);
		where_change(w, delta, now ? now : bpf_ktime_get_ns());
	}
}

/* A thread that runs or is ready is only told that it need not go to sleep. */
static __always_inline void where_wakeup(struct oncpu_thread *t, struct task_struct *task)
{
	struct oncpu_where *w;
	u64 now, delta = 0;

	if (t->doing == DOING_RUN || t->doing == DOING_READY || !(w = where_at(t->instance)))
		return;
	now = bpf_ktime_get_ns();
	if (!where_move(&t->doing, DOING_READY, &delta))
		return;
	if (!(READ_ONCE_OF(w->word) & WHERE_RUNNING_MASK))
		where_set(w, WHERE_QUOTA, sits_out_a_quota(task), now);
	where_change(w, delta, now);
}

/* A thread was taken in, and the hooks see it: what it does now counts unless one of them has come
 * since. */
static __always_inline void where_join(struct oncpu_thread *t, struct task_struct *task)
{
	struct oncpu_where *w = where_at(t->instance);
	u32 state = task->__state, doing;

	if (!w)
		return;
	doing = task->on_cpu ? DOING_RUN : !state ? DOING_READY : doing_asleep(task, state);
	if (__sync_val_compare_and_swap(&t->doing, DOING_UNKNOWN, doing) == DOING_UNKNOWN)
		where_change(w, where_weight(doing), bpf_ktime_get_ns());
}

static __always_inline void where_leave(struct oncpu_thread *t)
{
	struct oncpu_where *w = where_at(t->instance);
	u64 delta = 0;

	/* twice: a hook may come in between, once */
	if (w && t->doing != DOING_GONE &&
	    (where_move(&t->doing, DOING_GONE, &delta) ||
	     where_move(&t->doing, DOING_GONE, &delta)))
		where_change(w, delta, bpf_ktime_get_ns());
}

static __always_inline void where_frozen(u32 instance, bool frozen)
{
	struct oncpu_where *w = where_at(instance);

	if (w)
		where_set(w, WHERE_FROZEN, frozen, bpf_ktime_get_ns());
}

static __always_inline void where_born(u32 instance, u64 born_ns)
{
	struct oncpu_where *w = where_at(instance);

	if (w)
		where_begin(w, born_ns);
}

/* Puts the integrals up to the event's own time into it; without the flag when they could not be
 * read whole, or when nobody watched from the beginning. */
#define WHERE_TRIES 16
__noinline int where_say(u32 instance, struct oncpu_event *e)
{
	struct oncpu_where *w = where_at(instance);
	int whole = 0;

	if (!w || !e || !w->born_ns)
		return 0;
	for (u32 i = 0; i < WHERE_TRIES && !whole; i++)
		whole = where_read(w, bpf_ktime_get_ns(), e->time_ns, e->where_ns);
	return whole;
}

#endif
