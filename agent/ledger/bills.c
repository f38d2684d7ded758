// SPDX-License-Identifier: GPL-2.0
/*
 * The per-minute roll-up of billed times: per minute, function and bill_key the sums of what rules
 * count, and of what each rule of the agent's policies bills. Prices and sizes of memory come in
 * when it is read, so a changed price needs no new sums; a rule that was not among the agent's when
 * a segment was written is summed from its rows (bills_read.c).
 *
 * Gathered in memory within a transaction and written when it commits, or when the table is full.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/bills.h"

#define SLOTS 512u
#define SLOTS_FULL (SLOTS - SLOTS / 4)

const char *const bill_time_columns[BILL_TIMES] = {
	[BILL_AWAKE] = "awake_ns",
	[BILL_USED_CPU] = "cpu_ns",
	[BILL_INIT_WALL] = "init_wall_ns",
	[BILL_INIT_CPU] = "init_cpu_ns",
	[BILL_RESTORE] = "restore_ns",
	[BILL_AFTER_WALL] = "after_response_wall_ns",
	[BILL_AFTER_CPU] = "after_response_cpu_ns",
	[BILL_BETWEEN_WALL] = "between_wall_ns",
	[BILL_BETWEEN_CPU] = "between_cpu_ns",
	[BILL_FREEZE_WALL] = "freeze_wall_ns",
	[BILL_LAST_WALL] = "last_wall_ns",
};

struct bill_entry {
	bool used;
	int64_t minute, function;
	struct bill_group group;
};

struct bills {
	const struct policies *set;
	int64_t rule_set; /* its key in the segment, 0 = not looked up yet */
	unsigned used;
	struct bill_entry entries[SLOTS];
};

int bills_new(const struct policies *set, struct bills **ret_bills)
{
	struct bills *bills = calloc(1, sizeof(*bills));

	if (!bills)
		return -ENOMEM;
	bills->set = set;
	*ret_bills = bills;
	return 0;
}

void bills_free(struct bills **bills)
{
	free(*bills);
	*bills = NULL;
}

void bills_clear(struct bills *bills)
{
	bills->rule_set = 0;
	for (unsigned i = 0; i < SLOTS && bills->used; i++)
		bills->entries[i].used = false;
	bills->used = 0;
}

void bills_rule_set_text(const struct policies *set, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (unsigned i = 0; i < set->rule_count && i < BILLS_RULES && used + 1 < size; i++) {
		char text[BILL_RULE_TEXT_LEN];

		bill_rule_text(&set->rules[i], text, sizeof(text));
		used += (size_t)snprintf(buffer + used, size - used, "%s\n", text);
	}
}

static struct bill_group *find(struct bills *bills, int64_t minute, int64_t function,
			       const struct bill_key *key)
{
	uint64_t hash = bill_key_hash(key) ^ ((uint64_t)minute * 31 + (uint64_t)function);
	struct bill_entry *entry;

	hash *= 0x9e3779b97f4a7c15u;
	for (unsigned at = (hash >> 32) % SLOTS;; at = (at + 1) % SLOTS) {
		entry = &bills->entries[at];
		if (!entry->used)
			break;
		if (entry->minute == minute && entry->function == function &&
		    bill_key_equal(&entry->group.key, key))
			return &entry->group;
	}
	if (bills->used >= SLOTS_FULL)
		return NULL;
	entry->used = true;
	entry->minute = minute;
	entry->function = function;
	bill_group_begin(&entry->group, key);
	bills->used++;
	return &entry->group;
}

bool bills_add(struct bills *bills, int64_t function, const struct invocation_record *record)
{
	struct bill_key key = bill_key_of_record(record);
	struct bill_group *group =
		find(bills, bill_minute(record->end_realtime_ns), function, &key);

	if (group)
		bill_group_add_record(group, bills->set, record);
	return group != NULL;
}

bool bills_add_close(struct bills *bills, int64_t function, const struct instance_record *record)
{
	static const struct bill_key unknown = BILL_KEY_UNKNOWN;
	struct bill_group *group =
		find(bills, bill_minute(record->end_realtime_ns), function, &unknown);

	if (group)
		bill_group_add_close(group, bills->set, record);
	return group != NULL;
}

