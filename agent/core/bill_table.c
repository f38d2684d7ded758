// SPDX-License-Identifier: GPL-2.0
/* A hash of groups in one growing array. See bill_table.h. */
#include "core/bill_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MINUTE 60000000000ll

void bill_table_init(struct bill_table *table, const struct policies *set, int64_t bucket_minutes)
{
	memset(table, 0, sizeof(*table));
	table->set = set;
	table->bucket_minutes = bucket_minutes;
}

void bill_table_free(struct bill_table *table)
{
	free(table->groups);
	free(table->owners);
	free(table->slots);
	memset(table, 0, sizeof(*table));
}

static size_t slot_of(const struct bill_table *t, uint32_t function, int64_t bucket,
		      const struct bill_key *key)
{
	uint64_t hash = (bill_key_hash(key) ^ function) * 0x9e3779b97f4a7c15u;
	size_t at;

	hash = (hash ^ (uint64_t)bucket) * 0x9e3779b97f4a7c15u;
	for (at = (hash >> 20) % t->slot_count; t->slots[at]; at = (at + 1) % t->slot_count) {
		const struct bill_owner *owner = &t->owners[t->slots[at] - 1];

		if (owner->function == function && owner->bucket == bucket &&
		    bill_key_equal(&t->groups[t->slots[at] - 1].key, key))
			break;
	}
	return at;
}

static int grow(struct bill_table *t)
{
	size_t room = t->room ? 2 * t->room : 32;
	void *groups = reallocarray(t->groups, room, sizeof(*t->groups)), *owners;
	uint32_t *slots;

	if (groups)
		t->groups = groups;
	owners = reallocarray(t->owners, room, sizeof(*t->owners));
	if (owners)
		t->owners = owners;
	slots = calloc(2 * room, sizeof(*slots));
	if (!groups || !owners || !slots) {
		free(slots);
		return -ENOMEM;
	}
	free(t->slots);
	t->slots = slots;
	t->slot_count = 2 * room;
	t->room = room;
	for (size_t i = 0; i < t->count; i++)
		slots[slot_of(t, t->owners[i].function, t->owners[i].bucket, &t->groups[i].key)] =
			(uint32_t)i + 1;
	return 0;
}

int bill_table_find(struct bill_table *t, uint32_t function, int64_t bucket,
		    const struct bill_key *key, struct bill_group **ret_group)
{
	size_t slot;
	int err;

	if (t->count == t->room) {
		err = grow(t);
		if (err)
			return err;
	}
	slot = slot_of(t, function, bucket, key);
	if (!t->slots[slot]) {
		t->owners[t->count] = (struct bill_owner){ .function = function, .bucket = bucket };
		bill_group_begin(&t->groups[t->count], key);
		t->slots[slot] = (uint32_t)++t->count;
	}
	*ret_group = &t->groups[t->slots[slot] - 1];
	return 0;
}

static int64_t round_down(int64_t value, int64_t unit)
{
	int64_t rest = value % unit;

	return value / unit - (rest < 0);
}

int64_t bill_minute(int64_t realtime_ns)
{
	return round_down(realtime_ns, NS_PER_MINUTE);
}

int64_t bill_table_bucket(const struct bill_table *table, int64_t minute)
{
	return table->bucket_minutes ? round_down(minute, table->bucket_minutes) : 0;
}

int bill_table_add_record(struct bill_table *t, uint32_t function,
			  const struct invocation_record *record)
{
	int64_t bucket = bill_table_bucket(t, bill_minute(record->end_realtime_ns));
	struct bill_key key = bill_key_of_record(record);
	struct bill_group *group;
	int err = bill_table_find(t, function, bucket, &key, &group);

	if (!err)
		bill_group_add_record(group, t->set, record);
	return err;
}

int bill_table_add_close(struct bill_table *t, uint32_t function,
			 const struct instance_record *record)
{
	static const struct bill_key unknown = BILL_KEY_UNKNOWN;
	int64_t bucket = bill_table_bucket(t, bill_minute(record->end_realtime_ns));
	struct bill_group *group;
	int err = bill_table_find(t, function, bucket, &unknown, &group);

	if (!err)
		bill_group_add_close(group, t->set, record);
	return err;
}

static int order(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_groups(const void *a, const void *b, void *table)
{
	const struct bill_table *t = table;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	const struct bill_key *left = &t->groups[i].key, *right = &t->groups[k].key;
	int result = order(t->owners[i].function, t->owners[k].function);

	result = result ? result : order(t->owners[i].bucket, t->owners[k].bucket);
	result = result ? result : order(left->memory_mb, right->memory_mb);
	result = result ? result : order(left->vcpu_milli, right->vcpu_milli);
	result = result ? result : order(left->used_mb, right->used_mb);
	return result ? result : order(left->no_cpu, right->no_cpu);
}

/* Puts each group where the order says, round each cycle of moves: no second array is needed. */
void bill_table_sort(struct bill_table *t)
{
	uint32_t *from = t->slots; /* of twice as many, and not needed any more */

	for (size_t i = 0; i < t->count; i++)
		from[i] = (uint32_t)i;
	if (t->count)
		qsort_r(from, t->count, sizeof(*from), compare_groups, t);
	for (size_t i = 0; i < t->count; i++) {
		struct bill_group first = t->groups[i];
		struct bill_owner owner = t->owners[i];
		size_t hole = i;

		while (from[hole] != i) {
			size_t next = from[hole];

			t->groups[hole] = t->groups[next];
			t->owners[hole] = t->owners[next];
			from[hole] = (uint32_t)hole;
			hole = next;
		}
		t->groups[hole] = first;
		t->owners[hole] = owner;
		from[hole] = (uint32_t)hole;
	}
}

size_t bill_table_run(const struct bill_table *t, size_t from)
{
	size_t at = from;

	while (at < t->count && t->owners[at].function == t->owners[from].function &&
	       t->owners[at].bucket == t->owners[from].bucket)
		at++;
	return at - from;
}
