/* SPDX-License-Identifier: GPL-2.0 */
/* What the ledger's tests share: a fresh directory, records made from a number, and collectors. */
#ifndef ONCPU_TESTS_LEDGER_FIXTURE_H
#define ONCPU_TESTS_LEDGER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/billing.h"
#include "ledger/internal.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define SECOND 1000000000ll
#define T0 (1769860800 * SECOND) /* 2026-01-31T12:00:00Z, a whole hour */

static inline int make_directory(void **state)
{
	char template[] = "/tmp/oncpu-ledger-XXXXXX";

	*state = strdup(mkdtemp(template));
	return *state ? 0 : -1;
}

static inline int remove_directory(void **state)
{
	struct dirent *entry;
	DIR *dir;

	umount2(*state, MNT_DETACH); /* what a failed test of a full disk left mounted */
	dir = opendir(*state);
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(*state);
	free(*state);
	return 0;
}

static inline struct ledger *open_ledger(const char *directory, bool *ret_set_aside)
{
	struct ledger_config config = { .directory = directory };
	struct ledger *l = NULL;
	bool set_aside = false;
	int r = ledger_open(&config, &l, &set_aside);

	if (r < 0)
		fail_msg("ledger_open: %d %s", r, ledger_error());
	if (ret_set_aside)
		*ret_set_aside = set_aside;
	return l;
}

/* Ends `sequence` seconds after T0, unless the caller changes it; every field differs. */
static inline struct invocation_record make_record(uint64_t sequence, const char *function)
{
	int64_t s = (int64_t)sequence;
	struct invocation_record r = {
		.sequence = sequence,
		.host = "node-7",
		.boot_id = BOOT,
		.version = "$LATEST",
		.status = (int32_t)(sequence % ONCPU_STATUS_COUNT),
		.cold_start = sequence % 3 == 0,
		.flags = sequence % 4 == 0 ? 1ull << RECORD_FLAG_MOVED : 0,
		.start_realtime_ns = T0 + s * SECOND - 51234567,
		.end_realtime_ns = T0 + s * SECOND,
		.wall_ns = 51234567 + s,
		.cpu_ns = 3201456 + s,
		.cpu_error_bound_ns = s % 7,
		.init_wall_ns = sequence % 3 == 0 ? 1000 + s : -1,
		.init_cpu_ns = sequence % 3 == 0 ? 500 + s : -1,
		.after_response_wall_ns = 11 + s,
		.after_response_cpu_ns = 12 + s,
		.between_wall_ns = 13 + s,
		.between_cpu_ns = -1 - s, /* a negative split */
		.freeze_count = 2 + s,
		.freeze_wall_ns = 14 + s,
		.freeze_cpu_ns = 15 + s,
		.run_queue_ns = 16 + s,
		.voluntary = 17 + s,
		.involuntary = 18 + s,
		.threads = 19 + s,
		.memory_mb = 128 + s,
		.max_memory_bytes = INT64_MAX - s,
		.quota_us = -1,
		.period_us = 100000 + s,
		.marks_lost = s % 5,
		.events_lost = s % 6,
		.where = { 20 + s, 21 + s, 22 + s, 23 + s, 24 + s, 25 + s },
		.steal_ns = 26 + s,
		.irq_ns = 27 + s,
		.cpu_net_ns = 28 + s,
	};

	snprintf(r.function, sizeof(r.function), "%s", function);
	snprintf(r.instance, sizeof(r.instance), "%s-%llu", function,
		 (unsigned long long)(sequence % 10));
	r.id_len = (uint32_t)snprintf(r.id, sizeof(r.id), "id-%llu", (unsigned long long)sequence);
	billing_apply(policies_embedded(), &r);
	return r;
}

/* One transaction of records first..last of one function, at `now`; their snapshot if needed. */
static inline int commit_records(struct ledger *l, int64_t now, uint64_t first, uint64_t last,
				 const char *function)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = last, .ring_position = last * 8 };
	bool snapshot;
	int r = ledger_begin(l, now, &snapshot);

	for (uint64_t s = first; s <= last && r == 0; s++) {
		struct invocation_record record = make_record(s, function);

		r = ledger_put_invocation(l, &record);
	}
	if (r == 0)
		r = ledger_put_state(l, 1, &last, sizeof(last));
	if (r == 0)
		return ledger_commit(l, &meta);
	ledger_rollback(l);
	return r;
}

struct collected {
	struct invocation_record *records;
	size_t count, room;
};

static inline int collect(void *user, const struct invocation_record *record)
{
	struct collected *c = user;

	if (c->count == c->room) {
		c->room = c->room ? 2 * c->room : 64;
		c->records = realloc(c->records, c->room * sizeof(*c->records));
	}
	c->records[c->count++] = *record;
	return 0;
}

static inline struct collected read_all(const char *directory, const struct ledger_query *query)
{
	struct ledger_query none = { 0 };
	struct ledger_reader *reader = NULL;
	struct collected c = { 0 };
	int r = ledger_reader_open(directory, &reader);

	if (r == 0)
		r = ledger_read_invocations(reader, query ? query : &none, collect, &c);
	if (r < 0)
		fail_msg("reading: %d %s", r, ledger_error());
	ledger_reader_close(&reader);
	return c;
}

/* Every sequence of first..last once, in order, nothing else. */
static inline void assert_sequences(const char *directory, const struct ledger_query *query,
				    uint64_t first, uint64_t last)
{
	struct collected c = read_all(directory, query);

	assert_int_equal(c.count, last - first + 1);
	for (size_t i = 0; i < c.count; i++)
		assert_int_equal(c.records[i].sequence, first + i);
	free(c.records);
}

static inline int add_count(void *user, const struct ledger_sum *sum)
{
	*(uint64_t *)user += sum->count;
	return 0;
}

static inline uint64_t summed_count(const char *directory)
{
	struct ledger_query all = { 0 };
	struct ledger_reader *reader = NULL;
	uint64_t count = 0;

	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	assert_int_equal(ledger_read_sums(reader, &all, add_count, &count), 0);
	ledger_reader_close(&reader);
	return count;
}

static inline size_t count_files(const char *directory, const char *part)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(dir)))
		count += strstr(entry->d_name, part) != NULL;
	closedir(dir);
	return count;
}

#endif
