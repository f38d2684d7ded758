/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The boundary: K, everything an instance has been charged up to now, and the event that carries
 * it.
 *
 * Uprobe programs are preemptible and no lock exists for them, so nothing here waits for anybody:
 * a slot is a latch, and events are numbered so that the agent can sort what raced.
 */
#ifndef ONCPU_BPF_BOUNDARY_H
#define ONCPU_BPF_BOUNDARY_H

#include "steal.h"
#include "taken.h"
#include "where.h"

/* One CPU's share of a reading. Added only if the slot did not move while it was computed. */
struct share {
	u64 total, run_delay, steal, bound; /* steal: of the running slice */
	u64 time_ns;			    /* up to when a running slice was counted */
	u32 running, flags;
	u32 own, behind; /* the reader's own CPU; switches that its slot does not show yet */
};

/* On the stack of what calls deep, so it is kept small: see kernel.h. */
struct reading {
	u64 total, run_delay, voluntary, involuntary, steal, irq, bound;
	u64 first_ns, last_ns; /* of the running slices' instants; 0 = nobody runs */
	u32 instance, flags;
	u64 task; /* whose thread makes the boundary, if own_cpu is a CPU */
	u16 own_cpu, running_elsewhere;
	u8 live;	/* threads: 0, 1, or 2 for more */
	bool unsettled; /* look at the task itself, whatever the slot says */
	bool alone;	/* the thread that makes the boundary is the instance's only one */
	bool own_read;	/* the share of its CPU is in already */
	bool last_try;
};
#define NO_CPU 0xffffu

static __always_inline u8 live_threads(const struct oncpu_instance *in)
{
	return in->threads > 1 ? 2 : in->threads == 1;
}

/* Of an instance that has run nothing; never written. Not on the stack: see kernel.h. */
static struct reading nothing;

/* The copies of a slot are read where they stand: `seq` tells afterwards whether they stood still.
 */
#define READ_COPY(copy, field) READ_ONCE_OF((copy)->field)

/* What a running slice has been, or will be, charged up to now_ns; `offset` is ktime less task
 * clock. */
static __always_inline u64 charged_ns(u64 now_ns, const struct cpu_clocks *c, s64 offset, u64 start)
{
	return c->skips ? slice_ns(c->clock_task, 0, start) : slice_ns(now_ns, offset, start);
}

/*
 * The share of a CPU whose slot does not show the task that really runs there: a switch was hidden
 * from us, or one is in progress. It is put together from counters that others write one after the
 * other: the kernel books a slice (exec_start, then sum_exec_runtime) some time after it updated
 * the clock, and our hook charges before it publishes. False if any of it moved meanwhile: part of
 * a slice would be there twice or not at all, whatever the clocks and the sequence say. Who has
 * left is counted from the picture and its own sum alone: the hook that charges it may stand still
 * between any two of its writes.
 */
static __always_inline bool share_stale(struct share *h, const struct oncpu_slot_copy *s, u64 was,
					u32 cpu, u32 instance, u64 curr, s64 d,
					const struct cpu_clocks *c, const struct oncpu_total *total)
{
	struct task_struct *running = KERNEL_AT(struct task_struct, curr), *left;
	u32 i = READ_COPY(s, thread), tid, *index;
	u64 sum, start, unbooked, charged = h->total;
	struct oncpu_thread *t;

	if (curr != was && READ_COPY(s, instance) == instance + 1 &&
	    (t = bpf_map_lookup_elem(&threads, &i)) && t->task == was &&
	    t->cpu == cpu) { /* has left the CPU unseen: its own sum is final */
		left = KERNEL_AT(struct task_struct, was);
		h->flags |= ONCPU_EVF_STALE;
		h->total = READ_COPY(s, base_ns) + READ_KERNEL(left, se.sum_exec_runtime) -
			   READ_COPY(s, sum_ns);
		charged = 0; /* it is not made of what the hook has charged */
	}
	tid = READ_KERNEL(running, pid);
	if ((index = bpf_map_lookup_elem(&tids, &tid)) && (i = *index) &&
	    (t = bpf_map_lookup_elem(&threads, &i)) && t->task == curr && t->instance == instance) {
		h->flags |= ONCPU_EVF_STALE;
		h->running = 1;
		start = READ_KERNEL(running, se.exec_start);
		sum = READ_KERNEL(running, se.sum_exec_runtime);
		if ((s64)(sum - t->last_ns) > 0)
			h->total += sum - t->last_ns;
		h->time_ns = bpf_ktime_get_ns();
		unbooked = steal_to_book(c->unbooked, h->time_ns, d, c->clock);
		h->total +=
			charged_ns(h->time_ns, c,
				   task_clock_offset(d, c->clock, c->clock_task, unbooked), start);
		COMPILER_BARRIER();
		if (READ_KERNEL(running, se.exec_start) != start ||
		    READ_KERNEL(running, se.sum_exec_runtime) != sum)
			return false;
	}
	COMPILER_BARRIER();
	return !h->flags || !charged || READ_ONCE_OF(total->charged_ns) == charged;
}

