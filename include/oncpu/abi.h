/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one contract between the kernel side (bpf/) and the agent (agent/kern, agent/core).
 *
 * Everything here is pinned and outlives the agent: a change of any size, offset or meaning needs a
 * new ONCPU_ABI_VERSION, and an agent refuses to adopt pins of another version. Enums only grow at
 * their end. Times are nanoseconds of CLOCK_MONOTONIC unless a name says otherwise.
 */
#ifndef ONCPU_ABI_H
#define ONCPU_ABI_H

#if defined(__bpf__)
typedef __u64 oncpu_u64;
typedef __s64 oncpu_s64;
typedef __u32 oncpu_u32;
typedef __s32 oncpu_s32;
#else
#include <stdint.h>
typedef uint64_t oncpu_u64;
typedef int64_t oncpu_s64;
typedef uint32_t oncpu_u32;
typedef int32_t oncpu_s32;
#endif

#define ONCPU_ABI_VERSION 5u

#define ONCPU_MAX_CPUS 512u /* CPUs an instance may run on; a host with more is refused */
#define ONCPU_CPU_WORDS (ONCPU_MAX_CPUS / 64u)
#define ONCPU_MAX_PATTERNS 256u /* cgroup patterns in one configuration */
#define ONCPU_PATTERN_LEN 256u	/* bytes of a pattern or cgroup path, NUL included */
#define ONCPU_NAME_LEN 64u	/* bytes of a function name, NUL included */
#define ONCPU_ID_LEN 64u	/* bytes of an invocation id kept; no NUL when full */

/*
 * A boundary or life event of an instance, ordered by `n` within one `uid`.
 */
enum oncpu_event_kind {
	ONCPU_EV_NONE = 0,
	ONCPU_EV_INIT =
		1, /* the instance was born or adopted; carries the function, if configured */
	ONCPU_EV_START =
		2, /* receive_start: the first trigger, ends init; carries function and id */
	ONCPU_EV_INVOKE = 3,   /* receive_invoke: a later trigger; carries the id */
	ONCPU_EV_RESPONSE = 4, /* the answer was sent; after_response begins */
	ONCPU_EV_END = 5,      /* report_done; carries status */
	ONCPU_EV_SUSPEND = 6,
	ONCPU_EV_RESUME = 7,
	ONCPU_EV_FREEZE = 8,
	ONCPU_EV_THAW = 9,
	ONCPU_EV_EXIT =
		10, /* the last thread is gone; total_ns is final, uid is never seen again */
	ONCPU_EV_READY = 11, /* init is over, no trigger yet (Runtime API: the first GET next) */
	ONCPU_EV_PART = 12,  /* from a holder: what one process of the open invocation has used; its
				name in id, ns in mark_number */
	ONCPU_EV_KIND_COUNT
};

/* oncpu_event.flags */
#define ONCPU_EVF_ADOPTED (1u << 0)	  /* threads existed before they were tracked */
#define ONCPU_EVF_STALE (1u << 1)	  /* a stale slot was put right from rq->curr */
#define ONCPU_EVF_TORN (1u << 2)	  /* a slot could not be read whole; the bound covers it */
#define ONCPU_EVF_ID_TRUNCATED (1u << 3)  /* the id was longer than ONCPU_ID_LEN */
#define ONCPU_EVF_ID_UNREADABLE (1u << 4) /* the id's memory could not be read */
#define ONCPU_EVF_HELLO (1u << 5)	  /* the mark came as a hello, not through the nop */
#define ONCPU_EVF_HELD (1u << 6)      /* a holder outside makes the boundaries (measure, slicer) */
#define ONCPU_EVF_TREE (1u << 7)      /* the instance is a process tree without its own cgroup */
#define ONCPU_EVF_MOVED (1u << 8)     /* a thread moved in or out since the event before */
#define ONCPU_EVF_UNTRACKED (1u << 9) /* thread table full: some CPU is missing from total_ns */
#define ONCPU_EVF_SYMBOL (1u << 10)   /* made at a configured symbol; has no mark number */
#define ONCPU_EVF_CALL (1u << 11)     /* made through the boundary program (measure, slicer, API) */
#define ONCPU_EVF_NAME_TRUNCATED (1u << 12)
#define ONCPU_EVF_STEAL_LIVE                                                                       \
	(1u << 13) /* steal was read up to the boundary: no rest is unknown                        \
		    */

