/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two records that oncpu keeps: oncpu.invocation/1 and oncpu.instance/1, as C structs.
 *
 * Plain values without pointers, so that a record can be copied, stored and compared. All times are
 * integer nanoseconds. `*_realtime_ns` are CLOCK_REALTIME (ns since the epoch), everything else is
 * a duration or a count. Written as JSON by record_json.h, stored by agent/ledger.
 */
#ifndef ONCPU_CORE_RECORD_H
#define ONCPU_CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "oncpu/abi.h"

#define RECORD_HOST_LEN 65     /* host name bytes, NUL included */
#define RECORD_BOOT_LEN 33     /* boot id, 32 hex digits + NUL */
#define RECORD_INSTANCE_LEN 96 /* instance name, NUL included */
#define RECORD_VERSION_LEN 32

/*
 * Flags of a record: why a number in it is less than perfect, or which irregular order was seen.
 * Each has one name (record_flag_name) and one line of prose (record_flag_help); append only.
 */
enum record_flag {
	RECORD_FLAG_DONE_WITHOUT_START, /* a report_done with no invocation open: its CPU stayed in
					   between */
	RECORD_FLAG_START_TWICE,	/* receive_start came again on a started instance */
	RECORD_FLAG_START_BEFORE_DONE,	/* the next start came before done: closed by it */
	RECORD_FLAG_DONE_TWICE,		/* report_done came again after this invocation's end */
	RECORD_FLAG_ID_REUSED,		/* the id was used before by this instance */
	RECORD_FLAG_EXIT_IN_INVOCATION, /* the instance ended in mid-invocation */
	RECORD_FLAG_CHILD_MARK,		/* start and end came from different processes */
	RECORD_FLAG_THREAD_RACE,  /* start and end came from different threads of one process */
	RECORD_FLAG_OUT_OF_ORDER, /* events arrived out of order and were sorted */
	RECORD_FLAG_EVENTS_LOST,  /* a gap in the event numbers: accounts merged, no time lost */
	RECORD_FLAG_MARKS_LOST,	  /* a gap in the mark numbers: marks nobody saw */
	RECORD_FLAG_AGENT_STARTED_MID, /* the agent started inside this invocation or instance's
					  life */
	RECORD_FLAG_ADOPTED,	       /* threads existed before they were tracked */
	RECORD_FLAG_STALE_SLOT,	       /* a stale slot was put right at a boundary */
	RECORD_FLAG_TORN_READ,	       /* a slot could not be read whole; the bound covers it */
	RECORD_FLAG_MOVED,	       /* a thread moved between instances */
	RECORD_FLAG_UNTRACKED_THREADS, /* thread table full: some CPU is missing */
	RECORD_FLAG_ID_TRUNCATED,      /* the id was longer than 64 bytes */
	RECORD_FLAG_ID_UNREADABLE,     /* the id could not be read */
	RECORD_FLAG_ID_NOT_TEXT, /* the id has control characters or is not UTF-8 (escaped in JSON)
				  */
	RECORD_FLAG_ID_MISSING,	 /* no id was given; one was derived */
	RECORD_FLAG_NAME_MISMATCH, /* the mark named another function than the configuration */
	RECORD_FLAG_NAME_TRUNCATED,
	RECORD_FLAG_NEGATIVE_SPLIT, /* concurrent boundaries crossed: a part came out negative, kept
				       signed in the neighbour */
	RECORD_FLAG_INVOKE_WITHOUT_START, /* the first trigger was an invoke: init ended there */
	RECORD_FLAG_CONTINUES,		  /* goes on from an invocation ended in mid-handler */
	RECORD_FLAG_NO_SLOT,		  /* reserved: instance table full */
	RECORD_FLAG_AUDIT_MISMATCH,	  /* the kernel's own total of the cgroup says otherwise */
	RECORD_FLAG_COUNT
};

struct record_segment {
	int64_t wall_ns;
	int64_t cpu_ns;
};

struct record_extension {
	int64_t cpu_ns; /* of its process, within this invocation; a part of cpu_ns */
	char name[ONCPU_ID_LEN];
	uint32_t name_len, reserved;
};
#define RECORD_MAX_EXTENSIONS 10

struct record_billed {
	char policy[24]; /* policy name */
	uint32_t version;
	int64_t billed_ns; /* billed time; a multiple of the policy's granularity */
};
#define RECORD_MAX_BILLED 4
#define RECORD_MAX_SEGMENTS 8 /* what is more is added to the last */

/* Where the wall time went, the instance's threads taken together: the parts add up to wall_ns
 * exactly. All of them are -1 where it was not measured throughout. */