static __always_inline void share_running(struct share *h, const struct oncpu_slot_copy *s, u64 was,
					  const struct cpu_clocks *c, s64 d)
{
	struct task_struct *task = KERNEL_AT(struct task_struct, was);
	u64 base = READ_COPY(s, base_ns), start = READ_COPY(s, start_ns), unbooked;

	h->run_delay = READ_COPY(s, delay_base) + READ_KERNEL(task, sched_info.run_delay);
	h->time_ns = bpf_ktime_get_ns();
	unbooked = steal_to_book(c->unbooked, h->time_ns, d, c->clock);
	if (live_steal && c->booked + unbooked > READ_COPY(s, stolen_ns))
		h->steal = c->booked + unbooked - READ_COPY(s, stolen_ns);
	h->total =
		base + charged_ns(h->time_ns, c,
				  task_clock_offset(d, c->clock, c->clock_task, unbooked), start);
	h->running = 1;
}

/* What may be wrong with another CPU's share: somebody of ours is, or may be, on the way in or out.
 * What the hypervisor took in the middle of that is charged to nobody. */
static __always_inline u64 bound_elsewhere(struct rq *rq, const struct cpu_clocks *c, u64 curr,
					   s64 d, const struct share *h)
{
	struct task_struct *on_cpu = KERNEL_AT(struct task_struct, curr);
	u64 now = (h->time_ns ? h->time_ns : bpf_ktime_get_ns()) - c->unbooked;
	bool running = h->running, stale = h->flags;
	u32 queued;

	if (running && c->away)
		return wakeup_bound_ns(now, d, c->clock);
	if (running && READ_KERNEL(on_cpu, __state))
		/* On its way to sleep: it may have left the queue, its sum final, at its last
		 * update; the search for work that follows takes long and updates the clock. */
		return read_error_ns + slice_ns(now, d + (s64)(c->clock - c->clock_task),
						READ_KERNEL(on_cpu, se.exec_start));
	if (running && !stale)
		return read_error_ns + switch_bound(now, d, c->clock, transit_cap_ns);
	if (stale) /* a switch that takes as long as the clock is old, or a hidden one */
		return read_error_ns + wakeup_bound_ns(now, d, c->clock);
	queued = READ_KERNEL(rq, nr_running);
	if (!queued)
		return 0;
	if (curr == (u64)READ_KERNEL(rq, idle) || c->away)
		return wakeup_bound_ns(now, d, c->clock);
	/* one alone: it runs, unless it has just left the queue and another was pulled in */
	if (queued == 1 && READ_KERNEL(on_cpu, on_rq) == 1)
		return 0;
	return switch_bound(now, d, c->clock, transit_cap_ns);
}

/*
 * A slot that is one switch behind is put right from the two tasks of that switch, whether it was
 * hidden or its hook is to come in a moment. One that is further behind has missed a hidden switch:
 * if another one is in progress, the thread that came in hidden is seen nowhere, neither in the
 * slot nor as curr, and its hook is worth waiting for.
 */
