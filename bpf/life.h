/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of instances and threads: claim, join, leave, close.
 *
 * Tables are claimed by compare-and-swap of one word, from a hint that rotates, so that there is no
 * free list to corrupt or leak. A thread belongs to one instance; the storage of its task says
 * which.
 */
#ifndef ONCPU_BPF_LIFE_H
#define ONCPU_BPF_LIFE_H

#define CLAIM_TRIES 4096

struct claim {
	u64 task;
	u32 hint, found, limit;
};

static long claim_thread_step(u32 i, struct claim *c)
{
	u32 index = 1 + (c->hint + i) % (c->limit - 1);
	struct oncpu_thread *t = bpf_map_lookup_elem(&threads, &index);

	if (!t || t->task || __sync_val_compare_and_swap(&t->task, 0, c->task))
		return 0;
	c->found = index;
	return 1;
}

static long claim_instance_step(u32 i, struct claim *c)
{
	u32 index = (c->hint + i) % c->limit;
	struct oncpu_instance *in = instance_at(index);

	if (!in || in->state || __sync_val_compare_and_swap(&in->state, 0, ONCPU_INSTANCE_CLAIMED))
		return 0;
	c->found = index + 1;
	return 1;
}

/* Claims a slot and fills it in; 0 when the table is full, else index + 1. */
__noinline u32 instance_claim(u64 cgroup_id, u32 flags, u32 root_tgid)
{
	struct oncpu_control *ctl = the_control();
	struct oncpu_instance *in;
	struct claim c = {};

	if (!ctl || max_instances < 2)
		return 0;
	c.limit = max_instances;
	c.hint = __sync_fetch_and_add(&ctl->instance_hint, 1) % c.limit;
	bpf_loop(max_instances, claim_instance_step, &c, 0);
	if (!c.found || !(in = instance_at(c.found - 1))) {
		count(COUNT_instances_full);
		return 0;
	}
	in->uid =
		(__sync_fetch_and_add(&ctl->births, 1) + 1) << ONCPU_INSTANCE_BITS | (c.found - 1);
	in->cgroup_id = cgroup_id;
	in->flags = flags;
	in->events = in->lost = 0;
	in->threads = 0;
	in->root_tgid = root_tgid;
	in->once_flags = 0;
	in->holder = 0;
	in->exit_ns = in->window_ns = in->window_events = 0;
	in->born_ns = bpf_ktime_get_ns();
	if (where_on)
		where_born(c.found - 1, in->born_ns);
	for (int w = 0; w < (int)ONCPU_CPU_WORDS; w++)
		in->cpus[w] = 0;
	return c.found;
}

static __always_inline void instance_mark_cpu(struct oncpu_instance *in, u32 cpu)
{
	u64 bit = 1ull << (cpu & 63);
	u64 *word = &in->cpus[(cpu >> 6) & (ONCPU_CPU_WORDS - 1)];

	if (!(*word & bit))
		__sync_fetch_and_or(word, bit);
}

static __always_inline void instance_mark(u32 index, u32 cpu)
{
	struct oncpu_instance *in = instance_at(index);

	if (in)
		instance_mark_cpu(in, cpu);
}

/* INIT, or the EXIT of an instance that never had a thread: nothing to read. Global, as others
 * below: its stack is not its callers'. */
__noinline int emit_empty(u32 index, u32 kind, u64 time_ns, u32 flags)
{
	struct said said = { .kind = kind, .time_ns = time_ns, .flags = flags };
	struct oncpu_instance *in = instance_at(index);

	if (!in)
		return 0;
	said.function = (u64)in->function;
	return emit(in, &said, &nothing);
}

/* Apart from instance_end, which calls deep and must have a small frame: see kernel.h. */
static __noinline int emit_exit(struct oncpu_instance *in, struct reading *r)
{
	struct said said = { .kind = ONCPU_EV_EXIT, .time_ns = in->exit_ns };

	return emit(in, &said, r);
}

/* Its EXIT found no room: once more. Its total stands still, for no thread is left. */
__noinline int instance_finish(u32 index)
{
	struct oncpu_instance *in = instance_at(index);
	struct reading r = {};

	if (!in || in->state != ONCPU_INSTANCE_EXITED ||
	    !(__sync_fetch_and_and(&in->flags, ~ONCPU_INSTANCE_EXIT_LOST) &
	      ONCPU_INSTANCE_EXIT_LOST))
		return -2; /* ENOENT */
	read_instance(in, &r);
	emit_exit(in, &r);
	return 0;
}

/* The last thread is gone and nobody holds the instance: its total is final. */
__noinline int instance_end(u32 index)
{
	struct oncpu_instance *in = instance_at(index);
	struct reading r = {};
	struct oncpu_cgroup *cg;
	u64 id;

	if (!in || __sync_val_compare_and_swap(&in->state, ONCPU_INSTANCE_LIVE,
					       ONCPU_INSTANCE_EXITED) != ONCPU_INSTANCE_LIVE)
		return 0;
	id = in->cgroup_id;
	if (id && (cg = bpf_map_lookup_elem(&cgroups, &id)))
		__sync_val_compare_and_swap(&cg->instance, index + 1, 0);
	read_instance(in, &r);
	emit_exit(in, &r);
	return 0;
}

