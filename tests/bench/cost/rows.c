/* SPDX-License-Identifier: GPL-2.0 */
/* The rows of the tables, and what their figures come to. */
#include <stdlib.h>
#include <string.h>

#include "cost.h"

static struct row switch_rows[] = {
	{ .name = "nothing attached", .key = "nothing" },
	{ .name = "empty program", .key = "empty", .phase = EMPTY },
	{ .name = "oncpu, neither side tracked",
	  .key = "oncpu_untracked",
	  .phase = UNTRACKED,
	  .target = 1.3 },
	{ .name = "oncpu, both sides tracked",
	  .key = "oncpu_tracked",
	  .phase = TRACKED,
	  .target = 1.8 },
	{ .name = "  neither side, where = on",
	  .key = "oncpu_untracked_where",
	  .phase = UNTRACKED_WHERE },
	{ .name = "  both sides, where = on",
	  .key = "oncpu_tracked_where",
	  .phase = TRACKED_WHERE },
	{ .name = "  both sides, irq = on", .key = "oncpu_tracked_irq", .phase = TRACKED_IRQ },
	{ .name = "cpudist (libbpf-tools)",
	  .key = "cpudist",
	  .says_who = true,
	  .phase = PEER,
	  .program = "cpudist",
	  .command = "exec cpudist 600 1" },
	{ .name = "runqlat (libbpf-tools)",
	  .key = "runqlat",
	  .phase = PEER,
	  .program = "runqlat",
	  .command = "exec runqlat 600 1" },
	{ .name = "bpftrace, on-CPU sum by pid",
	  .key = "bpftrace_sum",
	  .says_who = true,
	  .phase = PEER,
	  .program = "bpftrace",
	  .command = "exec bpftrace -e 'tracepoint:sched:sched_switch { $s = @start[cpu]; "
		     "if ($s) { @ns[args->prev_pid] = sum(nsecs - $s); } @start[cpu] = nsecs; }'" },
	{ .name = "perf sched record",
	  .key = "perf_sched_record",
	  .says_who = true,
	  .phase = PEER,
	  .program = "perf",
	  .command = "exec perf sched record -o " PERF_DATA },
	{ .name = "perf stat, all CPUs",
	  .key = "perf_stat",
	  .phase = PEER,
	  .program = "perf",
	  .command = "exec perf stat -a -e context-switches,task-clock" },
};

static struct row mark_rows[] = {
	{ .name = "nobody listens", .key = "nothing", .marking = DONE },
	{ .name = "empty program", .key = "empty", .phase = EMPTY, .marking = DONE },
	{ .name = "oncpu, a boundary and its event",
	  .key = "oncpu",
	  .phase = TRACKED,
	  .marking = DONE,
	  .target = 1.6 },
	{ .name = "  likewise, where = on",
	  .key = "oncpu_where",
	  .phase = TRACKED_WHERE,
	  .marking = DONE },
	{ .name = "oncpu, with a 36-byte id",
	  .key = "oncpu_id",
	  .phase = TRACKED,
	  .marking = WITH_ID },
	{ .name = "oncpu, another thread sleeps",
	  .key = "oncpu_sleeper",
	  .phase = TRACKED,
	  .marking = BESIDE_A_SLEEPER },
	{ .name = "oncpu, a thread runs elsewhere",
	  .key = "oncpu_thread",
	  .phase = TRACKED,
	  .marking = BESIDE_A_THREAD },
};

static struct row packet_rows[] = {
	{ .name = "nothing attached", .key = "nothing" },
	{ .name = "empty programs, entry and exit", .key = "empty", .phase = EMPTY },
	{ .name = "oncpu, irq = off", .key = "oncpu", .phase = TRACKED },
	{ .name = "oncpu, irq = on", .key = "oncpu_irq", .phase = TRACKED_IRQ },
};

struct measured loads[LOADS] = {
	[SWITCHES] = { .rows = switch_rows,
		       .count = COUNT(switch_rows),
		       .load = &ping_pong,
		       .ask = 's' },
	[MARKS] = { .rows = mark_rows, .count = COUNT(mark_rows), .load = &marker, .ask = DONE },
	[PACKETS] = { .rows = packet_rows,
		      .count = COUNT(packet_rows),
		      .load = &sender,
		      .ask = 'p' },
};

void measure_base(enum load_kind l)
{
	if (loads[l].base_count < COUNT(loads[l].bases))
		loads[l].bases[loads[l].base_count++] = ask(loads[l].load, loads[l].ask);
}

void keep(struct row *r, double ns)
{
	if (r->n < MAX_ROUNDS)
		r->figures[r->n++] = ns;
}

double quiet_of(const double *figures, int n)
{
	double sorted[COUNT(loads[0].bases)];
	int quiet = (n + 2) / 3;

	if (!n)
		return 0;
	memcpy(sorted, figures, (size_t)n * sizeof(*sorted));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_size);
	return quiet % 2 ? sorted[quiet / 2] : (sorted[quiet / 2 - 1] + sorted[quiet / 2]) / 2;
}

double quiet_base(enum load_kind l)
{
	return quiet_of(loads[l].bases, loads[l].base_count);
}
