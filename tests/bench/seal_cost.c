// SPDX-License-Identifier: GPL-2.0
/*
 * What sealing a record costs: the same records into three ledgers, in turns of a batch each: not
 * sealed, with integrity = chain, and with a key. CPU time of the process, medians of the rounds.
 *
 * seal_cost [--rounds N] [--json FILE]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "core/billing.h"
#include "ledger/ledger.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define START 1769860800000000000ll

enum { KINDS = 3, BATCH = 2000, ROUNDS_MAX = 1000 };
static const char *const names[KINDS] = { "none", "chain", "chain with a key" };

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void make_record(uint64_t n, struct invocation_record *r)
{
	memset(r, 0, sizeof(*r));
	r->sequence = n;
	strcpy(r->host, "node-7");
	strcpy(r->boot_id, BOOT);
	strcpy(r->version, "$LATEST");
	snprintf(r->function, sizeof(r->function), "function-%llu", (unsigned long long)n % 20);
	snprintf(r->instance, sizeof(r->instance), "instance-%llu", (unsigned long long)n % 500);
	r->id_len = (uint32_t)snprintf(r->id, sizeof(r->id), "6f3a51c0-0000-4000-8000-%012llx",
				       (unsigned long long)n);
	r->start_realtime_ns = START + (int64_t)n * 100000;
	r->end_realtime_ns = r->start_realtime_ns + 51234567;
	r->wall_ns = 51234567;
	r->cpu_ns = 3201456;
	r->init_wall_ns = r->init_cpu_ns = -1;
	r->memory_mb = 128;
	r->quota_us = r->period_us = -1;
	r->where = (struct record_where){ 3201456, 12345, 0, 0, r->wall_ns - 3213801, 0 };
	r->steal_ns = r->irq_ns = r->cpu_net_ns = -1;
	billing_apply(policies_embedded(), r);
}

/* CPU time of one batch, records made beforehand; -1 = it failed. */
static int64_t time_batch(struct ledger *l, const struct invocation_record *records)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = records[BATCH - 1].sequence };
	int64_t begin = cpu_ns();
	bool snapshot;
	int r = ledger_begin(l, START, &snapshot);

	for (int i = 0; i < BATCH && r == 0; i++)
		r = ledger_put_invocation(l, &records[i]);
	if (r == 0)
		r = ledger_commit(l, &meta);
	if (r < 0)
		fprintf(stderr, "%s\n", ledger_error());
	return r < 0 ? -1 : cpu_ns() - begin;
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static struct ledger *open_one(const char *directory, int kind)
{
	struct digest_key key = { .length = 32 };
	struct ledger_config config = { .seal = kind > 0, .seal_key = kind > 1 ? &key : NULL };
	struct ledger *l = NULL;
	char path[128];
	bool set_aside;

	memset(key.bytes, 'k', 32);
	snprintf(path, sizeof(path), "%s/%d", directory, kind);
	config.directory = path;
	if (ledger_open(&config, &l, &set_aside) < 0)
		fprintf(stderr, "%s\n", ledger_error());
	return l;
}

static void report(int64_t medians[KINDS], const char *json)
{
	FILE *f = json ? fopen(json, "ae") : NULL;

	printf("a record into the ledger, %d a transaction    CPU ns   against none\n", BATCH);
	for (int k = 0; k < KINDS; k++) {
		printf("  integrity = %-28s %10lld   %.2f\n", names[k],
		       (long long)(medians[k] / BATCH), (double)medians[k] / (double)medians[0]);
		if (f)
			fprintf(f,
				"{\"bench\":\"ledger\",\"row\":\"a record, integrity "
				"%s\",\"cpu_ns\":%lld,"
				"\"ratio\":%.3f}\n",
				names[k], (long long)(medians[k] / BATCH),
				(double)medians[k] / (double)medians[0]);
	}
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", required_argument, NULL, 'r' },
						 { "json", required_argument, NULL, 'j' },
						 { NULL, 0, NULL, 0 } };
	static struct invocation_record records[BATCH];
	static int64_t times[KINDS][ROUNDS_MAX];
	char directory[] = "/tmp/oncpu-seal-XXXXXX", command[64];
	struct ledger *ledgers[KINDS];
	const char *json = NULL;
	int64_t medians[KINDS];
	int rounds = 31, c, failed = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			rounds = atoi(optarg);
		else if (c == 'j')
			json = optarg;
		else
			return 2;
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || !mkdtemp(directory))
		return 2;
	for (int k = 0; k < KINDS; k++)
		failed |= !(ledgers[k] = open_one(directory, k));
	for (int round = 0; round < rounds && !failed; round++) {
		for (int i = 0; i < BATCH; i++)
			make_record((uint64_t)round * BATCH + (uint64_t)i + 1, &records[i]);
		for (int k = 0; k < KINDS; k++) {
			int which = (k + round) % KINDS; /* each comes first as often */

			times[which][round] = time_batch(ledgers[which], records);
			failed |= times[which][round] < 0;
		}
	}
	for (int k = 0; k < KINDS; k++) {
		qsort(times[k], (size_t)rounds, sizeof(times[k][0]), compare);
		medians[k] = times[k][rounds / 2];
		ledger_close(&ledgers[k]);
	}
	if (!failed)
		report(medians, json);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command) || failed;
}
