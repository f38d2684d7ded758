// SPDX-License-Identifier: GPL-2.0
/*
 * Rows a second through the ledger, by rows a transaction, and how fast they are read back.
 *	ledger_rate [DIRECTORY [ROWS]]	(the directory must not exist yet; /tmp/oncpu-rate-PID)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/billing.h"
#include "ledger/ledger.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define START 1769860800000000000ll

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_record(uint64_t n, struct invocation_record *r)
{
	memset(r, 0, sizeof(*r));
	r->sequence = n;
	strcpy(r->host, "node-7");
	strcpy(r->boot_id, BOOT);
	strcpy(r->version, "$LATEST");
	snprintf(r->function, sizeof(r->function), "function-%llu", (unsigned long long)n % 20);
	snprintf(r->instance, sizeof(r->instance), "2026/01/31/[$LATEST]%016llx",
		 (unsigned long long)n % 500);
	r->id_len = (uint32_t)snprintf(r->id, sizeof(r->id), "6f3a51c0-0000-4000-8000-%012llx",
				       (unsigned long long)n);
	r->start_realtime_ns = START + (int64_t)n * 100000;
	r->end_realtime_ns = r->start_realtime_ns + 51234567;
	r->wall_ns = 51234567 + (int64_t)n % 1000;
	r->cpu_ns = 3201456 + (int64_t)n % 1000;
	r->init_wall_ns = r->init_cpu_ns = -1;
	r->between_wall_ns = 40000000;
	r->between_cpu_ns = 20000;
	r->run_queue_ns = 12345;
	r->voluntary = 3;
	r->threads = 2;
	r->memory_mb = 128;
	r->max_memory_bytes = 40000000;
	r->quota_us = r->period_us = -1;
	r->where = (struct record_where){ 3201456, 12345, 0, 0, r->wall_ns - 3213801, 0 };
	r->steal_ns = r->irq_ns = r->cpu_net_ns = -1;
	billing_apply(policies_embedded(), r);
}

static int fill(struct ledger *l, uint64_t first, uint64_t rows, uint64_t batch)
{
	int r = 0;

	for (uint64_t at = first; at < first + rows && r == 0; at += batch) {
		struct ledger_meta meta = { .boot_id = BOOT, .sequence = at + batch - 1 };
		bool snapshot;

		r = ledger_begin(l, START, &snapshot);
		for (uint64_t n = at; n < at + batch && r == 0; n++) {
			struct invocation_record record;

			make_record(n, &record);
			r = ledger_put_invocation(l, &record);
		}
		if (r == 0)
			r = ledger_commit(l, &meta);
	}
	return r;
}

static int count_row(void *user, const struct invocation_record *record)
{
	(void)record;
	++*(uint64_t *)user;
	return 0;
}

static int count_sum(void *user, const struct ledger_sum *sum)
{
	*(uint64_t *)user += sum->count;
	return 0;
}

static void time_query(struct ledger_reader *reader, const char *what, struct ledger_query query)
{
	double begin = seconds(CLOCK_MONOTONIC);
	uint64_t rows = 0;
	int r = ledger_read_invocations(reader, &query, count_row, &rows);

	printf("%-40s %9llu rows in %8.2f ms (%d)\n", what, (unsigned long long)rows,
	       1e3 * (seconds(CLOCK_MONOTONIC) - begin), r);
}

static void read_back(const char *directory)
{
	struct ledger_query hundred = { .function = "function-7", .last = 100 };
	struct ledger_query newest = { .last = 100 }, all = { 0 };
	struct ledger_reader *reader = NULL;
	uint64_t count = 0;
	double begin;

	if (ledger_reader_open(directory, &reader) < 0)
		return;
	time_query(reader, "last 100 of one function", hundred);
	time_query(reader, "last 100 of all", newest);
	time_query(reader, "every row", all);
	begin = seconds(CLOCK_MONOTONIC);
	ledger_read_sums(reader, &all, count_sum, &count);
	printf("%-40s %9llu counted in %5.2f ms\n", "sums of all functions",
	       (unsigned long long)count, 1e3 * (seconds(CLOCK_MONOTONIC) - begin));
	ledger_reader_close(&reader);
}

int main(int argc, char **argv)
{
	static const uint64_t batches[] = { 100, 1000, 10000, 10000 };
	uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 500000, next = 1;
	struct ledger_config config = { 0 };
	struct ledger *l = NULL;
	struct rusage usage;
	char directory[256];
	bool set_aside;

	snprintf(directory, sizeof(directory), "/tmp/oncpu-rate-%d", getpid());
	config.directory = argc > 1 ? argv[1] : directory;
	if (ledger_open(&config, &l, &set_aside) < 0) {
		fprintf(stderr, "%s\n", ledger_error());
		return 1;
	}
	for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		uint64_t n = batches[i] == 100 ? rows / 10 : rows;
		double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);

		if (fill(l, next, n, batches[i]) < 0) {
			fprintf(stderr, "%s\n", ledger_error());
			return 1;
		}
		next += n;
		printf("%6llu a transaction: %9.0f rows/s, %5.2f us CPU a row\n",
		       (unsigned long long)batches[i],
		       (double)n / (seconds(CLOCK_MONOTONIC) - begin),
		       1e6 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)n);
	}
	read_back(config.directory);
	ledger_close(&l);
	getrusage(RUSAGE_SELF, &usage);
	printf("%llu rows in %s, peak memory %ld KiB\n", (unsigned long long)next - 1,
	       config.directory, usage.ru_maxrss);
	return 0;
}
