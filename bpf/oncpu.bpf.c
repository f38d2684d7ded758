/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel side of oncpu: thin handlers over accounting.h, boundary.h and life.h.
 *
 * Attached and pinned are the stubs at the end; each tail-calls what its program array holds, so an
 * upgrade replaces the program and never the attachment. (Those of the switch and of marks jump
 * there only if another agent is in charge than theirs.) The kernel knows nothing of invocations:
 * it keeps one growing total per instance, and at each boundary says how much that is.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "oncpu/abi.h"
#include "accounting.h"
#include "maps.h"
#include "boundary.h"
#include "life.h"
#include "switch.h"
#include "books.h"

char _license[] SEC("license") = "GPL";

/* ---- the switch ---- */

/* Of an agent whose switch is not the pinned stub's: see stub_switch. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	switch_step(preempt, prev, next, prev_state, false);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *task, int cpu)
{
	struct oncpu_thread *t = thread_of(task);
	struct oncpu_instance *in = t ? instance_at(t->instance) : NULL;

	if (in)
		instance_mark_cpu(in, cpu);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *task)
{
	struct oncpu_thread *t = thread_of(task);
	struct oncpu_instance *in = t ? instance_at(t->instance) : NULL;

	if (in)
		instance_mark_cpu(in, task->thread_info.cpu);
	if (where_on && t)
		where_wakeup(t, task);
	return 0;
}

/* Attached only where wall time is watched: some 100 ns a wake-up of the whole host. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
	struct oncpu_thread *t = thread_of(task);

	if (where_on && t)
		where_wakeup(t, task);
	return 0;
}

/* ---- the life of threads ---- */

static __always_inline u64 cgroup_id_of(struct task_struct *task)
{
	return WALK(task)->cgroups->dfl_cgrp->kn->id;
}

/* The child has its cgroup already (clone3 into a cgroup, too) and has not run yet. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct oncpu_thread *p = thread_of(parent);
	struct oncpu_instance *in = p ? instance_at(p->instance) : NULL;
	u32 made;

	if (in && in->flags & ONCPU_EVF_TREE) {
		thread_join(child, p->instance, false);
		return 0;
	}
	made = instance_of_cgroup(cgroup_id_of(child), 0);
	if (made)
		thread_join(child, made - 1, false);
	return 0;
}

/* An exec by another thread than the leader takes over the leader's tid. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_tid)
{
	u32 tid = task->pid, old = old_tid, *from, *to, *mine;

	if (tid == old)
		return 0;
	mine = bpf_task_storage_get(&task_thread, task, 0, 0);
	to = bpf_map_lookup_elem(&tids, &tid);
	from = bpf_map_lookup_elem(&tids, &old);
	if (!mine || !to)
		return 0;
	*to = *mine;
	if (from && *from == *mine)
		*from = 0;
	return 0;
}

/* A thread whose last switch was not seen is closed here, with all that it ran. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	struct oncpu_thread *t = thread_by_storage(task);
	u32 instance;

	if (!t)
		return 0;
	instance = t->instance;
	charge_outside_switch(t, task->se.sum_exec_runtime);
	thread_forget(t, task);
	count(COUNT_threads_closed_late);
	instance_lose_thread(instance);
	return 0;
}

/* ---- cgroups ---- */

struct match {
	struct glob_walk walk;
	char path[ONCPU_PATTERN_LEN];
	char pattern[ONCPU_PATTERN_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct match);
} scratch SEC(".maps");

static long match_step(u32 i, void *unused)
{
	u32 zero = 0;
	struct match *m = bpf_map_lookup_elem(&scratch, &zero);

	if (!m || m->walk.result >= 0)
		return 1;
	glob_step(&m->walk, m->pattern, m->path);
	return 0;
}

/* Apart from its callers, for its stack: see kernel.h. */
static __noinline int cgroup_put(u64 id, u64 root, const char *function, u32 fresh)
{
	struct oncpu_cgroup cg = { .root = root, .fresh = fresh };

	if (function)
		bpf_probe_read_kernel(cg.function, sizeof(cg.function), function);
	if (bpf_map_update_elem(&cgroups, &id, &cg, BPF_NOEXIST) == -7 /* E2BIG */)
		count(COUNT_cgroups_full);
	return 0;
}