#define ONCPU_EVF_REUSED (1u << 15) /* INIT: somebody lived in the cgroup before */
#define ONCPU_EVF_WHERE (1u << 14)  /* where_ns was read whole */
#define ONCPU_EVF_STEAL (1u << 16)  /* steal_ns is known: the scheduler books it */
#define ONCPU_EVF_IRQ (1u << 17)    /* irq_ns is measured */

/* Where an instance is, its threads taken together. */
enum oncpu_where_state {
	ONCPU_WHERE_RUNNING = 0,    /* a thread is on a CPU */
	ONCPU_WHERE_RUN_QUEUE = 1,  /* none is, one is ready */
	ONCPU_WHERE_THROTTLED = 2,  /* likewise, and who is ready sits out a CPU quota */
	ONCPU_WHERE_BLOCKED_IO = 3, /* none is ready, one sleeps uninterruptibly or waits for I/O */
	ONCPU_WHERE_IDLE = 4,	    /* none of these */
	ONCPU_WHERE_FROZEN = 5,	    /* none is on a CPU, for the cgroup is frozen */
	ONCPU_WHERE_COUNT = 6
};

/* oncpu_event.status, from report_done and the holder */
enum oncpu_status {
	ONCPU_STATUS_OK = 0,
	ONCPU_STATUS_ERROR = 1,
	ONCPU_STATUS_TIMEOUT = 2,
	ONCPU_STATUS_CRASHED = 3,
	ONCPU_STATUS_SUSPENDED = 4,
	ONCPU_STATUS_COUNT
};

/*
 * `total_ns` is K: all that the kernel has charged the instance since its birth up to this event,
 * running slices included. An account is the signed difference of two totals, so a lost event
 * merges two accounts and loses no time. All the counters are totals since birth too.
 */
struct oncpu_event {
	oncpu_u32 kind;		/* enum oncpu_event_kind */
	oncpu_u32 flags;	/* ONCPU_EVF_* */
	oncpu_u64 uid;		/* the instance's identity, unique within one boot, never 0 */
	oncpu_u64 n;		/* 1, 2, 3 … within uid; a gap is a lost event */
	oncpu_u64 time_ns;	/* CLOCK_MONOTONIC at the boundary */
	oncpu_u64 total_ns;	/* K */
	oncpu_u64 bound_ns;	/* |K − truth| is at most this; 0 = exact */
	oncpu_u64 run_delay_ns; /* total time threads waited on a run queue */
	oncpu_u64 voluntary;	/* context switches, totals */
	oncpu_u64 involuntary;
	oncpu_u64 steal_ns;  /* taken by the hypervisor out of the instance's slices; not in K */
	oncpu_u64 cgroup_id; /* cgroup v2 id of the instance, 0 for a process tree */
	oncpu_u64
		mark_number; /* number of the mark within its process, from 1; 0 = none. From a
				holder: INIT its CPU quota, us in 100 ms (and status the memory
				size, MB); END, SUSPEND the most memory used, bytes; 0 = not said */
	oncpu_u32 instance;  /* slot index, reused by later instances */
	oncpu_u32 tgid;	     /* process that made the boundary (agent's pid namespace) */
	oncpu_u32 tid;
	oncpu_u32 threads; /* live threads of the instance */
	oncpu_s32 status;  /* enum oncpu_status, or what the mark passed */
	oncpu_u32 id_len;  /* bytes of id in use, 0 = no id; ONCPU_ID_UNCUT in the ring */
	char function[ONCPU_NAME_LEN]; /* NUL-terminated, "" = not said */
	char id[ONCPU_ID_LEN];
	char id_end[8];			       /* the first is what follows the id */
	oncpu_u64 where_ns[ONCPU_WHERE_COUNT]; /* time in each state since birth, up to time_ns */
	oncpu_u64 irq_ns; /* taken by interrupts out of the instance's slices; in K */
};

/*
 * In the ring an event that says no more ends before `function`, two cache lines with the ring's
 * own header; and what the kernel side need not do is left to the reader: kern_event_unpack.
 * where_ns and irq_ns are written only with ONCPU_EVF_WHERE and _IRQ, text not beyond its end, and
 * of an id in a function's memory all 64 bytes and the next, whatever stands in them.
 */
#define ONCPU_EVENT_BRIEF 120u
#define ONCPU_ID_UNCUT (ONCPU_ID_LEN + 1u)

/* ---- pinned maps: what the kernel side keeps, and the agent may read or adopt ---- */

