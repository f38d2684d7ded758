// SPDX-License-Identifier: GPL-2.0
/*
 * Fills a ledger for the benches of what reads it: ledger_fill DIRECTORY ROWS SEGMENTS
 *
 * 100 functions in turn, as many rows in each of the hourly segments, the last of which is the hour
 * before this one. Beside them one named rare, that has 30 rows in each of the two oldest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/billing.h"
#include "ledger/ledger.h"

#define BOOT "00000000fedcba9876543210fedcba98"
#define BATCH 20000
#define FUNCTIONS 100
#define RARE_ROWS 30
#define RARE_SEGMENTS 2
#define HOUR_NS 3600000000000ll

static void make_record(uint64_t n, int64_t end_realtime_ns, struct invocation_record *r)
{
	*r = (struct invocation_record){
		.sequence = n,
		.host = "bench",
		.boot_id = BOOT,
		.version = "$LATEST",
		.end_realtime_ns = end_realtime_ns,
		.start_realtime_ns = end_realtime_ns - 51234567 - (int64_t)(n % 1000),
		.wall_ns = 51234567 + (int64_t)(n % 1000),
		.cpu_ns = 3201456 + (int64_t)(n % 1000),
		.init_wall_ns = -1,
		.init_cpu_ns = -1,
		.between_wall_ns = 40000000,
		.between_cpu_ns = 20000,
		.run_queue_ns = 12345,
		.voluntary = 3,
		.threads = 2,
		.memory_mb = 128,
		.max_memory_bytes = 40000000,
		.quota_us = -1,
		.period_us = -1,
		.steal_ns = -1,
		.irq_ns = -1,
		.cpu_net_ns = -1,
	};
	r->where =
		(struct record_where){ r->cpu_ns, 12345, 0, 0, r->wall_ns - r->cpu_ns - 12345, 0 };
	snprintf(r->function, sizeof(r->function), "function-%llu",
		 (unsigned long long)n % FUNCTIONS);
	snprintf(r->instance, sizeof(r->instance), "instance-%llu", (unsigned long long)n % 500);
	r->id_len = (uint32_t)snprintf(r->id, sizeof(r->id), "6f3a51c0-0000-4000-8000-%012llx",
				       (unsigned long long)n);
	billing_apply(policies_embedded(), r);
}

static int put_batch(struct ledger *l, int segment, int64_t hour_ns, uint64_t first, uint64_t count,
		     uint64_t in_segment, uint64_t rows)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = first + count - 1 };
	struct invocation_record record;
	bool snapshot;
	int r = ledger_begin(l, hour_ns, &snapshot);

	for (uint64_t i = 0; i < count && r == 0; i++) {
		int64_t end = hour_ns +
			      (int64_t)((double)(in_segment + i) / (double)rows * 0.99 * HOUR_NS);

		make_record(first + i, end, &record);
		if (segment < RARE_SEGMENTS && in_segment + i < RARE_ROWS)
			strcpy(record.function, "rare");
		r = ledger_put_invocation(l, &record);
	}
	return r ? r : ledger_commit(l, &meta);
}

static int fill(struct ledger *l, uint64_t rows, int segments, int64_t first_hour_ns)
{
	uint64_t each = rows / (uint64_t)segments, n = 1;
	int r = 0;

	for (int s = 0; s < segments && r == 0; s++)
		for (uint64_t at = 0; at < each && r == 0;) {
			uint64_t count = each - at < BATCH ? each - at : BATCH;

			r = put_batch(l, s, first_hour_ns + s * HOUR_NS, n, count, at, each);
			at += count;
			n += count;
		}
	return r;
}

int main(int argc, char **argv)
{
	uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	int segments = argc > 3 ? atoi(argv[3]) : 0, r;
	int64_t hour = (int64_t)time(NULL) / 3600;
	struct ledger_config config = { .directory = argc > 1 ? argv[1] : NULL };
	struct ledger *l = NULL;
	bool set_aside;

	if (!rows || segments < 1) {
		fprintf(stderr, "ledger_fill DIRECTORY ROWS SEGMENTS\n");
		return 2;
	}
	mkdir(config.directory, 0755);
	r = ledger_open(&config, &l, &set_aside);
	if (r == 0)
		r = fill(l, rows, segments, (hour - segments) * HOUR_NS);
	if (r)
		fprintf(stderr, "ledger_fill: %s\n", ledger_error());
	ledger_close(&l);
	return r != 0;
}