/* Global: verified once, not once a pattern. */
__noinline int match_pattern(u32 i)
{
	struct oncpu_pattern *p = bpf_map_lookup_elem(&patterns, &i);
	u32 zero = 0;
	struct match *m = bpf_map_lookup_elem(&scratch, &zero);

	if (!p || !m)
		return 0;
	bpf_probe_read_kernel(m->pattern, sizeof(m->pattern), p->pattern);
	glob_begin(&m->walk);
	bpf_loop(1 << 16, match_step, NULL, 0);
	return m->walk.result == 1;
}

static long register_if_matched(u32 i, u64 *cgroup_id)
{
	struct oncpu_pattern *p = bpf_map_lookup_elem(&patterns, &i);

	if (!p || !match_pattern(i))
		return 0;
	cgroup_put(*cgroup_id, *cgroup_id, p->function, 1);
	return 1;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgrp, const char *path)
{
	struct cgroup *parent = (struct cgroup *)cgrp->self.parent; /* self is the first member */
	struct oncpu_control *ctl = the_control();
	struct oncpu_cgroup *above;
	u64 id = WALK(cgrp)->kn->id, parent_id;
	u32 zero = 0, patterns_used;
	struct match *m = bpf_map_lookup_elem(&scratch, &zero);

	if (!ctl || !m || WALK(cgrp)->root->hierarchy_id)
		return 0;
	if (open_trap != 8 && !bpf_core_read(&parent, sizeof(parent), &cgrp->self.parent) &&
	    parent) {
		parent_id = BPF_CORE_READ(parent, kn, id);
		above = bpf_map_lookup_elem(&cgroups, &parent_id);
		if (above) {
			cgroup_put(id, above->root, NULL, 1);
			return 0;
		}
	}
	if (bpf_probe_read_kernel_str(m->path, sizeof(m->path), path) < 0)
		return 0;
	patterns_used = ctl->pattern_count;
	bpf_loop(patterns_used < ONCPU_MAX_PATTERNS ? patterns_used : ONCPU_MAX_PATTERNS,
		 register_if_matched, &id, 0);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgrp)
{
	u64 id = WALK(cgrp)->kn->id;
	struct oncpu_cgroup *cg = bpf_map_lookup_elem(&cgroups, &id);
	struct oncpu_instance *in;
	u32 made;

	if (!cg || WALK(cgrp)->root->hierarchy_id)
		return 0;
	made = cg->root == id ? cg->instance : 0;
	if (made && (in = instance_at(made - 1)) && in->threads <= 0)
		instance_end(made - 1); /* its holder is gone */
	bpf_map_delete_elem(&cgroups, &id);
	return 0;
}

/*
 * A thread enters a cgroup. What the kernel has charged it so far stays where it was; what it
 * charges from here on, the rest of the running slice included, is the new instance's: the same
 * line that the kernel's own books draw. `before`: what it was charged before it came in.
 */