static __always_inline bool in_transit(const struct cpu_clocks *c, u64 curr, s64 d)
{
	struct task_struct *to = KERNEL_AT(struct task_struct, curr);
	u64 sum, sum_when_picked;

	if (!c->away &&
	    clock_age_ns(bpf_ktime_get_ns() - c->unbooked, d, c->clock) >= transit_cap_ns)
		return false;
	/* charged since it was picked: it has arrived (idle and real-time tasks do not tell) */
	sum = READ_KERNEL(to, se.sum_exec_runtime);
	sum_when_picked = READ_KERNEL(to, se.prev_sum_exec_runtime);
	return !sum_when_picked || sum == sum_when_picked;
}

/* A thread that was moved out in the middle of its slice is charged already, and runs for another
 * instance; the slot says so from its next switch on. (A tid beyond the table has no index.) */
static __always_inline bool has_moved_out(const struct oncpu_slot_copy *s, u64 was)
{
	u32 i = READ_COPY(s, thread);
	struct oncpu_thread *t = i ? bpf_map_lookup_elem(&threads, &i) : NULL;

	return t && t->task != was;
}

/* Tries once; 0 if the CPU switched meanwhile. Global: verified once, not once a try, which is what
 * the time to load the programs went into. */
__noinline int share_of_cpu(struct share *h, u32 cpu, struct reading *r, struct oncpu_slot *slot,
			    struct oncpu_total *total)
{
	struct cpu_clocks clocks = {};
	struct oncpu_slot_copy *s;
	struct rq *rq;
	u64 seq, curr, was;
	s64 d;

	if (!slot || !h || !r || !total)
		return 1;
	/* whoever makes a boundary may be moved to another CPU in the middle of it */
	h->own = r->own_cpu < cpus && cpu == bpf_get_smp_processor_id();
	seq = READ_ONCE_OF(slot->seq);
	s = slot_copy_at(slot, seq);
	d = slot_clock_offset(slot);
	COMPILER_BARRIER();
	was = READ_COPY(s, task);
	h->total = READ_ONCE_OF(total->charged_ns);
	h->run_delay = READ_ONCE_OF(total->run_delay);
	h->steal = h->bound = h->time_ns = h->running = h->flags = 0;
	if (!READ_ONCE_OF(slot->rq)) /* no switch has been seen there yet */
		return 1;
	rq = KERNEL_AT(struct rq, READ_ONCE_OF(slot->rq));
	h->behind = hidden_check ? switches_of(rq) - READ_ONCE_OF(slot->switches) : 0;
	curr = (u64)READ_KERNEL(rq, curr);
	read_clocks(rq, &clocks);
	if (hidden_check && READ_COPY(s, instance) && h->behind < 2 &&
	    (u32)(curr == was) == h->behind)
		return 0; /* a switch is being counted, or a picture written, at this instant */
	if (h->behind || (hidden_check && READ_COPY(s, instance) != r->instance + 1 &&
			  (h->own || r->unsettled))) {
		if (!share_stale(h, s, was, cpu, r->instance, curr, d, &clocks, total))
			return 0;
	} else if (READ_COPY(s, instance) == r->instance + 1 && !has_moved_out(s, was)) {
		share_running(h, s, was, &clocks, d);
	}
	if (!h->own && wakeup_bound && (h->running || r->live > 1))
		h->bound = bound_elsewhere(rq, &clocks, curr, d, h);
	/* Its switch is not over: the kernel's own readers do not count its slice yet, which may
	 * have begun at a wake-up long ago. */
	if (h->running && !h->own && wakeup_bound &&
	    !READ_KERNEL(KERNEL_AT(struct task_struct, curr), on_cpu))
		h->bound += h->total - READ_ONCE_OF(total->charged_ns);
	if (h->running)
		h->bound += slot_clock_error(slot, h->time_ns) + clock_unsure_ns;
	if (h->running && clocks.skips) /* unless a tick comes first, and updates it */
		h->bound += clock_age_ns(h->time_ns, d, clocks.clock);
	if (!h->own && h->behind > 1 && wakeup_bound && r->live > 1 &&
	    in_transit(&clocks, curr, d)) {
		if (!r->last_try)
			return 0;
		h->bound += WAKEUP_CAP_NS;
	}
	COMPILER_BARRIER();
	return (!hidden_check || switches_of(rq) - READ_ONCE_OF(slot->switches) == h->behind) &&
	       clocks_settled(rq, &clocks) && READ_ONCE_OF(slot->seq) == seq;
}

