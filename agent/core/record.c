// SPDX-License-Identifier: GPL-2.0
/* Names and prose of a record's flags and statuses. Pure tables; append only, as the enums are. */
#include "core/record.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *help;
} flags[RECORD_FLAG_COUNT] = {
#define FLAG(constant, text, prose) [RECORD_FLAG_##constant] = { text, prose }
	FLAG(DONE_WITHOUT_START, "done_without_start",
	     "A report_done came with no invocation open; its CPU stayed in between."),
	FLAG(START_TWICE, "start_twice", "receive_start came again on a started instance."),
	FLAG(START_BEFORE_DONE, "start_before_done",
	     "The next start came before this invocation's done and closed it."),
	FLAG(DONE_TWICE, "done_twice", "report_done came again after this invocation's end."),
	FLAG(ID_REUSED, "id_reused", "This instance has used the invocation id before."),
	FLAG(EXIT_IN_INVOCATION, "exit_in_invocation",
	     "The instance ended in the middle of this invocation."),
	FLAG(CHILD_MARK, "child_mark", "Start and end were marked by different processes."),
	FLAG(THREAD_RACE, "thread_race",
	     "Start and end were marked by different threads of one process."),
	FLAG(OUT_OF_ORDER, "out_of_order", "Events arrived out of order and were sorted."),
	FLAG(EVENTS_LOST, "events_lost",
	     "Event numbers have a gap: accounts were merged, no time was lost."),
	FLAG(MARKS_LOST, "marks_lost", "Mark numbers have a gap: nobody saw those marks."),
	FLAG(AGENT_STARTED_MID, "agent_started_mid",
	     "The agent started inside this invocation or this instance's life."),
	FLAG(ADOPTED, "adopted", "Threads of the instance existed before they were tracked."),
	FLAG(STALE_SLOT, "stale_slot", "A stale slot was put right at a boundary."),
	FLAG(TORN_READ, "torn_read", "A slot could not be read whole; the error bound covers it."),
	FLAG(MOVED, "moved", "A thread moved between instances."),
	FLAG(UNTRACKED_THREADS, "untracked_threads",
	     "The thread table was full: some CPU is missing."),
	FLAG(ID_TRUNCATED, "id_truncated", "The invocation id was longer than 64 bytes."),
	FLAG(ID_UNREADABLE, "id_unreadable", "The invocation id could not be read."),
	FLAG(ID_NOT_TEXT, "id_not_text",
	     "The invocation id has control characters or is not UTF-8; id_hex has its bytes."),
	FLAG(ID_MISSING, "id_missing", "No invocation id was given; one was derived."),
	FLAG(NAME_MISMATCH, "name_mismatch",
	     "The mark named another function than the configuration does."),
	FLAG(NAME_TRUNCATED, "name_truncated", "The function's name was too long and was cut."),
	FLAG(NEGATIVE_SPLIT, "negative_split",
	     "Boundaries crossed: a part came out negative and stays signed in its neighbour."),
	FLAG(INVOKE_WITHOUT_START, "invoke_without_start",
	     "The first trigger was an invoke; init ended there."),
	FLAG(CONTINUES, "continues",
	     "Goes on from an invocation that was ended in the middle of the handler."),
	FLAG(NO_SLOT, "no_slot", "The instance table was full."),
	FLAG(AUDIT_MISMATCH, "audit_mismatch",
	     "The kernel's own total of the instance's cgroup differs from its accounts."),
#undef FLAG
};

const char *record_flag_name(enum record_flag flag)
{
	return (unsigned)flag < RECORD_FLAG_COUNT ? flags[flag].name : NULL;
}

const char *record_flag_help(enum record_flag flag)
{
	return (unsigned)flag < RECORD_FLAG_COUNT ? flags[flag].help : NULL;
}

const char *record_status_name(int32_t status)
{
	static const char *const names[ONCPU_STATUS_COUNT] = {
		[ONCPU_STATUS_OK] = "ok",
		[ONCPU_STATUS_ERROR] = "error",
		[ONCPU_STATUS_TIMEOUT] = "timeout",
		[ONCPU_STATUS_CRASHED] = "crashed",
		[ONCPU_STATUS_SUSPENDED] = "suspended",
	};

	/* A mark may pass any number; what is none of ours is the function's own error code. */
	return status >= 0 && status < ONCPU_STATUS_COUNT ? names[status] : "error";
}