static __always_inline void thread_move(struct task_struct *task, u64 cgroup_id, u64 before)
{
	struct oncpu_thread *t = thread_by_storage(task);
	struct oncpu_instance *from = t ? instance_at(t->instance) : NULL, *to;
	u32 made, old, *index;

	if (from && from->flags & ONCPU_EVF_TREE)
		return; /* a process tree stays one, wherever it goes */
	made = instance_of_cgroup(cgroup_id, 0);
	if (t && made == t->instance + 1)
		return;
	if (!t && !made)
		return;
	count(COUNT_moves);
	if (t) {
		old = t->instance;
		charge_outside_switch(t, before);
		thread_forget(t, task);
		if (from)
			from->once_flags |= ONCPU_EVF_MOVED;
		if ((index = bpf_task_storage_get(&task_thread, task, 0, 0)))
			*index = 0;
		if (made)
			thread_join_from(task, made - 1, true, before);
		instance_lose_thread(old);
	} else {
		thread_join_from(task, made - 1, true, before);
	}
	if (made && (to = instance_at(made - 1)) && to->threads > 1)
		to->once_flags |= ONCPU_EVF_MOVED;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup_attach, struct cgroup *cgrp, const char *path, struct task_struct *task,
	     bool threadgroup)
{
	struct oncpu_request *req;
	u64 id = WALK(cgrp)->kn->id;

	if (WALK(cgrp)->root->hierarchy_id)
		return 0;
	thread_move(task, id, charged_before_entry(cgrp, task));
	/* The other threads of the process came along: the agent's iterator moves them, from the
	 * kernel's own sums, so that nothing but the moment is late. */
	if (threadgroup && WALK(task)->signal->nr_threads > 1) {
		req = bpf_ringbuf_reserve(&requests, sizeof(*req), 0);
		if (!req) {
			count(COUNT_requests_lost);
			return 0;
		}
		__builtin_memset(req, 0, sizeof(*req));
		req->tgid = task->tgid;
		req->threads = WALK(task)->signal->nr_threads;
		bpf_ringbuf_submit(req, BPF_RB_FORCE_WAKEUP);
	}
	return 0;
}

/* ---- the freezer: attached only where wall time is watched ---- */

/* Of an instance's own cgroup: index + 1, or 0. */
static __always_inline u32 instance_of_root(struct cgroup *cgrp)
{
	u64 id = WALK(cgrp)->kn->id;
	struct oncpu_cgroup *cg = bpf_map_lookup_elem(&cgroups, &id);

	return cg && cg->root == id ? cg->instance : 0;
}

SEC("tp_btf/cgroup_notify_frozen")
int BPF_PROG(on_notify_frozen, struct cgroup *cgrp, const char *path, int frozen)
{
	u32 made = instance_of_root(cgrp);

	if (where_on && made)
		where_frozen(made - 1, frozen != 0);
	return 0;
}

/* Its threads are let go from here on, whether one of them comes up at once or not. */
SEC("tp_btf/cgroup_unfreeze")
int BPF_PROG(on_unfreeze, struct cgroup *cgrp, const char *path)
{
	u32 made = instance_of_root(cgrp);

	if (where_on && made)
		where_frozen(made - 1, false);
	return 0;
}

/* ---- interrupts: loaded and attached only where they are measured ---- */

#define IRQ_HOOK(name, tracepoint, step)                                                           \
	SEC("tp_btf/" tracepoint)                                                                  \
	int on_##name(void *ctx)                                                                   \
	{                                                                                          \
		step();                                                                            \
		return 0;                                                                          \
	}

IRQ_HOOK(irq_entry, "irq_handler_entry", irq_enter)
IRQ_HOOK(irq_exit, "irq_handler_exit", irq_leave)
IRQ_HOOK(softirq_entry, "softirq_entry", irq_enter)
IRQ_HOOK(softirq_exit, "softirq_exit", irq_leave)
IRQ_HOOK(timer_entry, "local_timer_entry", irq_enter)
IRQ_HOOK(timer_exit, "local_timer_exit", irq_leave)
IRQ_HOOK(ipi_entry, "call_function_single_entry", irq_enter)
IRQ_HOOK(ipi_exit, "call_function_single_exit", irq_leave)

/* ---- adoption of what already runs ---- */

