// SPDX-License-Identifier: GPL-2.0
/*
 * The per-minute roll-up, gathered in memory within a transaction and written when it commits (or
 * when the table is full: more than 768 functions and minutes in one batch).
 * Invariant: after the flush, rollup is the sum over invocations, in every committed state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/internal.h"

#define SLOTS 1024u
#define SLOTS_FULL (SLOTS - SLOTS / 4)

struct rollup_entry {
	bool used;
	int64_t minute, function;
	int64_t first_key, last_key;
	int64_t values[TALLY_COLUMNS];
	struct {
		int64_t policy; /* 0 = none: keys begin at 1 */
		int64_t billed_ns;
	} billed[RECORD_MAX_BILLED];
};

struct rollup {
	unsigned used;
	struct rollup_entry entries[SLOTS];
};

int rollup_new(struct rollup **ret_rollup)
{
	struct rollup *rollup = calloc(1, sizeof(*rollup));

	if (!rollup)
		return -ENOMEM;
	*ret_rollup = rollup;
	return 0;
}

void rollup_free(struct rollup **rollup)
{
	free(*rollup);
	*rollup = NULL;
}

void rollup_clear(struct rollup *rollup)
{
	if (rollup->used)
		memset(rollup, 0, sizeof(*rollup));
}

static struct rollup_entry *find(struct rollup *rollup, int64_t minute, int64_t function)
{
	uint64_t hash = ((uint64_t)minute * 31 + (uint64_t)function) * 0x9e3779b97f4a7c15u;
	struct rollup_entry *entry;

	for (unsigned at = hash >> 54;; at = (at + 1) % SLOTS) {
		entry = &rollup->entries[at];
		if (!entry->used)
			break;
		if (entry->minute == minute && entry->function == function)
			return entry;
	}
	*entry = (struct rollup_entry){ .used = true,
					.minute = minute,
					.function = function,
					.first_key = INT64_MAX,
					.last_key = INT64_MIN };
	rollup->used++;
	return entry;
}

static void add_billed(struct rollup_entry *entry, int64_t policy, int64_t billed_ns)
{
	for (unsigned i = 0; i < RECORD_MAX_BILLED; i++) {
		if (entry->billed[i].policy != policy && entry->billed[i].policy != 0)
			continue;
		entry->billed[i].policy = policy;
		entry->billed[i].billed_ns = tally_add(entry->billed[i].billed_ns, billed_ns);
		return;
	}
}

/* An entry has room for as many policies as a record: a change of policies begins with a flush. */
static bool has_room(const struct rollup_entry *entry, const struct row_keys *keys, unsigned count)
{
	unsigned free_slots = 0, needed = 0;

	for (unsigned i = 0; i < RECORD_MAX_BILLED; i++)
		free_slots += entry->billed[i].policy == 0;
	for (unsigned k = 0; k < count; k++) {
		bool known = false;

		for (unsigned i = 0; i < RECORD_MAX_BILLED; i++)
			known |= entry->billed[i].policy == keys->billed[k];
		needed += !known;
	}
	return needed <= free_slots;
}

static int64_t minute_of(int64_t realtime_ns)
{
	int64_t minute = realtime_ns / NS_PER_MINUTE;

	return realtime_ns % NS_PER_MINUTE < 0 ? minute - 1 : minute;
}

bool rollup_add(struct rollup *rollup, const struct row_keys *keys,
		const struct invocation_record *record)
{
	int64_t values[TALLY_COLUMNS];
	struct rollup_entry *entry;

	if (rollup->used >= SLOTS_FULL)
		return false;
	entry = find(rollup, minute_of(record->end_realtime_ns), keys->function);
	if (!has_room(entry, keys, record->billed_count))
		return false;
	tally_of_record(record, values);
	tally_merge(entry->values, values);
	if (keys->record < entry->first_key)
		entry->first_key = keys->record;
	if (keys->record > entry->last_key)
		entry->last_key = keys->record;
	for (unsigned i = 0; i < record->billed_count; i++)
		add_billed(entry, keys->billed[i], record->billed[i].billed_ns);
	return true;
}

int rollup_upsert_sql(char *buffer, size_t size)
{
	char names[512] = "", updates[1024] = "", marks[128] = "";
	size_t n = 0, u = 0, m = 0;

	for (int i = 0; i < TALLY_COLUMNS; i++) {
		const char *name = tally_names[i];

		n += (size_t)snprintf(names + n, sizeof(names) - n, ",%s", name);
		m += (size_t)snprintf(marks + m, sizeof(marks) - m, ",?%d", i + 5);
		u += (size_t)snprintf(updates + u, sizeof(updates) - u,
				      i == TALLY_MAX_BOUND ? ",%s=max(%s,excluded.%s)"
							   : ",%s=%s+excluded.%s",
				      name, name, name);
	}
	if (n >= sizeof(names) || u >= sizeof(updates) || m >= sizeof(marks))
		return -ENOSPC;
	n = (size_t)snprintf(buffer, size,
			     "INSERT INTO rollup(minute,function,first_key,last_key%s) "
			     "VALUES(?1,?2,?3,?4%s) ON CONFLICT DO UPDATE SET "
			     "first_key=min(first_key,excluded.first_key),"
			     "last_key=max(last_key,excluded.last_key)%s",
			     names, marks, updates);
	return n < size ? 0 : -ENOSPC;
}

static int step_and_reset(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st), again = sqlite3_reset(st);

	return rc == SQLITE_DONE ? SQLITE_OK : again ? again : rc;
}

static int flush_entry(const struct rollup_entry *entry, sqlite3_stmt *sums, sqlite3_stmt *billed)
{
	int rc;

	sqlite3_bind_int64(sums, 1, entry->minute);
	sqlite3_bind_int64(sums, 2, entry->function);
	sqlite3_bind_int64(sums, 3, entry->first_key);
	sqlite3_bind_int64(sums, 4, entry->last_key);
	for (int i = 0; i < TALLY_COLUMNS; i++)
		sqlite3_bind_int64(sums, i + 5, entry->values[i]);
	rc = step_and_reset(sums);
	for (unsigned i = 0; i < RECORD_MAX_BILLED && rc == SQLITE_OK; i++) {
		if (entry->billed[i].policy == 0)
			break;
		sqlite3_bind_int64(billed, 1, entry->minute);
		sqlite3_bind_int64(billed, 2, entry->function);
		sqlite3_bind_int64(billed, 3, entry->billed[i].policy);
		sqlite3_bind_int64(billed, 4, entry->billed[i].billed_ns);
		rc = step_and_reset(billed);
	}
	return rc;
}

int rollup_flush(struct rollup *rollup, sqlite3_stmt *sums, sqlite3_stmt *billed)
{
	for (unsigned i = 0; i < SLOTS && rollup->used; i++) {
		const struct rollup_entry *entry = &rollup->entries[i];
		int rc = entry->used && entry->values[TALLY_COUNT]
				 ? flush_entry(entry, sums, billed)
				 : SQLITE_OK;

		if (rc != SQLITE_OK)
			return rc;
	}
	rollup_clear(rollup);
	return SQLITE_OK;
}
