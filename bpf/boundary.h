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

struct reading {
	u64 total, run_delay, voluntary, involuntary, steal, bound;
	u32 running_elsewhere, flags, live, own_cpu;
	bool unsettled; /* look at the task itself, whatever the slot says */
};

/* One CPU's share of a reading. Added only if the slot did not move while it was computed. */
struct share {
	u64 total, run_delay, steal, bound;
	u32 running, flags;
};

/*
 * The share of a CPU whose slot does not show the task that really runs there: a switch was hidden
 * from us, or one is in progress. Computed from the tasks' own counters.
 */
static __always_inline void share_stale(struct share *h, const struct oncpu_slot_copy *s, u32 cpu,
					u32 instance, u64 curr, s64 d, const struct cpu_clocks *c)
{
	struct task_struct *running = (struct task_struct *)curr;
	u32 i = s->thread, tid = 0, *index;
	u64 sum = 0, start = 0, now, unbooked;
	struct oncpu_thread *t;

	if (s->instance == instance + 1 && (t = bpf_map_lookup_elem(&threads, &i)) &&
	    t->task == s->task &&
	    t->cpu == cpu) { /* has left the CPU unseen: its own sum is final */
		struct task_struct *left = (struct task_struct *)s->task;

		h->flags |= ONCPU_EVF_STALE;
		if (bpf_core_read(&sum, sizeof(sum), &left->se.sum_exec_runtime))
			count(COUNT_reads_failed);
		else if ((s64)(sum - t->last_ns) > 0)
			h->total += sum - t->last_ns;
	}
	if (!bpf_core_read(&tid, sizeof(tid), &running->pid) &&
	    (index = bpf_map_lookup_elem(&tids, &tid)) && (i = *index) &&
	    (t = bpf_map_lookup_elem(&threads, &i)) && t->task == curr && t->instance == instance) {
		h->flags |= ONCPU_EVF_STALE;
		h->running = 1;
		if (bpf_core_read(&sum, sizeof(sum), &running->se.sum_exec_runtime) ||
		    bpf_core_read(&start, sizeof(start), &running->se.exec_start)) {
			count(COUNT_reads_failed);
			return;
		}
		if ((s64)(sum - t->last_ns) > 0)
			h->total += sum - t->last_ns;
		now = bpf_ktime_get_ns();
		unbooked = steal_to_book(c->unbooked, now, d, c->clock);
		h->total += slice_ns(now, d + (s64)(c->clock - c->clock_task + unbooked), start);
	}
}

static __always_inline void share_running(struct share *h, const struct oncpu_slot_copy *s,
					  const struct cpu_clocks *c, s64 d, u64 delay)
{
	struct task_struct *task = (struct task_struct *)s->task;
	s64 offset = s->offset_ns;
	u64 waited = 0, now;

	h->run_delay = bpf_core_read(&waited, sizeof(waited), &task->sched_info.run_delay)
			       ? delay
			       : s->delay_base + waited;
	now = bpf_ktime_get_ns();
	if (live_steal && c->clock) {
		u64 unbooked = steal_to_book(c->unbooked, now, d, c->clock);

		offset = offset_with_live_steal(offset, d, c->clock, c->clock_task - unbooked);
		h->steal = c->clock - c->clock_task + unbooked;
	}
	h->total = s->base_ns + slice_ns(now, offset, s->start_ns);
	h->running = 1;
}

/* What may be wrong with another CPU's share: somebody of ours is, or may be, on the way in or out.
 * What the hypervisor took in the middle of that is charged to nobody. */
static __always_inline u64 bound_elsewhere(const struct rq *rq, const struct cpu_clocks *c,
					   u64 curr, s64 d, bool running, bool stale)
{
	u64 now = bpf_ktime_get_ns() - c->unbooked, idle = 0, start = 0;
	struct task_struct *on_cpu = (struct task_struct *)curr;
	u32 queued = 0, state = 0;
	int on_rq = 1;

	if (running && c->away)
		return wakeup_bound_ns(now, d, c->clock);
	if (running && !bpf_core_read(&state, sizeof(state), &on_cpu->__state) && state &&
	    !bpf_core_read(&start, sizeof(start), &on_cpu->se.exec_start))
		/* On its way to sleep: it may have left the queue, its sum final, at its last
		 * update; the search for work that follows takes long and updates the clock. */
		return read_error_ns + slice_ns(now, d + (s64)(c->clock - c->clock_task), start);
	if (running)
		return read_error_ns + switch_bound(now, d, c->clock, transit_cap_ns);
	if (bpf_core_read(&queued, sizeof(queued), &rq->nr_running) ||
	    bpf_core_read(&idle, sizeof(idle), &rq->idle)) {
		count(COUNT_reads_failed);
		return 0;
	}
	if (!queued && !stale)
		return 0;
	if (curr == idle || c->away)
		return wakeup_bound_ns(now, d, c->clock);
	/* one alone: it runs, unless it has just left the queue and another was pulled in */
	if (queued == 1 && !stale && !bpf_core_read(&on_rq, sizeof(on_rq), &on_cpu->on_rq) &&
	    on_rq == 1)
		return 0;
	return switch_bound(now, d, c->clock, transit_cap_ns);
}