SEC("iter/task")
int adopt(struct bpf_iter__task *ctx)
{
	struct oncpu_control *ctl = the_control();
	struct task_struct *task = ctx->task;
	struct oncpu_instance *in;
	struct oncpu_thread *t, *above;
	u32 made;

	if (!task || !ctl || task->exit_state)
		return 0;      /* a zombie has run for the last time: nobody's */
	if (ctl->adopt_tgid) { /* the rest of a process tree */
		if (thread_by_storage(task) || !(in = instance_at(ctl->adopt_instance)))
			return 0;
		above = thread_by_storage(task->real_parent);
		if (task->tgid == (int)ctl->adopt_tgid ||
		    (above && above->instance == ctl->adopt_instance)) {
			thread_join(task, ctl->adopt_instance, true);
			in->once_flags |= ONCPU_EVF_ADOPTED;
		}
		return 0;
	}
	t = thread_by_storage(task);
	if (where_on && t && t->doing == DOING_UNKNOWN)
		where_join(t, task); /* it was taken in before anybody watched */
	in = t ? instance_at(t->instance) : NULL;
	if (in && in->flags & ONCPU_EVF_TREE)
		return 0;
	made = instance_of_cgroup(cgroup_id_of(task), ONCPU_EVF_ADOPTED);
	if (t && made == t->instance + 1)
		return 0;
	if (t) {
		thread_move(task, cgroup_id_of(task), task->se.sum_exec_runtime);
	} else if (made && thread_join(task, made - 1, true) && (in = instance_at(made - 1))) {
		in->once_flags |= ONCPU_EVF_ADOPTED;
	}
	return 0;
}

/* ---- marks ---- */

/* A process that marks and belongs to nobody is a process tree of its own. Its whole life so far is
 * its init; threads that it already has are adopted by the agent, and flagged. */
static __always_inline struct oncpu_thread *join_as_tree(struct task_struct *task)
{
	u64 dead = WALK(task)->signal->sum_sched_runtime;
	struct oncpu_instance *in;
	struct oncpu_total *total;
	struct oncpu_thread *t;
	u32 made = instance_claim(0, ONCPU_EVF_TREE, task->tgid);

	if (!made || !(in = instance_at(made - 1)))
		return NULL;
	__builtin_memset(in->function, 0, ONCPU_NAME_LEN);
	in->state = ONCPU_INSTANCE_LIVE;
	emit_empty(made - 1, ONCPU_EV_INIT, task->start_time,
		   WALK(task)->signal->nr_threads > 1 ? ONCPU_EVF_ADOPTED : 0);
	t = thread_join(task, made - 1, false);
	if (!t) {
		in->state = ONCPU_INSTANCE_EXITED;
		emit_empty(made - 1, ONCPU_EV_EXIT, 0, 0);
		return NULL;
	}
	total = total_at(bpf_get_smp_processor_id(), made - 1);
	if (total && dead)
		__sync_fetch_and_add(&total->charged_ns, dead);
	return t;
}

static __always_inline bool kind_is_mark(u32 kind)
{
	return kind == ONCPU_EV_START || kind == ONCPU_EV_INVOKE || kind == ONCPU_EV_RESPONSE ||
	       kind == ONCPU_EV_END || kind == ONCPU_EV_SUSPEND;
}

static __always_inline int mark_step(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct said said = {};
	struct oncpu_instance *in;
	struct oncpu_thread *t;

	said.kind = (u32)ctx->r8;
	said.status = (s32)ctx->cx;
	said.number = ctx->dx;
	said.maker = (u64)task->tgid << 32 | (u32)task->pid;
	if (!kind_is_mark(said.kind)) {
		count(COUNT_marks_ignored);
		return 0;
	}
	t = thread_of(task);
	if (!t && !(t = join_as_tree(task)))
		return 0;
	if (!(in = instance_at(t->instance)))
		return 0;
	if (where_on)
		where_here(t, task);
	{
		struct reading r = { .own_cpu = bpf_get_smp_processor_id(),
				     .task = (u64)task,
				     .live = live_threads(in) };

		read_instance(in, &r);
		said.id = ctx->si;
		said.function = ctx->di;
		said.user_text = true;
		emit(in, &said, &r);
	}
	return 0;
}

/* For the stubs of other agents: see stub_mark. */
SEC("uprobe")
int on_mark(struct pt_regs *ctx)
{
	return mark_step(ctx);
}

struct object_of {
	struct oncpu_object key;
};

static long object_of_vma(struct task_struct *task, struct vm_area_struct *vma, struct object_of *o)
{
	struct file *file = vma->vm_file;

	if (!file)
		return 0;
	o->key.inode = BPF_CORE_READ(file, f_inode, i_ino);
	o->key.device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	return 0;
}