struct record_where {
	int64_t running_ns;    /* a thread was on a CPU */
	int64_t run_queue_ns;  /* none, but one was ready */
	int64_t throttled_ns;  /* likewise, and each that was ready sat out a CPU quota */
	int64_t blocked_io_ns; /* none was ready, one slept uninterruptibly */
	int64_t idle_ns;       /* none of these */
	int64_t frozen_ns;     /* the instance was frozen */
};

/* Its place in the host's chain of records (core/seal.h). position 0: it has none. */
struct record_seal {
	uint64_t position;
	uint8_t previous[32], hash[32];
};

/* What was found out when the record was stored already: flag audit_mismatch, which its seal does
 * not cover. Told by the ledger. cause "": nothing. */
struct record_doubt {
	int64_t difference_ns; /* of the stretch of records in doubt, together */
	char cause[120];
};

/* oncpu.invocation/1. Unknown optional numbers are -1 (JSON null). */
struct invocation_record {
	uint64_t sequence; /* 1, 2, 3 … per host and boot; record_id = host, boot id, sequence */
	char host[RECORD_HOST_LEN];
	char boot_id[RECORD_BOOT_LEN];
	char function[ONCPU_NAME_LEN];
	char instance[RECORD_INSTANCE_LEN];
	char version[RECORD_VERSION_LEN];
	char id[ONCPU_ID_LEN]; /* raw bytes, id_len of them */
	uint32_t id_len;
	char continues[ONCPU_ID_LEN];
	uint32_t continues_len; /* 0 = JSON null */
	int32_t status;		/* enum oncpu_status */
	bool cold_start;
	uint64_t flags; /* bit per enum record_flag */

	int64_t start_realtime_ns, end_realtime_ns;
	int64_t wall_ns, cpu_ns; /* start to end: invocation and after_response together */
	int64_t cpu_error_bound_ns;
	int64_t init_wall_ns,
		init_cpu_ns; /* first record of an instance, else -1 (JSON null object) */
	int64_t after_response_wall_ns, after_response_cpu_ns;
	int64_t between_wall_ns, between_cpu_ns;
	int64_t freeze_count, freeze_wall_ns, freeze_cpu_ns;
	int64_t run_queue_ns;
	int64_t voluntary, involuntary; /* context switches from start to end */
	int64_t threads;		/* live threads at end */
	int64_t memory_mb, max_memory_bytes, quota_us, period_us;
	int64_t marks_lost;  /* marks nobody saw within this record, 0 = none */
	int64_t events_lost; /* gap in the event numbers within this record */
	struct record_where where;
	int64_t steal_ns;   /* what the hypervisor took of the instance's CPUs; in no bill */
	int64_t irq_ns;	    /* what interrupts took out of its slices */
	int64_t cpu_net_ns; /* cpu_ns without it */
	uint32_t billed_count;
	struct record_billed billed[RECORD_MAX_BILLED];
	/* the stretches awake, where the invocation was frozen on its own wish (suspend until);
	 * their CPU adds up to cpu_ns, their wall time is what is billed. 0 = it was never frozen.
	 */
	uint32_t segment_count;
	struct record_segment segments[RECORD_MAX_SEGMENTS];
	uint32_t extension_count; /* external extensions, where the holder tells */
	struct record_extension extensions[RECORD_MAX_EXTENSIONS];
	struct record_seal seal; /* given by the ledger */
	struct record_doubt doubt;
};

/* oncpu.instance/1: the closing record of an instance, so that the law can be checked from the
 * ledger alone: init + invocations + freeze + between + last_between = total. */
struct instance_record {
	uint64_t sequence;
	char host[RECORD_HOST_LEN];
	char boot_id[RECORD_BOOT_LEN];
	char function[ONCPU_NAME_LEN];
	char instance[RECORD_INSTANCE_LEN];
	uint64_t uid;
	uint64_t cgroup_id;
	uint64_t flags;
	int64_t start_realtime_ns, end_realtime_ns;
	int64_t total_cpu_ns; /* K at exit */
	int64_t init_cpu_ns, invocations_cpu_ns, freeze_cpu_ns,
		between_cpu_ns;				   /* sums; between includes the last */
	int64_t last_between_wall_ns, last_between_cpu_ns; /* after its last invocation */
	int64_t invocations;
	int64_t unmatched; /* boundaries that fitted no state */
	int64_t events_lost, marks_lost;
	/* against the kernel's own total of the cgroup; 0 audits: it was never compared */
	int64_t audits, audit_mismatches;
	int64_t audit_difference_ns; /* of the last one: K − kernel, where the intervals part */
	int64_t audit_worst_ns;	     /* of all of them, by size */
	struct record_seal seal;     /* given by the ledger */
};

/* Name ("done_without_start") and one line of prose for a flag; NULL outside the range. */
const char *record_flag_name(enum record_flag flag);
const char *record_flag_help(enum record_flag flag);
/* "ok", "error", "timeout", "crashed", "suspended". */
const char *record_status_name(int32_t status);

#endif
