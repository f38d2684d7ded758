// SPDX-License-Identifier: GPL-2.0
/*
 * A ledger of a million invocations, and what it takes to compare policies over it.
 *	billing fill DIRECTORY ROWS	20 functions over four hours, sizes and peaks of several
 *kinds billing compare DIRECTORY POLICIES	median ms of nine, and what was read from rows
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/billing.h"
#include "ledger/compare.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define SECOND 1000000000ll
#define START (1769860800 * SECOND)
#define HOURS 4
#define BATCH 5000
#define TIMES 9

static void make_record(uint64_t n, uint64_t rows, struct invocation_record *r)
{
	uint64_t x = n * 0x9e3779b97f4a7c15u;

	memset(r, 0, sizeof(*r));
	r->sequence = n;
	strcpy(r->host, "node-7");
	strcpy(r->boot_id, BOOT);
	strcpy(r->version, "$LATEST");
	snprintf(r->function, sizeof(r->function), "function-%llu",
		 (unsigned long long)(x >> 40) % 20);
	snprintf(r->instance, sizeof(r->instance), "2026/01/31/[$LATEST]%016llx",
		 (unsigned long long)n % 500);
	r->id_len = (uint32_t)snprintf(r->id, sizeof(r->id), "6f3a51c0-0000-4000-8000-%012llx",
				       (unsigned long long)n);
	r->wall_ns = (int64_t)(x % 200000000);
	r->cpu_ns = r->wall_ns / 3;
	r->cold_start = n % 100 == 0;
	r->init_wall_ns = r->cold_start ? 250000000 : -1;
	r->init_cpu_ns = r->cold_start ? 100000000 : -1;
	r->between_wall_ns = 40000000;
	r->end_realtime_ns = START + (int64_t)(n * (HOURS * 3600 * SECOND / (rows + 1)));
	r->start_realtime_ns = r->end_realtime_ns - r->wall_ns;
	r->memory_mb = 128 << (x >> 40) % 4;
	r->max_memory_bytes = (int64_t)(40 + x % 3) << 20; /* three classes a function */
	r->quota_us = r->period_us = -1;
	r->where.running_ns = r->steal_ns = r->irq_ns = r->cpu_net_ns = -1;
	billing_apply(policies_embedded(), r);
}

static int fill(const char *directory, uint64_t rows)
{
	struct ledger_config config = { .directory = directory };
	struct ledger *l = NULL;
	bool flag;
	int r = ledger_open(&config, &l, &flag);

	for (uint64_t at = 1; at <= rows && r == 0; at += BATCH) {
		struct invocation_record record;
		struct ledger_meta meta = { .boot_id = BOOT, .sequence = at + BATCH - 1 };

		make_record(at, rows, &record);
		r = ledger_begin(l, record.end_realtime_ns, &flag);
		for (uint64_t n = at; n < at + BATCH && n <= rows && r == 0; n++) {
			make_record(n, rows, &record);
			r = ledger_put_invocation(l, &record);
		}
		if (r == 0)
			r = ledger_commit(l, &meta);
	}
	if (r < 0)
		fprintf(stderr, "%s\n", ledger_error());
	ledger_close(&l);
	return r < 0;
}

struct seen {
	unsigned long long lines, bytes, recomputed;
};

static int on_line(void *user, const char *line, size_t length)
{
	const char *found = strstr(line, "\"recomputed\":");
	struct seen *seen = user;

	seen->lines++;
	seen->bytes += length;
	seen->recomputed += found ? strtoull(found + 13, NULL, 10) : 0;
	return 0;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) -
	       (*(const double *)a < *(const double *)b);
}

static int compare(const char *directory, const char *policies)
{
	struct comparison c = { .set = policies_embedded(),
				.now_realtime_ns = START + HOURS * 3600 * SECOND };
	char error[POLICY_ERROR_LEN];
	double ms[TIMES];
	struct seen seen = { 0 };

	if (compare_choose(c.set, policies, &c.choice, error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (int i = 0; i < TIMES; i++) {
		struct ledger_reader *reader = NULL;
		double begin = now_ms();
		int r = ledger_reader_open(directory, &reader);

		memset(&seen, 0, sizeof(seen));
		if (r == 0)
			r = ledger_compare(reader, &c, on_line, &seen);
		ledger_reader_close(&reader);
		ms[i] = now_ms() - begin;
		if (r < 0) {
			fprintf(stderr, "%s\n", ledger_error());
			return 1;
		}
	}
	qsort(ms, TIMES, sizeof(ms[0]), by_size);
	printf("%.2f %.2f %llu %llu\n", ms[TIMES / 2], ms[TIMES - 1], seen.lines, seen.recomputed);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fill") == 0)
		return fill(argv[2], strtoull(argv[3], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "compare") == 0)
		return compare(argv[2], argv[3]);
	fprintf(stderr, "usage: billing fill DIRECTORY ROWS | compare DIRECTORY POLICIES\n");
	return 2;
}