/* Asks the agent to attach the object's marks, and holds the process until that is done. */
static __always_inline void ask_for_attach(struct task_struct *task, u64 site, u64 uid, bool tree)
{
	struct oncpu_control *ctl = the_control();
	struct oncpu_request *req;
	struct object_of o = {};
	bool known, adopt_rest;

	bpf_find_vma(task, site, object_of_vma, &o, 0);
	known = o.key.inode && bpf_map_lookup_elem(&objects, &o.key);
	adopt_rest = tree && WALK(task)->signal->nr_threads > 1;
	if (!ctl || (known && !adopt_rest))
		return;
	req = bpf_ringbuf_reserve(&requests, sizeof(*req), 0);
	if (!req) {
		count(COUNT_requests_lost);
		return;
	}
	req->tgid = task->tgid;
	req->site = known ? 0 : site;
	req->uid = uid;
	req->threads = WALK(task)->signal->nr_threads;
	req->tree = tree;
	req->object = o.key;
	req->stopped =
		may_stop && bpf_ktime_get_ns() - ctl->heartbeat_ns < ONCPU_HEARTBEAT_FRESH_NS;
	if (req->stopped && bpf_send_signal(SIGSTOP))
		req->stopped = 0;
	if (req->stopped)
		count(COUNT_stops);
	bpf_ringbuf_submit(req, BPF_RB_FORCE_WAKEUP);
}

/* Apart from the reading, so that their stacks do not add up. */
static __noinline int emit_hello(struct oncpu_hello *hello, u64 number, struct oncpu_instance *in,
				 struct reading *r)
{
	struct said said = { .kind = hello->kind,
			     .flags = ONCPU_EVF_HELLO,
			     .status = hello->status,
			     .number = number,
			     .id = (u64)hello->id,
			     .function = (u64)hello->function,
			     .user_text = true };

	return emit(in, &said, r);
}

/* The hello: a prctl that renames a thread to its own name, with our magic. It is a mark. */
SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *renamed)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct oncpu_instance *in;
	struct oncpu_hello hello;
	struct oncpu_thread *t;
	bool tree = false;

	if (renamed != task)
		return 0;
	if (regs->orig_ax != PRCTL_SYSCALL || regs->di != PR_SET_NAME ||
	    regs->dx != ONCPU_HELLO_MAGIC)
		return 0;
	if (bpf_probe_read_user(&hello, sizeof(hello), (void *)regs->r8) ||
	    !kind_is_mark(hello.kind)) {
		count(COUNT_hellos_malformed);
		return 0;
	}
	count(COUNT_hellos);
	t = thread_of(task);
	if (!t) {
		t = join_as_tree(task);
		tree = true;
	}
	if (!t || !(in = instance_at(t->instance)))
		return 0;
	if (where_on)
		where_here(t, task);
	{
		struct reading reading = { .own_cpu = bpf_get_smp_processor_id(),
					   .task = (u64)task,
					   .live = live_threads(in) };

		read_instance(in, &reading);
		emit_hello(&hello, regs->r10, in, &reading);
	}
	ask_for_attach(task, hello.site, in->uid, tree);
	return 0;
}

/* Each load kept apart: merged into one load from a computed address, the verifier refuses it. */
#define ARGUMENT(register)                                                                         \
	({                                                                                         \
		u64 v_ = ctx->register;                                                            \
		__asm__ volatile("" : "+r"(v_));                                                   \
		v_;                                                                                \
	})

static __always_inline u64 argument(struct pt_regs *ctx, u32 which)
{
	u64 di = ARGUMENT(di), si = ARGUMENT(si), dx = ARGUMENT(dx);
	u64 cx = ARGUMENT(cx), r8 = ARGUMENT(r8), r9 = ARGUMENT(r9);

	return which == 0   ? di
	       : which == 1 ? si
	       : which == 2 ? dx
	       : which == 3 ? cx
	       : which == 4 ? r8
			    : r9;
}

#define TEXT_MAX (ONCPU_ID_LEN + 1u)
struct text {
	char bytes[ONCPU_ID_LEN + 8];
};
/* A thread's own, for these programs may be preempted and their stack is short: see kernel.h. */
struct texts {
	struct text id, name;
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct texts);
} scratch_texts SEC(".maps");