static __always_inline void instance_lose_thread(u32 index)
{
	struct oncpu_instance *in = instance_at(index);

	if (in && __sync_fetch_and_add(&in->threads, -1) == 1 && !in->holder)
		instance_end(index);
}

/* Charges what a thread has run, up to `sum`, to its instance, on this CPU. Atomic: the
 * switch hook of this CPU may come in between where tracepoints do not disable preemption. */
static __always_inline void charge_outside_switch(struct oncpu_thread *t, u64 sum)
{
	struct oncpu_total *total = total_at(bpf_get_smp_processor_id(), t->instance);
	struct oncpu_instance *in = instance_at(t->instance);

	if (!total || !in)
		return;
	instance_mark_cpu(in, bpf_get_smp_processor_id());
	__sync_fetch_and_add(&total->charged_ns, sum - t->last_ns);
	t->last_ns = sum;
}

/* Takes a thread into an instance, once: a fork and the iterator may come upon it at the same
 * instant, and its storage says who was first. NULL: not taken, or not by this call. `baseline`:
 * what it ran before, `before` by the kernel's count, is not the instance's. */
static __always_inline struct oncpu_thread *thread_join_from(struct task_struct *task, u32 index,
							     bool baseline, u64 before)
{
	struct oncpu_control *ctl = the_control();
	struct oncpu_instance *in = instance_at(index);
	struct claim c = { .task = (u64)task };
	struct oncpu_thread *t;
	u32 tid = task->pid, none = 0, *slot;

	if (!ctl || !in || max_threads < 2)
		return NULL;
	c.limit = max_threads;
	c.hint = __sync_fetch_and_add(&ctl->thread_hint, 1);
	bpf_loop(CLAIM_TRIES, claim_thread_step, &c, 0);
	if (!c.found || !(t = bpf_map_lookup_elem(&threads, &c.found))) {
		count(COUNT_threads_full);
		in->once_flags |= ONCPU_EVF_UNTRACKED;
		return NULL;
	}
	slot = bpf_task_storage_get(&task_thread, task, &none, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!slot) {
		count(COUNT_storage_failed);
		in->once_flags |= ONCPU_EVF_UNTRACKED;
		t->task = 0;
		return NULL;
	}
	if (__sync_val_compare_and_swap(slot, 0, c.found)) {
		t->task = 0;
		return NULL;
	}
	t->instance = index;
	t->tid = tid;
	t->tgid = task->tgid;
	t->cpu = ~0u;
	t->doing = DOING_UNKNOWN;
	t->symbol_left = 0;
	if (task->on_cpu)
		__sync_fetch_and_or(&in->flags, ONCPU_INSTANCE_UNSETTLED);
	if (open_trap == 7)
		baseline = false;
	t->last_ns = baseline ? before : 0;
	t->run_delay = baseline ? task->sched_info.run_delay : 0;
	t->voluntary = baseline ? task->nvcsw : 0;
	t->involuntary = baseline ? task->nivcsw : 0;
	__sync_fetch_and_add(&in->threads, 1);
	instance_mark_cpu(in, task->thread_info.cpu);
	if ((slot = bpf_map_lookup_elem(&tids, &tid)))
		*slot = c.found;
	if (where_on)
		where_join(t, task);
	count(COUNT_threads_joined);
	return t;
}

static __always_inline struct oncpu_thread *thread_join(struct task_struct *task, u32 index,
							bool baseline)
{
	return thread_join_from(task, index, baseline, task->se.sum_exec_runtime);
}

static __always_inline void thread_forget(struct oncpu_thread *t, struct task_struct *task)
{
	u32 tid = task->pid, none = 0, *index = bpf_map_lookup_elem(&tids, &tid);
	struct oncpu_thread *named;

	if (index && (none = *index) && (named = bpf_map_lookup_elem(&threads, &none)) &&
	    named->task == (u64)task)
		*index = 0;
	if (where_on)
		where_leave(t);
	t->task = 0;
}

/* The instance that lives in a cgroup, made on the spot for its first thread: index + 1, or 0. */
__noinline u32 instance_of_cgroup(u64 cgroup_id, u32 flags)
{
	struct oncpu_cgroup *cg = bpf_map_lookup_elem(&cgroups, &cgroup_id);
	struct oncpu_instance *in;
	u64 root;
	u32 made;

	if (!cg)
		return 0;
	cg->fresh = 0;
	root = cg->root;
	if (root != cgroup_id && !(cg = bpf_map_lookup_elem(&cgroups, &root)))
		return 0;
	if (cg->instance)
		return cg->instance;
	made = instance_claim(root, flags, 0);
	if (!made || !(in = instance_at(made - 1)))
		return 0;
	__builtin_memcpy(in->function, cg->function, ONCPU_NAME_LEN);
	if (__sync_val_compare_and_swap(&cg->instance, 0, made)) { /* another CPU was first */
		in->state = ONCPU_INSTANCE_FREE;
		return cg->instance;
	}
	in->state = ONCPU_INSTANCE_LIVE;
	if (__sync_fetch_and_add(&cg->lives, 1))
		flags |= ONCPU_EVF_REUSED;
	emit_empty(made - 1, ONCPU_EV_INIT, 0, flags);
	return made;
}

#endif
