/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of one instance as a state machine. Pure: events in their order, records out.
 *
 *   phase        open account     START/INVOKE          RESPONSE   END        SUSPEND     EXIT
 *   NOTHING      init             opens¹                unmatched  unmatched  unmatched   closes
 *   INIT         init             opens, ends init      unmatched  D          unmatched   closes
 *   BETWEEN      between          opens                 unmatched  D or T     unmatched   closes
 *   INVOCATION   invocation       closes (S), opens     AFTER      closes     closes      crashed
 *   AFTER        after_response   closes (S), opens     unmatched  closes     closes      crashed
 *
 *   ¹ the agent came in mid-life; D done_without_start, T done_twice, S start_before_done.
 *   READY ends INIT or NOTHING; FREEZE … THAW lays the freeze account over whichever is open;
 * RESUME changes nothing, the trigger that follows opens. Out of place, each is unmatched. So is a
 * mark of a held instance's own program (its holder makes the boundaries), and a RESPONSE or END
 * (D) that names another id than the open one. A thaw among lost events shows at the next boundary
 * that nobody reaches frozen.
 *
 * What is unmatched is counted in the instance's closing record; what has a flag, too, is flagged
 * on the open record, or on the next one where none is open, and always on the closing record.
 *
 * Accounts are signed differences of totals: Σ accounts = the last total, whatever came or did not.
 */
#ifndef ONCPU_CORE_MACHINE_H
#define ONCPU_CORE_MACHINE_H

#include "core/audit.h"
#include "core/correlate.h"

enum account {
	ACCOUNT_INIT,
	ACCOUNT_INVOCATION,
	ACCOUNT_AFTER,
	ACCOUNT_BETWEEN,
	ACCOUNT_FREEZE,
	ACCOUNTS
};
enum phase { PHASE_NOTHING, PHASE_INIT, PHASE_BETWEEN, PHASE_INVOCATION, PHASE_AFTER };
enum { MACHINE_PROCESSES = 8, MACHINE_IDS = 16 };

struct part {
	int64_t wall_ns, cpu_ns;
};

/* Marks of one process: numbers are its own, from 1. */
struct process_marks {
	uint64_t base, highest, seen, reported;
	uint32_t tgid;
	uint32_t used;		       /* larger = more recently */
	uint32_t first_seen, reserved; /* number 1 was there in this count */
};

/* Everything that is known of an instance; fixed width and zeroed: it is stored as it stands. */
struct machine {
	uint64_t uid, cgroup_id;
	uint64_t next_n; /* number of the next event */
	uint64_t last_time_ns, born_ns;
	int64_t last_total_ns;
	uint32_t phase, frozen;
	uint64_t flags_open, flags_next, flags_life;
	struct part parts[ACCOUNTS]; /* since the last record, by account */
	int64_t sums_cpu_ns[ACCOUNTS];
	int64_t freeze_count;
	int64_t init_wall_ns,
		init_cpu_ns; /* waiting for the first record; −1 = given, or not known */
	int64_t invocations, unmatched, events_lost, marks_lost;
	int64_t events_lost_open, marks_lost_open;
	/* the open invocation's start */
	uint64_t start_time_ns, start_bound_ns, start_delay_ns, start_voluntary, start_involuntary;
	uint64_t start_steal_ns, start_irq_ns, start_flags;
	uint64_t start_where_ns[ONCPU_WHERE_COUNT], start_has_where;
	uint32_t start_tgid, start_tid, id_len, suspended_len;
	uint64_t id_hashes[MACHINE_IDS];
	struct process_marks processes[MACHINE_PROCESSES];
	uint32_t processes_clock, threads;
	struct audit_book audit;
	/* where the books were last known to agree: records given by then, of the host and of it */
	uint64_t clean_sequence;
	int64_t clean_invocations;
	uint8_t cold, sorted; /* sorted: some event that is held came too early */
	uint16_t memory_mb;   /* as its holder says; 0 = it does not */
	uint32_t quota_us;    /* of a period of 100 ms, likewise */
	uint64_t peak_bytes;  /* most memory, as its holder said last; 0 = it does not */
	uint32_t segment_count, extension_count;
	struct record_segment segments[RECORD_MAX_SEGMENTS];
	struct record_extension extensions[RECORD_MAX_EXTENSIONS]; /* of the open invocation */
	char id[ONCPU_ID_LEN], suspended[ONCPU_ID_LEN];
	char function[ONCPU_NAME_LEN];
};

/* Takes the next event in order; gives records to the correlator's sinks. True if the instance is
 * over. */
bool machine_step(struct machine *m, const struct oncpu_event *e, struct correlator *c);
/* `count` events before the next one will never come. */
void machine_lose(struct machine *m, uint64_t count);
void machine_note(struct machine *m, enum record_flag flag);
void machine_name(const struct machine *m, const struct correlator_config *config, char *buffer,
		  size_t size);

/* Of the correlator, for the machine. */
const struct correlator_config *correlator_settings(const struct correlator *c);
void correlator_give_invocation(struct correlator *c, struct invocation_record *record);
void correlator_give_instance(struct correlator *c, struct instance_record *record);
void correlator_count_unmatched(struct correlator *c);

#endif