/* Some 3 µs in all: a switch that is in progress is over by then, unless the hypervisor holds it.
 */
#define TRIES 48

/* The instants that the running slices are counted up to. */
static __always_inline void running_at(struct reading *r, u64 time_ns)
{
	if (!r->first_ns || time_ns < r->first_ns)
		r->first_ns = time_ns;
	if (time_ns > r->last_ns)
		r->last_ns = time_ns;
}

/*
 * The share of the CPU that the boundary is made on, where its slot shows who makes it, as it
 * nearly always does: he runs, so the CPU is not away, and a switch in progress would not be his.
 * What may come in between is an interrupt, the hypervisor, or a switch away and back, and each of
 * them moves something that is looked at again afterwards. 0: nothing is added, share_of_cpu is to
 * do it. Global: its stack is not read_instance's.
 */
__noinline int read_own(u32 cpu, struct reading *r)
{
	struct oncpu_slot *slot = slot_at(cpu);
	u64 seq, now, unbooked, stolen, charged, delay;
	struct oncpu_slot_copy *s;
	struct cpu_clocks c = {};
	struct task_struct *task;
	struct rq *rq;
	s64 d;

	if (!r || !slot)
		return 0;
	task = KERNEL_AT(struct task_struct, r->task);
	seq = READ_ONCE_OF(slot->seq);
	s = slot_copy_at(slot, seq);
	if (!slot->rq || READ_COPY(s, task) != r->task ||
	    READ_COPY(s, instance) != r->instance + 1 || has_moved_out(s, r->task) ||
	    cpu != bpf_get_smp_processor_id())
		return 0;
	rq = KERNEL_AT(struct rq, slot->rq);
	read_own_clocks(rq, &c);
	d = slot_clock_offset(slot);
	now = bpf_ktime_get_ns();
	unbooked = steal_to_book(c.unbooked, now, d, c.clock);
	stolen = c.booked + unbooked;
	stolen = live_steal && stolen > READ_COPY(s, stolen_ns) ? stolen - READ_COPY(s, stolen_ns)
								: 0;
	charged = READ_COPY(s, base_ns) +
		  slice_ns(now, task_clock_offset(d, c.clock, c.clock_task, unbooked),
			   READ_COPY(s, start_ns));
	delay = READ_COPY(s, delay_base) + READ_KERNEL(task, sched_info.run_delay);
	COMPILER_BARRIER();
	if (!own_clocks_settled(rq, &c) ||
	    (hidden_check && switches_of(rq) != READ_ONCE_OF(slot->switches)) ||
	    READ_ONCE_OF(slot->seq) != seq)
		return 0;
	r->total += charged;
	r->run_delay += delay;
	r->steal += stolen;
	r->bound += slot_clock_error(slot, now) + clock_unsure_ns;
	running_at(r, now);
	return 1;
}

/* Adds one CPU's share. Not a function of its own: each return costs some 5 ns where the kernel
 * makes them safe (Spectre's relatives), and this one comes once a CPU. */
static __always_inline void read_cpu(u32 cpu, struct reading *r)
{
	struct oncpu_total *total = total_at(cpu, r->instance);
	struct oncpu_slot *slot;
	struct share h;
	int whole = 0;

	if (!total)
		return;
	r->voluntary += total->voluntary;
	r->involuntary += total->involuntary;
	r->steal += total->steal_ns; /* up to its last switch and interrupt there */
	if (irq_on)
		r->irq += total->irq_ns;
	if (cpu == r->own_cpu) {
		if (r->own_read)
			return;
	} else if (r->alone) { /* who runs is here: elsewhere all is charged */
		r->total += READ_ONCE_OF(total->charged_ns);
		r->run_delay += total->run_delay;
		return;
	}
	if (!(slot = slot_at(cpu)))
		return;
	__builtin_memset(&h, 0, sizeof(h));
	for (u32 i = 0; i < TRIES && !whole; i++) {
		r->last_try = i == TRIES - 1;
		whole = share_of_cpu(&h, cpu, r, slot, total);
	}
	if (!whole) {
		count(COUNT_slots_torn);
		r->flags |= ONCPU_EVF_TORN;
		r->bound += 10000000; /* two ticks and more: nothing better is known */
	}
	if (h.flags)
		count(COUNT_slots_stale);
	r->total += h.total;
	r->run_delay += h.run_delay;
	r->steal += h.steal;
	r->bound += h.bound;
	r->flags |= h.flags;
	if (!h.running)
		return;
	if (cpu != r->own_cpu)
		r->running_elsewhere++;
	running_at(r, h.time_ns);
}