int bills_upsert_sql(char *buffer, size_t size)
{
	char names[1024] = "", updates[3072] = "", marks[256] = "";
	size_t n = 0, u = 0, m = 0;

	for (int i = 0; i < BILL_TIMES + BILLS_RULES; i++) {
		char name[32];

		if (i < BILL_TIMES)
			snprintf(name, sizeof(name), "%s", bill_time_columns[i]);
		else
			snprintf(name, sizeof(name), "billed%d_ns", i - BILL_TIMES);
		n += (size_t)snprintf(names + n, sizeof(names) - n, ",%s", name);
		m += (size_t)snprintf(marks + m, sizeof(marks) - m, ",?%d", i + 10);
		u += (size_t)snprintf(updates + u, sizeof(updates) - u, ",%s=%s+excluded.%s", name,
				      name, name);
		if (n >= sizeof(names) || u >= sizeof(updates) || m >= sizeof(marks))
			return -ENOSPC;
	}
	n = (size_t)snprintf(buffer, size,
			     "INSERT INTO bills(minute,function,rule_set,memory_mb,used_mb,"
			     "vcpu_milli,count,first_ns,last_ns%s) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
			     "?9%s) ON CONFLICT DO UPDATE SET count=count+excluded.count,"
			     "first_ns=min(first_ns,excluded.first_ns),"
			     "last_ns=max(last_ns,excluded.last_ns)%s",
			     names, marks, updates);
	return n < size ? 0 : -ENOSPC;
}

static int step_and_reset(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st), again = sqlite3_reset(st);

	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : again ? again : rc;
}

/* The set's key in the segment being written. */
static int find_rule_set(struct bills *bills, sqlite3_stmt *add, sqlite3_stmt *find_set)
{
	char text[BILLS_RULE_SET_LEN];
	int rc, again;

	bills_rule_set_text(bills->set, text, sizeof(text));
	sqlite3_bind_text(add, 1, text, -1, SQLITE_STATIC);
	sqlite3_bind_text(find_set, 1, text, -1, SQLITE_STATIC);
	rc = step_and_reset(add);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(find_set);
		if (rc == SQLITE_ROW)
			bills->rule_set = sqlite3_column_int64(find_set, 0);
		again = sqlite3_reset(find_set);
		rc = rc == SQLITE_ROW ? SQLITE_OK : again ? again : SQLITE_CORRUPT;
	}
	sqlite3_clear_bindings(add);
	sqlite3_clear_bindings(find_set);
	return rc;
}

static int flush_entry(const struct bills *bills, const struct bill_entry *entry, sqlite3_stmt *st)
{
	const struct bill_group *g = &entry->group;

	sqlite3_bind_int64(st, 1, entry->minute);
	sqlite3_bind_int64(st, 2, entry->function);
	sqlite3_bind_int64(st, 3, bills->rule_set);
	sqlite3_bind_int64(st, 4, g->key.memory_mb);
	sqlite3_bind_int64(st, 5, g->key.used_mb);
	sqlite3_bind_int64(st, 6, g->key.vcpu_milli);
	sqlite3_bind_int64(st, 7, (int64_t)g->count);
	sqlite3_bind_int64(st, 8, g->first_ns);
	sqlite3_bind_int64(st, 9, g->last_ns);
	for (int i = 0; i < BILL_TIMES; i++)
		sqlite3_bind_int64(st, i + 10, g->times[i]);
	for (int i = 0; i < BILLS_RULES; i++)
		sqlite3_bind_int64(st, i + 10 + BILL_TIMES, g->billed[i]);
	return step_and_reset(st);
}

int bills_flush(struct bills *bills, sqlite3_stmt *upsert, sqlite3_stmt *add_set,
		sqlite3_stmt *find_set)
{
	int rc = SQLITE_OK;

	if (bills->used && !bills->rule_set)
		rc = find_rule_set(bills, add_set, find_set);
	for (unsigned i = 0; i < SLOTS && bills->used && rc == SQLITE_OK; i++)
		if (bills->entries[i].used)
			rc = flush_entry(bills, &bills->entries[i], upsert);
	if (rc == SQLITE_OK) {
		int64_t rule_set = bills->rule_set;

		bills_clear(bills);
		bills->rule_set = rule_set;
	}
	return rc;
}
