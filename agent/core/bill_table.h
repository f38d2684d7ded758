/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Groups of records gathered by function (a number of the caller's), key and stretch of time.
 * Memory grows with the number of different keys, which bill_memory_class bounds, never with the
 * number of records.
 */
#ifndef ONCPU_CORE_BILL_TABLE_H
#define ONCPU_CORE_BILL_TABLE_H

#include "core/compare.h"

struct bill_table {
	const struct policies *set; /* borrowed */
	int64_t bucket_minutes;	    /* length of a stretch; 0 = all in one */

	struct bill_group *groups;
	struct bill_owner {
		uint32_t function;
		int64_t bucket;
	} * owners;
	size_t count, room;
	uint32_t *slots; /* hash: index + 1, 0 = free */
	size_t slot_count;
};

void bill_table_init(struct bill_table *table, const struct policies *set, int64_t bucket_minutes);
void bill_table_free(struct bill_table *table);
/* The group, made where there is none; it lives until the next call. 0, -ENOMEM. */
int bill_table_find(struct bill_table *table, uint32_t function, int64_t bucket,
		    const struct bill_key *key, struct bill_group **ret_group);
int bill_table_add_record(struct bill_table *table, uint32_t function,
			  const struct invocation_record *record);
int bill_table_add_close(struct bill_table *table, uint32_t function,
			 const struct instance_record *record);
/* Orders the groups by function, stretch and key; nothing may be added afterwards. */
void bill_table_sort(struct bill_table *table);
/* Of a sorted table: the groups of a function in one stretch, from index `from` on. */
size_t bill_table_run(const struct bill_table *table, size_t from);

int64_t bill_minute(int64_t realtime_ns); /* since the epoch, rounded down */
int64_t bill_table_bucket(const struct bill_table *table, int64_t minute);

#endif