/* Reads a C string that may not be in memory yet, a byte past ONCPU_ID_LEN at most; its length, or
 * −1. The page after the string need not exist. Global: verified once. */
__noinline int copy_user_text(struct text *to, u64 from)
{
	u32 in_page = 4096 - (from & 4095), length = 0, mapped = ~0u;

	if (!to)
		return -1;
	if (bpf_copy_from_user(to->bytes, TEXT_MAX, (void *)from)) {
		if (in_page >= TEXT_MAX || bpf_copy_from_user(to->bytes, in_page, (void *)from))
			return -1;
		to->bytes[in_page] = 0;
		mapped = in_page;
	}
	while (length < TEXT_MAX && to->bytes[length])
		length++;
	return length == mapped ? -1 : (int)length; /* no NUL where there is memory: no string */
}

/* The event of a configured symbol. Apart from the reading, so that their stacks do not add up. */
static __noinline int emit_symbol(struct pt_regs *ctx, u64 cookie, struct oncpu_instance *in,
				  struct reading *r)
{
	struct said said = { .kind = cookie & 0xff, .flags = ONCPU_EVF_SYMBOL };
	struct texts *texts = bpf_task_storage_get(&scratch_texts, bpf_get_current_task_btf(), 0,
						   BPF_LOCAL_STORAGE_GET_F_CREATE);
	u64 id, name;
	int got;

	if ((cookie >> 24 & 0xff) != 0xff)
		said.status = (s32)argument(ctx, cookie >> 24 & 0xff);
	id = (cookie >> 8 & 0xff) != 0xff ? argument(ctx, cookie >> 8 & 0xff) : 0;
	name = (cookie >> 16 & 0xff) != 0xff ? argument(ctx, cookie >> 16 & 0xff) : 0;
	if (!texts)
		count(COUNT_storage_failed);
	if (id) {
		got = texts ? copy_user_text(&texts->id, id) : -1;
		said.id_len = got > 0 ? got : 0;
		if (got < 0) {
			said.flags |= ONCPU_EVF_ID_UNREADABLE;
			count(COUNT_ids_unreadable);
		}
		if (said.id_len > ONCPU_ID_LEN) {
			said.id_len = ONCPU_ID_LEN;
			said.flags |= ONCPU_EVF_ID_TRUNCATED;
		}
		said.id = texts ? (u64)texts->id.bytes : 0;
	}
	if (name && texts) {
		got = copy_user_text(&texts->name, name);
		texts->name.bytes[ONCPU_NAME_LEN - 1] = 0;
		if (got >= 0)
			said.function = (u64)texts->name.bytes;
	} else if (cookie >> 32) {
		u32 key = (u32)(cookie >> 32) - 1;
		struct oncpu_pattern *p = bpf_map_lookup_elem(&symbol_names, &key);

		if (p)
			said.function = (u64)p->function;
	}
	return emit(in, &said, r);
}

/*
 * In an upgrade the new generation is attached beside the old one; then one write to the control
 * map puts it in charge, and the old one is detached when it is of no more use. A hit that this
 * write falls into: the kernel runs the one attached last first, so it was not in charge yet, and
 * left the hit to the one that no longer is.
 */
static __always_inline bool takes_hit(struct oncpu_thread *t)
{
	struct oncpu_control *ctl = the_control();
	u32 in_charge = ctl ? READ_ONCE_OF(ctl->symbol_generation) : 0;
	bool takes = in_charge == symbol_generation || t->symbol_left == in_charge;

	t->symbol_left = takes ? 0 : symbol_generation;
	return takes;
}

/* A configured symbol of somebody else's runtime: its strings may not be in memory, so this program
 * may sleep, and cannot stand behind a stub (sleepable programs do not take program arrays). */