/* K of an instance over the CPUs that its threads have been on. */
__noinline int read_instance(struct oncpu_instance *in, struct reading *r)
{
	if (!in || !r)
		return 0;
	r->instance = index_of_instance(in);
	r->unsettled = !!(in->flags & ONCPU_INSTANCE_UNSETTLED);
	r->own_read = r->own_cpu < cpus && read_own(r->own_cpu, r);
	/* one that its CPU's slot shows has settled, whatever was before */
	r->alone = r->live == 1 && r->own_cpu < cpus && (r->own_read || !r->unsettled);
	for (u32 c = 0; c < ONCPU_MAX_CPUS && c < cpus; c++) {
		u64 left = in->cpus[(c >> 6) & (ONCPU_CPU_WORDS - 1)] >> (c & 63);

		/* from bit to bit: the host's other CPUs cost nothing */
		if (!left) {
			c |= 63;
			continue;
		}
		c += lowest_bit(left);
		read_cpu(c, r);
	}
	r->bound += r->running_elsewhere * (r->last_ns - r->first_ns);
	return 0;
}

/* What an event says besides K. Strings are read by emit, straight into the ring. */
struct said {
	u32 kind, flags;
	s32 status;
	u32 id_len; /* kernel text only */
	u64 number, time_ns;
	u64 maker;	  /* tgid << 32 | tid, 0 = who runs; to ask costs a call */
	u64 id, function; /* addresses, 0 = not said */
	bool user_text;	  /* they are the function's, not ours */
};

/*
 * All the bytes that an id may have and the one after them, for one call costs less than to look
 * for the end: that is the reader's. The page after it need not be there; then it is read without
 * that byte, and if that is not there either, up to its NUL, which takes longer. Global: its stack
 * is not emit's.
 */
__noinline int say_user_id(struct oncpu_event *e, u64 from)
{
	const char *id = (const char *)from;

	if (!e)
		return 0;
	e->id_len = ONCPU_ID_UNCUT;
	if (!bpf_probe_read_user(e->id, ONCPU_ID_LEN + 1, id))
		return 0;
	e->id_end[0] = 0;
	if (!bpf_probe_read_user(e->id, ONCPU_ID_LEN, id) ||
	    bpf_probe_read_user_str(e->id, ONCPU_ID_LEN, id) >= 0)
		return 0;
	e->id_len = 0;
	e->flags |= ONCPU_EVF_ID_UNREADABLE;
	count(COUNT_ids_unreadable);
	return 0;
}

static __always_inline void say_user_function(struct oncpu_event *e, const char *function)
{
	char after = 0;
	long got = bpf_probe_read_user_str(e->function, ONCPU_NAME_LEN, function);

	if (got == (long)ONCPU_NAME_LEN &&
	    !bpf_probe_read_user(&after, 1, function + ONCPU_NAME_LEN - 1) && after)
		e->flags |= ONCPU_EVF_NAME_TRUNCATED;
}

/* A flood of marks must not push other instances' events out of the ring. The counts race, which
 * makes the share a little larger. */
static __always_inline bool takes_too_much(struct oncpu_instance *in, struct oncpu_control *ctl,
					   u64 now)
{
	if (now - in->window_ns > ONCPU_SHARE_WINDOW_NS) {
		in->window_ns = now;
		in->window_events = 0;
	}
	return ++in->window_events > ONCPU_SHARE_EVENTS &&
	       bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >
		       ctl->ring_bytes - ctl->ring_bytes / 4;
}