/*
 * A stale slot is a hidden switch, or a switch whose hook is to come in a moment. In the second
 * case a thread that had come in hidden is seen nowhere: neither the slot nor curr shows it. So as
 * long as the clock is fresh enough for a switch in progress, the hook is worth waiting for.
 */
#define TRANSIT_NS 8000
static __always_inline bool in_transit(const struct cpu_clocks *c, u64 curr, s64 d)
{
	struct task_struct *to = (struct task_struct *)curr;
	u64 sum = 0, sum_when_picked = 0;

	if (!c->away && clock_age_ns(bpf_ktime_get_ns() - c->unbooked, d, c->clock) >= TRANSIT_NS)
		return false;
	/* charged since it was picked: it has arrived (idle and real-time tasks do not tell) */
	return bpf_core_read(&sum, sizeof(sum), &to->se.sum_exec_runtime) ||
	       bpf_core_read(&sum_when_picked, sizeof(sum_when_picked),
			     &to->se.prev_sum_exec_runtime) ||
	       !sum_when_picked || sum == sum_when_picked;
}

/* Tries once; false if the CPU switched meanwhile. */
static __always_inline bool share_of_cpu(struct share *h, struct oncpu_slot *slot,
					 const struct oncpu_total *total, u32 cpu, u32 instance,
					 struct reading *r, bool last_try)
{
	u64 seq = READ_ONCE_OF(slot->seq), curr = 0, delay;
	struct oncpu_slot_copy *c = &slot->copy[seq & 1], s;
	struct rq *rq = (struct rq *)READ_ONCE_OF(slot->rq);
	s64 d = slot_clock_offset(slot);
	bool own = cpu == r->own_cpu;
	struct cpu_clocks clocks = {};
	bool settled = true;

	COMPILER_BARRIER();
	s.task = READ_ONCE_OF(c->task);
	s.start_ns = READ_ONCE_OF(c->start_ns);
	s.base_ns = READ_ONCE_OF(c->base_ns);
	s.delay_base = READ_ONCE_OF(c->delay_base);
	s.offset_ns = READ_ONCE_OF(c->offset_ns);
	s.thread = READ_ONCE_OF(c->thread);
	s.instance = READ_ONCE_OF(c->instance);
	h->total = READ_ONCE_OF(total->charged_ns);
	h->run_delay = delay = READ_ONCE_OF(total->run_delay);
	h->steal = slot->steal_ns;
	h->bound = h->running = h->flags = 0;
	if (rq && bpf_core_read(&curr, sizeof(curr), &rq->curr))
		count(COUNT_reads_failed);
	if (rq)
		settled = read_clocks(rq, &clocks);
	if (hidden_check && curr &&
	    (curr != s.task || (s.instance != instance + 1 && (own || r->unsettled))))
		share_stale(h, &s, cpu, instance, curr, d, &clocks);
	else if (s.instance == instance + 1)
		share_running(h, &s, &clocks, d, delay);
	if (!own && wakeup_bound && rq && (h->running || r->live > 1))
		h->bound = bound_elsewhere(rq, &clocks, curr, d, h->running, h->flags);
	if (!own && hidden_check && wakeup_bound && curr && curr != s.task && r->live > 1 &&
	    in_transit(&clocks, curr, d)) {
		if (!last_try)
			return false;
		h->bound += WAKEUP_CAP_NS;
	}
	COMPILER_BARRIER();
	return settled && READ_ONCE_OF(slot->seq) == seq;
}

/* Adds one CPU's share. Global: verified once, whatever the number of callers and CPUs. */
__noinline int read_cpu(u32 cpu, u32 instance, struct reading *r)
{
	struct oncpu_slot *slot = slot_at(cpu);
	struct oncpu_total *total = total_at(cpu, instance);
	struct share h;
	bool whole = false;

	if (!slot || !total || !r)
		return 0;
	for (int i = 0; i < 6 && !whole; i++)
		whole = share_of_cpu(&h, slot, total, cpu, instance, r, i == 5);
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
	r->voluntary += total->voluntary;
	r->involuntary += total->involuntary;
	if (h.running && cpu != r->own_cpu)
		r->running_elsewhere++;
	return 0;
}