SEC("uprobe.s")
int on_symbol(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	struct task_struct *task = bpf_get_current_task_btf();
	struct reading r = { .own_cpu = bpf_get_smp_processor_id(), .task = (u64)task };
	struct oncpu_instance *in;
	struct oncpu_thread *t;

	if (!kind_is_mark(cookie & 0xff)) {
		count(COUNT_marks_ignored);
		return 0;
	}
	t = thread_of(task);
	if (!t && !(t = join_as_tree(task)))
		return 0;
	if (!takes_hit(t) || !(in = instance_at(t->instance)))
		return 0;
	if (where_on)
		where_here(t, task);
	r.live = live_threads(in);
	read_instance(in, &r);
	return emit_symbol(ctx, cookie, in, &r);
}

/* ---- boundaries from outside: measure, the slicer, the API ---- */

static __always_inline struct oncpu_instance *instance_by_uid(u64 uid)
{
	struct oncpu_instance *in = instance_at(uid & ((1u << ONCPU_INSTANCE_BITS) - 1));

	return in && in->uid == uid && in->state == ONCPU_INSTANCE_LIVE ? in : NULL;
}

static __noinline int call_create(struct oncpu_call *call)
{
	struct said said = { .kind = ONCPU_EV_INIT,
			     .flags = ONCPU_EVF_CALL,
			     .status = call->status,
			     .number = call->root };
	struct oncpu_cgroup cg = { .root = call->cgroup_id };
	struct oncpu_instance *in;
	u64 id = call->cgroup_id;
	u32 made;

	if (bpf_map_lookup_elem(&cgroups, &id))
		return -17; /* EEXIST */
	made = instance_claim(id, ONCPU_EVF_HELD, 0);
	if (!made || !(in = instance_at(made - 1)))
		return -28; /* ENOSPC */
	__builtin_memcpy(in->function, call->function, ONCPU_NAME_LEN);
	in->function[ONCPU_NAME_LEN - 1] = 0;
	in->holder = call->holder ? call->holder : 1;
	__builtin_memcpy(cg.function, in->function, ONCPU_NAME_LEN);
	cg.instance = made;
	cg.lives = 1;
	if (bpf_map_update_elem(&cgroups, &id, &cg, BPF_NOEXIST)) {
		in->state = ONCPU_INSTANCE_FREE;
		return -28;
	}
	in->state = ONCPU_INSTANCE_LIVE;
	call->uid = in->uid;
	call->time_ns = in->born_ns;
	said.time_ns = in->born_ns;
	said.function = (u64)in->function;
	emit(in, &said, &nothing);
	return 0;
}

/* Made from outside: no CPU is the instance's own. */
static __always_inline void call_read(struct oncpu_call *call, struct oncpu_instance *in,
				      struct reading *r)
{
	r->own_cpu = NO_CPU;
	r->live = in->threads > 0 ? 2 : 1; /* all of them are elsewhere */
	read_instance(in, r);
	call->total_ns = r->total;
	call->time_ns = bpf_ktime_get_ns();
}

static __always_inline void call_answer(struct oncpu_call *call, const struct oncpu_instance *in,
					const struct reading *r)
{
	call->reading.bound_ns = r->bound;
	call->reading.running = r->running_elsewhere;
	call->reading.threads = in->threads;
}

/* Apart from call_boundary, which calls deep: see kernel.h. */
static __noinline int emit_call(struct oncpu_call *call, struct oncpu_instance *in,
				struct reading *r, u64 number)
{
	struct said said = { .kind = call->kind,
			     .status = call->status,
			     .flags = ONCPU_EVF_CALL,
			     .id_len = call->id_len,
			     .id = (u64)call->id,
			     .function = (u64)in->function,
			     .number = number,
			     .time_ns = call->time_ns };

	return emit(in, &said, r);
}

static __noinline int call_boundary(struct oncpu_call *call, struct oncpu_instance *in)
{
	u64 number = call->root; /* the reading takes its place */
	struct reading r = {};

	if (call->kind <= ONCPU_EV_INIT || call->kind >= ONCPU_EV_KIND_COUNT ||
	    call->kind == ONCPU_EV_EXIT || call->id_len > ONCPU_ID_LEN)
		return -22; /* EINVAL */
	call_read(call, in, &r);
	emit_call(call, in, &r, number);
	return 0;
}