/* The part that every event has. */
static __always_inline void say_counters(struct oncpu_event *e, const struct said *said,
					 const struct reading *r, struct oncpu_instance *in, u64 n,
					 u64 now)
{
	u64 id = said->maker ? said->maker : bpf_get_current_pid_tgid();

	e->kind = said->kind;
	e->flags = said->flags | r->flags | (in->flags & ~ONCPU_INSTANCE_OWN_FLAGS);
	if (live_steal && steal_from_rq)
		e->flags |= ONCPU_EVF_STEAL_LIVE;
	if (bpf_core_field_exists(((struct rq *)0)->prev_steal_time_rq))
		e->flags |= ONCPU_EVF_STEAL;
	if (in->once_flags)
		e->flags |= __sync_fetch_and_and(&in->once_flags, 0);
	e->uid = in->uid;
	e->n = n;
	e->time_ns = said->time_ns ? said->time_ns : now;
	e->total_ns = r->total;
	e->bound_ns = r->bound;
	e->run_delay_ns = r->run_delay;
	e->voluntary = r->voluntary;
	e->involuntary = r->involuntary;
	e->steal_ns = r->steal;
	e->cgroup_id = in->cgroup_id;
	e->mark_number = said->number;
	e->instance = index_of_instance(in);
	e->tgid = id >> 32;
	e->tid = (u32)id;
	e->threads = in->threads;
	e->status = said->status;
	e->id_len = 0;
}

/* What some events have besides. */
static __always_inline void say_rest(struct oncpu_event *e, const struct said *said,
				     const struct reading *r, const struct oncpu_instance *in)
{
	e->function[0] = 0;
	if (said->user_text) {
		if (said->id)
			say_user_id(e, said->id);
		if (said->function)
			say_user_function(e, (const char *)said->function);
	} else {
		if (said->id && !bpf_probe_read_kernel(e->id, ONCPU_ID_LEN, (void *)said->id))
			e->id_len = said->id_len;
		if (said->function)
			bpf_probe_read_kernel(e->function, ONCPU_NAME_LEN, (void *)said->function);
	}
	if (irq_on) {
		e->irq_ns = r->irq;
		e->flags |= ONCPU_EVF_IRQ;
	}
	if (where_on && where_say(index_of_instance(in), e))
		e->flags |= ONCPU_EVF_WHERE;
}

static __always_inline void say_lost(struct oncpu_instance *in, u32 kind, u64 now)
{
	__sync_fetch_and_add(&in->lost, 1);
	count(COUNT_events_lost);
	if (kind != ONCPU_EV_EXIT)
		return;
	if (!in->exit_ns)
		in->exit_ns = now;
	__sync_fetch_and_or(&in->flags, ONCPU_INSTANCE_EXIT_LOST);
}

__noinline int emit(struct oncpu_instance *in, struct said *said, struct reading *r)
{
	struct oncpu_control *ctl = the_control();
	u64 now, wake = BPF_RB_NO_WAKEUP, n;
	struct oncpu_event *e = NULL;

	if (!in || !ctl || !said || !r)
		return 0;
	now = r->last_ns; /* the instant that the total is of; to ask again costs 30 ns */
	if (!now)
		now = bpf_ktime_get_ns();
	n = __sync_fetch_and_add(&in->events, 1) + 1;
	if (takes_too_much(in, ctl, now) && said->kind != ONCPU_EV_EXIT) {
		say_lost(in, said->kind, now);
		return 0;
	}
	if (where_on || irq_on || said->id || said->function) {
		e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
		if (e) {
			say_counters(e, said, r, in, n, now);
			say_rest(e, said, r, in);
		}
	} else {
		e = bpf_ringbuf_reserve(&events, ONCPU_EVENT_BRIEF, 0);
		if (e)
			say_counters(e, said, r, in, n, now);
	}
	if (!e) {
		say_lost(in, said->kind, now);
		return 0;
	}
	/* The reader frees the ring only after its commit, so the ring's own wake-up rule (wake a
	 * reader that has caught up) would never fire: wake by the clock instead. */
	if (now - ctl->last_wake_ns > ONCPU_WAKE_EVERY_NS) {
		ctl->last_wake_ns = now;
		wake = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(e, wake);
	return 0;
}

#endif