/* One thread of an instance: 64 bytes, one cache line. Index 0 is never used. */
struct oncpu_thread {
	oncpu_u64 task;	     /* address of its task_struct: identity; 0 = free */
	oncpu_u64 last_ns;   /* sum_exec_runtime up to which it is charged */
	oncpu_u64 run_delay; /* sched_info.run_delay likewise */
	oncpu_u64 voluntary; /* nvcsw, nivcsw likewise */
	oncpu_u64 involuntary;
	oncpu_u32 instance;
	oncpu_u32 tid;
	oncpu_u32 tgid;
	oncpu_u32 cpu;	 /* where it was last switched in */
	oncpu_u32 doing; /* bpf/integral.h */
	oncpu_u32
		symbol_left; /* generation that left a symbol's hit to the one that is in charge */
};

/* What one CPU has charged to one instance slot; only that CPU writes it; only grows. One cache
 * line. */
struct oncpu_total {
	oncpu_u64 charged_ns;
	oncpu_u64 run_delay;
	oncpu_u64 voluntary;
	oncpu_u64 involuntary;
	oncpu_u64 irq_ns;   /* taken out of its slices by interrupts */
	oncpu_u64 steal_ns; /* and by the hypervisor, which the kernel has not charged */
	oncpu_u64 padding[2];
};

/* The interrupt that a CPU is in. One cache line. */
struct oncpu_irq {
	oncpu_u64 entered_ns, stolen_ns;
	oncpu_u32 depth; /* 0 = none */
	oncpu_u32 reserved;
	oncpu_u64 padding[5];
};

/* Where an instance's wall time went: bpf/integral.h. One cache line. */
struct oncpu_where {
	oncpu_u64 word;	   /* how many threads do what */
	oncpu_u64 born_ns; /* 0 = it was not watched from its beginning: its integrals are void */
	oncpu_u64 integral[ONCPU_WHERE_COUNT];
};

enum oncpu_instance_state {
	ONCPU_INSTANCE_FREE = 0,
	ONCPU_INSTANCE_CLAIMED = 1, /* being filled in */
	ONCPU_INSTANCE_LIVE = 2,
	ONCPU_INSTANCE_EXITED = 3 /* EXIT emitted; the agent frees it once that is committed */
};

#define ONCPU_INSTANCE_BITS 20u /* uid = birth number << bits | slot index */

/* A thread joined in mid-slice: a slot may show its task and not know that it is ours, so
 * boundaries look at the tasks themselves. Never in an event. It stays: no moment is known at which
 * every CPU has switched and no further thread has joined. */
#define ONCPU_INSTANCE_UNSETTLED (1u << 31)
/* It has exited and the ring had no room for its EXIT: it waits to be said again. Never in an
 * event. */
#define ONCPU_INSTANCE_EXIT_LOST (1u << 30)
#define ONCPU_INSTANCE_OWN_FLAGS (ONCPU_INSTANCE_UNSETTLED | ONCPU_INSTANCE_EXIT_LOST)

struct oncpu_instance {
	oncpu_u32 state;
	oncpu_u32 flags; /* ONCPU_EVF_TREE, _HELD, _ADOPTED of the whole life;
			    ONCPU_INSTANCE_UNSETTLED */
	oncpu_u64 uid;
	oncpu_u64 cgroup_id;
	oncpu_u64 events; /* number of the last event */
	oncpu_u64 lost;	  /* events that found no room in the ring */
	oncpu_u64 born_ns;
	oncpu_s32 threads;		 /* live ones */
	oncpu_u32 root_tgid;		 /* a process tree's first process */
	oncpu_u32 once_flags;		 /* event flags to put on the next event */
	oncpu_u32 holder;		 /* tgid of the holder, 0 = none */
	oncpu_u64 cpus[ONCPU_CPU_WORDS]; /* CPUs that a thread ran or was queued on */
	char function[ONCPU_NAME_LEN];
	oncpu_u64 exit_ns;	 /* when it exited, if its EXIT was lost; else 0 */
	oncpu_u64 window_ns;	 /* begin of a window of ONCPU_SHARE_WINDOW_NS … */
	oncpu_u32 window_events; /* … and its events in it */
	oncpu_u32 reserved;
};

/* An instance that makes more events than this in a window leaves the last quarter of the ring to
 * the others: its own are lost, and counted, before theirs. */
#define ONCPU_SHARE_WINDOW_NS 100000000ull
#define ONCPU_SHARE_EVENTS 500u