/* K of an instance over the CPUs that its threads have been on. */
__noinline int read_instance(u32 index, struct reading *r)
{
	struct oncpu_instance *in = instance_at(index);
	u64 t0, elapsed;

	if (!in || !r)
		return 0;
	r->unsettled = in->flags & ONCPU_INSTANCE_UNSETTLED;
	t0 = bpf_ktime_get_ns();
	for (u32 c = 0; c < ONCPU_MAX_CPUS; c++) {
		if (c >= cpus)
			break;
		if (in->cpus[(c >> 6) & (ONCPU_CPU_WORDS - 1)] >> (c & 63) & 1)
			read_cpu(c, index, r);
	}
	elapsed = bpf_ktime_get_ns() - t0;
	r->bound += r->running_elsewhere * elapsed;
	return 0;
}

/* What an event says besides K. Strings are read by emit, straight into the ring. */
struct said {
	u32 kind, flags;
	s32 status;
	u32 id_len; /* kernel text only */
	u64 number, time_ns;
	u64 id, function; /* addresses, 0 = not said */
	bool user_text;	  /* they are the function's, not ours */
};

static __always_inline void say_user_id(struct oncpu_event *e, const char *id)
{
	long got = bpf_probe_read_user_str(e->id, ONCPU_ID_LEN, id);
	char after = 0;

	if (got < 0) {
		e->flags |= ONCPU_EVF_ID_UNREADABLE;
		count(COUNT_ids_unreadable);
		return;
	}
	e->id_len = got > 0 ? got - 1 : 0;
	if (got < (long)ONCPU_ID_LEN)
		return;
	/* at least 63 bytes: the 64th may be one more of it, and there may be others */
	if (bpf_probe_read_user(&e->id[ONCPU_ID_LEN - 1], 1, id + ONCPU_ID_LEN - 1))
		e->flags |= ONCPU_EVF_ID_UNREADABLE;
	else if (e->id[ONCPU_ID_LEN - 1]) {
		e->id_len = ONCPU_ID_LEN;
		if (!bpf_probe_read_user(&after, 1, id + ONCPU_ID_LEN) && after)
			e->flags |= ONCPU_EVF_ID_TRUNCATED;
	}
}

static __always_inline void say_user_function(struct oncpu_event *e, const char *function)
{
	char after = 0;
	long got = bpf_probe_read_user_str(e->function, ONCPU_NAME_LEN, function);

	if (got == (long)ONCPU_NAME_LEN &&
	    !bpf_probe_read_user(&after, 1, function + ONCPU_NAME_LEN - 1) && after)
		e->flags |= ONCPU_EVF_NAME_TRUNCATED;
}

__noinline int emit(u32 index, struct said *said, struct reading *r)
{
	struct oncpu_instance *in = instance_at(index);
	struct oncpu_control *ctl = the_control();
	u64 now = bpf_ktime_get_ns(), wake = BPF_RB_NO_WAKEUP, n, id;
	struct oncpu_event *e;

	if (!in || !ctl || !said || !r)
		return 0;
	n = __sync_fetch_and_add(&in->events, 1) + 1;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&in->lost, 1);
		count(COUNT_events_lost);
		return 0;
	}
	id = bpf_get_current_pid_tgid();
	e->kind = said->kind;
	e->flags = said->flags | r->flags | (in->flags & ~ONCPU_INSTANCE_UNSETTLED);
	if (live_steal && steal_from_rq)
		e->flags |= ONCPU_EVF_STEAL_LIVE;
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
	e->instance = index;
	e->tgid = id >> 32;
	e->tid = (u32)id;
	e->threads = in->threads;
	e->status = said->status;
	e->id_len = 0;
	__builtin_memset(e->function, 0, ONCPU_NAME_LEN);
	__builtin_memset(e->id, 0, ONCPU_ID_LEN);
	if (said->user_text) {
		if (said->id)
			say_user_id(e, (const char *)said->id);
		if (said->function)
			say_user_function(e, (const char *)said->function);
	} else {
		if (said->id && !bpf_probe_read_kernel(e->id, ONCPU_ID_LEN, (void *)said->id))
			e->id_len = said->id_len;
		if (said->function)
			bpf_probe_read_kernel(e->function, ONCPU_NAME_LEN, (void *)said->function);
	}
	count(COUNT_events);
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
