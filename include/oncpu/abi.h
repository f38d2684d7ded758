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

#define ONCPU_ABI_VERSION 1u

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
	ONCPU_EV_INIT = 1,     /* the instance was born or adopted; carries the function, if configured */
	ONCPU_EV_START = 2,    /* receive_start: the first trigger, ends init; carries function and id */
	ONCPU_EV_INVOKE = 3,   /* receive_invoke: a later trigger; carries the id */
	ONCPU_EV_RESPONSE = 4, /* the answer was sent; after_response begins */
	ONCPU_EV_END = 5,      /* report_done; carries status */
	ONCPU_EV_SUSPEND = 6,
	ONCPU_EV_RESUME = 7,
	ONCPU_EV_FREEZE = 8,
	ONCPU_EV_THAW = 9,
	ONCPU_EV_EXIT = 10,  /* the last thread is gone; total_ns is final, uid is never seen again */
	ONCPU_EV_READY = 11, /* init is over, no trigger yet (Runtime API: the first GET next) */
	ONCPU_EV_KIND_COUNT
};

/* oncpu_event.flags */
#define ONCPU_EVF_ADOPTED (1u << 0)	  /* threads existed before they were tracked */
#define ONCPU_EVF_STALE (1u << 1)	  /* a stale slot was put right from rq->curr */
#define ONCPU_EVF_TORN (1u << 2)	  /* a slot could not be read whole; the bound covers it */
#define ONCPU_EVF_ID_TRUNCATED (1u << 3)  /* the id was longer than ONCPU_ID_LEN */
#define ONCPU_EVF_ID_UNREADABLE (1u << 4) /* the id's memory could not be read */
#define ONCPU_EVF_HELLO (1u << 5)	  /* the mark came as a hello, not through the nop */
#define ONCPU_EVF_HELD (1u << 6)	  /* a holder outside makes the boundaries (measure, slicer) */
#define ONCPU_EVF_TREE (1u << 7)	  /* the instance is a process tree without its own cgroup */
#define ONCPU_EVF_MOVED (1u << 8)	  /* a thread moved in or out since the event before */
#define ONCPU_EVF_UNTRACKED (1u << 9)	  /* thread table full: some CPU is missing from total_ns */
#define ONCPU_EVF_SYMBOL (1u << 10)	  /* made at a configured symbol; has no mark number */
#define ONCPU_EVF_CALL (1u << 11)	  /* made through the boundary program (measure, slicer, API) */
#define ONCPU_EVF_NAME_TRUNCATED (1u << 12)

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
 * running slices included. An account is the signed difference of two totals, so a lost event merges
 * two accounts and loses no time. All the counters are totals since birth too.
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
	oncpu_u64 steal_ns;	/* hypervisor steal seen so far on the instance's CPUs (a level) */
	oncpu_u64 cgroup_id;	/* cgroup v2 id of the instance, 0 for a process tree */
	oncpu_u64 mark_number;	/* number of the mark within its process, from 1; 0 = none */
	oncpu_u32 instance;	/* slot index, reused by later instances */
	oncpu_u32 tgid;		/* process that made the boundary (agent's pid namespace) */
	oncpu_u32 tid;
	oncpu_u32 threads; /* live threads of the instance */
	oncpu_s32 status;  /* enum oncpu_status, or what the mark passed */
	oncpu_u32 id_len;  /* bytes of id in use, 0 = no id */
	char function[ONCPU_NAME_LEN]; /* NUL-terminated, "" = not said */
	char id[ONCPU_ID_LEN];
};

#ifdef __cplusplus
#define ONCPU_ASSERT(c, m) static_assert(c, m)
#else
#define ONCPU_ASSERT(c, m) _Static_assert(c, m)
#endif
ONCPU_ASSERT(sizeof(struct oncpu_event) == 248, "oncpu_event is pinned ABI");
ONCPU_ASSERT(__builtin_offsetof(struct oncpu_event, function) == 120, "oncpu_event is pinned ABI");

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