/* A cgroup that belongs to an instance: the instance's own, or one below it. */
struct oncpu_cgroup {
	oncpu_u64 root;	    /* id of the instance's own cgroup */
	oncpu_u32 instance; /* of the root: slot index + 1; 0 = nobody lives there now */
	oncpu_u32 lives;    /* instances there have been; 1 too many where it was there before us */
	char function[ONCPU_NAME_LEN];
	oncpu_u32 fresh; /* 1 = its making was seen, and nobody has been in it yet */
	oncpu_u32 reserved;
};

struct oncpu_pattern {
	char function[ONCPU_NAME_LEN];
	char pattern[ONCPU_PATTERN_LEN];
};

/* One whole picture of who runs on a CPU. */
struct oncpu_slot_copy {
	oncpu_u64 task;	      /* task_struct running */
	oncpu_u64 start_ns;   /* its exec_start, on the scheduler's task clock */
	oncpu_u64 base_ns;    /* total of its instance on this CPU when the slice began */
	oncpu_u64 delay_base; /* likewise for run_delay, less the thread's own */
	oncpu_u64 sum_ns;     /* its sum_exec_runtime when the slice began */
	oncpu_u32 thread;     /* index in the thread table; 0 = not tracked */
	oncpu_u32 instance;   /* slot index + 1; 0 = not tracked, and the rest says nothing */
	oncpu_u64 stolen_ns;  /* booked as stolen on the CPU when the slice began */
	oncpu_u64 padding;
};

/*
 * A latch: copy[seq & 1] is the picture, whole if seq has not moved across the read. The other one
 * is the writer's. Of a switch from nobody of ours to nobody of ours it keeps that there was one,
 * in its first cache line; whatever else it says is of the last switch with one of ours in it.
 */
struct oncpu_slot {
	oncpu_u64 seq;
	oncpu_u64 rq;	    /* address of the CPU's struct rq */
	oncpu_u32 switches; /* the CPU's count of them that is shown here, modulo 2^32; written
			       after the picture */
	oncpu_u32 instance; /* the picture's, for its writer */
	oncpu_s64 d_now;    /* smallest ktime − rq clock in this window, and in the one before */
	oncpu_s64 d_before;
	oncpu_u64 d_window;    /* begin of the window */
	oncpu_u32 hook_lag_ns; /* least delay from the clock's update to the hook; calibrated by the
				  agent */
	oncpu_u32 handed_over; /* by the agent: the switch is the array's program's, not the stub's
				  own */
	oncpu_u32 d_samples;   /* in this window */
	oncpu_u32 d_slew;      /* ns by which the two clocks drift apart in 2^29 ns */
	struct oncpu_slot_copy copy[2];
	oncpu_u64 anchor_ns; /* where the clocks stood when their drift was last measured */
	oncpu_s64 anchor_d;
	oncpu_s64 d_moved; /* from the window before the last one to that */
	oncpu_u32 d_good;  /* the last window had samples enough */
	oncpu_u32 reserved;
	oncpu_u64 padding[4];
};

struct oncpu_control {
	oncpu_u32 abi_version;
	oncpu_u32 max_instances;
	oncpu_u32 max_threads;
	oncpu_u32 cpus;
	oncpu_u32 pid_max;
	oncpu_u32 pattern_count;
	oncpu_u64 heartbeat_ns; /* the agent's: processes are stopped for attaching only while fresh
				 */
	oncpu_u64 births;
	oncpu_u32 instance_hint, thread_hint;
	oncpu_u64 last_wake_ns;
	oncpu_u32 adopt_tgid; /* iterator argument: the process tree to adopt, 0 = cgroups */
	oncpu_u32 adopt_instance;
	oncpu_u32 ring_bytes;
	oncpu_u32 where;	     /* enum oncpu_where_watch */
	oncpu_u32 symbol_generation; /* of the programs at symbols, the one in charge */
	oncpu_u32 reserved;
	oncpu_u64 switch_identity; /* of the pinned stub's program: agent/kern/handover.c */
	oncpu_u64 mark_identity;   /* of the program in charge of marks */
	oncpu_u64 padding[4];
};

enum oncpu_where_watch {
	ONCPU_WHERE_OFF = 0,
	ONCPU_WHERE_BEGINNING = 1, /* the hooks come, what lives already is being looked at */
	ONCPU_WHERE_ON = 2
};

/* Key of an object file as the kernel names it; a pinned uprobe keeps the inode alive. */
struct oncpu_object {
	oncpu_u64 device;
	oncpu_u64 inode;
};

#define ONCPU_HEARTBEAT_FRESH_NS 1000000000ull
#define ONCPU_WAKE_EVERY_NS 5000000ull /* the ring wakes its reader at most this often */