/* Apart from on_call, for its stack: see kernel.h. */
static __noinline int call_total(struct oncpu_call *call, struct oncpu_instance *in)
{
	struct reading r = {};

	call_read(call, in, &r);
	call_answer(call, in, &r);
	return 0;
}

SEC("syscall")
int on_call(struct oncpu_call *call)
{
	struct oncpu_instance *in = NULL;
	int result = -22;

	if (call->op == ONCPU_CALL_CREATE) {
		result = call_create(call);
	} else if (call->op == ONCPU_CALL_CGROUP) {
		cgroup_put(call->cgroup_id, call->root, call->function, 0);
		result = 0;
	} else if (!(in = instance_by_uid(call->uid))) {
		result = -2; /* ENOENT */
	} else if (call->op == ONCPU_CALL_BOUNDARY) {
		result = call_boundary(call, in);
	} else if (call->op == ONCPU_CALL_READ) {
		result = call_total(call, in);
	} else if (call->op == ONCPU_CALL_RELEASE) {
		in->holder = 0;
		if (in->threads <= 0)
			instance_end(call->uid & ((1u << ONCPU_INSTANCE_BITS) - 1));
		result = 0;
	} else if (call->op == ONCPU_CALL_FINISH) {
		result = instance_finish(call->uid & ((1u << ONCPU_INSTANCE_BITS) - 1));
	}
	call->result = result;
	if (result)
		count(COUNT_calls_refused);
	return result;
}

/* ---- the stubs: pinned, attached once, and never changed ---- */

#define STUB(section, name)                                                                        \
	SEC(section)                                                                               \
	int stub_##name(void *ctx)                                                                 \
	{                                                                                          \
		bpf_tail_call(ctx, &hook_##name, 0);                                               \
		count(COUNT_no_program);                                                           \
		return 0;                                                                          \
	}

/*
 * The switch comes most often, and a jump through the array is dear for what it does: its stub is
 * the program itself, and jumps only if the slot says that the agent that adopted it brings another
 * one. An upgrade is that one map update, and one word a CPU.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(stub_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	if (switch_step(preempt, prev, next, prev_state, true))
		return 0;
	bpf_tail_call(ctx, &hook_switch, 0);
	count(COUNT_no_program);
	return 0;
}

STUB("tp_btf/sched_process_fork", fork)
STUB("tp_btf/sched_process_exec", exec)
STUB("tp_btf/sched_process_free", free)
STUB("tp_btf/task_rename", rename)
STUB("tp_btf/sched_migrate_task", migrate)
STUB("tp_btf/sched_wakeup_new", wakeup_new)
STUB("tp_btf/cgroup_mkdir", cgroup_mkdir)
STUB("tp_btf/cgroup_rmdir", cgroup_rmdir)
STUB("tp_btf/cgroup_attach_task", cgroup_attach)
STUB("tp_btf/sched_wakeup", wakeup)
STUB("tp_btf/cgroup_notify_frozen", notify_frozen)
STUB("tp_btf/cgroup_unfreeze", unfreeze)
STUB("tp_btf/irq_handler_entry", irq_entry)
STUB("tp_btf/irq_handler_exit", irq_exit)
STUB("tp_btf/softirq_entry", softirq_entry)
STUB("tp_btf/softirq_exit", softirq_exit)
STUB("tp_btf/local_timer_entry", timer_entry)
STUB("tp_btf/local_timer_exit", timer_exit)
STUB("tp_btf/call_function_single_entry", ipi_entry)
STUB("tp_btf/call_function_single_exit", ipi_exit)

/* A mark's likewise. Each agent attaches its own to the objects that it finds, so the one that is
 * in charge now is asked for by its identity. */
SEC("uprobe")
int stub_mark(struct pt_regs *ctx)
{
	struct oncpu_control *ctl = the_control();

	if (ctl && READ_ONCE_OF(ctl->mark_identity) == mark_identity)
		return mark_step(ctx);
	bpf_tail_call(ctx, &hook_mark, 0);
	count(COUNT_no_program);
	return 0;
}