struct oncpu_request {
	oncpu_u32 tgid;
	oncpu_u32 stopped;
	oncpu_u64 site;
	oncpu_u64 uid;
	oncpu_u32 threads; /* of the process; more than 1 in a tree: adopt the others */
	oncpu_u32 tree;
	struct oncpu_object object;
};

enum oncpu_call_op {
	ONCPU_CALL_CREATE =
		1, /* cgroup_id, function, status, root (see mark_number) → uid, time_ns */
	ONCPU_CALL_BOUNDARY = 2, /* uid, kind, id, status, root (see mark_number) */
	ONCPU_CALL_RELEASE = 3,	 /* uid */
	ONCPU_CALL_CGROUP =
		4,	      /* cgroup_id belongs to root: known before the first process enters */
	ONCPU_CALL_READ = 5,  /* uid → total_ns, time_ns; no event */
	ONCPU_CALL_FINISH = 6 /* uid, whose EXIT was lost: says it again */
};

/* Argument of the boundary program (BPF_PROG_TEST_RUN with ctx_in). Answer: retval, uid, and of
 * BOUNDARY and READ total_ns (K) and time_ns. */
struct oncpu_call {
	oncpu_u32 op;
	oncpu_u32 kind;
	oncpu_u64 uid;
	union {
		oncpu_u64 cgroup_id;
		oncpu_u64 time_ns; /* CLOCK_MONOTONIC of the reading */
	};
	union {
		oncpu_u64 root;
		oncpu_u64 total_ns;
	};
	oncpu_s32 status;
	oncpu_u32 id_len;
	oncpu_u32 holder;
	oncpu_s32 result;
	char function[ONCPU_NAME_LEN];
	union {
		char id[ONCPU_ID_LEN];
		struct { /* of READ, besides total_ns and time_ns */
			oncpu_u64 bound_ns;
			oncpu_u32 running; /* threads on a CPU: their sums are extrapolated */
			oncpu_s32 threads; /* whose last switch has not come yet */
		} reading;
	};
};

/* Cookie of a configured symbol's uprobe: which argument is what. One byte each. */
#define ONCPU_COOKIE(kind, id_arg, name_arg, status_arg, name_index)                               \
	((oncpu_u64)(kind) | (oncpu_u64)((id_arg)&0xff) << 8 |                                     \
	 (oncpu_u64)((name_arg)&0xff) << 16 | (oncpu_u64)((status_arg)&0xff) << 24 |               \
	 (oncpu_u64)(name_index) << 32)

#ifdef __cplusplus
#define ONCPU_ASSERT(c, m) static_assert(c, m)
#else
#define ONCPU_ASSERT(c, m) _Static_assert(c, m)
#endif
ONCPU_ASSERT(sizeof(struct oncpu_event) == 312, "five cache lines with the ring's header");
ONCPU_ASSERT(__builtin_offsetof(struct oncpu_event, function) == ONCPU_EVENT_BRIEF,
	     "two cache lines with the ring's header");
ONCPU_ASSERT(sizeof(struct oncpu_thread) == 64, "one cache line");
ONCPU_ASSERT(sizeof(struct oncpu_total) == 64, "one cache line");
ONCPU_ASSERT(sizeof(struct oncpu_where) == 64, "one cache line");
ONCPU_ASSERT(sizeof(struct oncpu_irq) == 64, "one cache line");
ONCPU_ASSERT(sizeof(struct oncpu_instance) == 216, "pinned ABI");
ONCPU_ASSERT(sizeof(struct oncpu_slot_copy) == 64, "one cache line");
ONCPU_ASSERT(sizeof(struct oncpu_slot) == 256, "four cache lines");
ONCPU_ASSERT(sizeof(struct oncpu_call) == 176, "pinned ABI");

/* The hello: prctl(PR_SET_NAME, same name, ONCPU_HELLO_MAGIC, number, &struct oncpu_hello).
 * A mark whose number is 1 modulo ONCPU_HELLO_EVERY is made this way instead of at the nop. */
#define ONCPU_HELLO_MAGIC 0x6f6e637075ULL /* "oncpu" */
#define ONCPU_HELLO_EVERY 1024u

struct oncpu_hello {
	oncpu_u32 kind;	      /* enum oncpu_event_kind: START, INVOKE, RESPONSE, END */
	oncpu_s32 status;     /* END only */
	oncpu_u64 site;	      /* address of any mark nop in this object */
	const char *function; /* or NULL */
	const char *id;	      /* or NULL */
};

#endif
