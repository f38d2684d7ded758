/* SPDX-License-Identifier: GPL-2.0 */
/* The rows of the tables, and which of their figures count. */
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
	  .phase = PEER,
	  .program = "bpftrace",
	  .command = "exec bpftrace -e 'tracepoint:sched:sched_switch { $s = @start[cpu]; "
		     "if ($s) { @ns[args->prev_pid] = sum(nsecs - $s); } @start[cpu] = nsecs; }'" },
	{ .name = "perf sched record",
	  .key = "perf_sched_record",
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
	[SWITCHES] = { switch_rows, COUNT(switch_rows), &ping_pong, 's', { 0 }, 0, 0 },
	[MARKS] = { mark_rows, COUNT(mark_rows), &marker, DONE, { 0 }, 0, 0 },
	[PACKETS] = { packet_rows, COUNT(packet_rows), &sender, 'p', { 0 }, 0, 0 },
};

/* The quietest so far is the tenth percentile: one may be low by luck. */
double measure_base(enum load_kind l)
{
	double ns = ask(loads[l].load, loads[l].ask), sorted[COUNT(loads[l].bases)];

	if (loads[l].base_count == COUNT(loads[l].bases))
		return ns;
	loads[l].bases[loads[l].base_count++] = ns;
	memcpy(sorted, loads[l].bases, sizeof(sorted));
	qsort(sorted, (size_t)loads[l].base_count, sizeof(*sorted), by_size);
	loads[l].quiet = sorted[loads[l].base_count / 10];
	return ns;
}

bool undisturbed(enum load_kind l, const struct figure *f)
{
	double high = f->before > f->after ? f->before : f->after;
	double low = f->before < f->after ? f->before : f->after;

	return high < 1.03 * low && high < 1.05 * loads[l].quiet;
}

int undisturbed_figures(enum load_kind l, const struct row *r)
{
	int n = 0;

	for (int i = 0; i < r->n; i++)
		n += undisturbed(l, &r->figures[i]);
	return n;
}

void keep(struct row *r, double before, double ns, double after)
{
	if (r->n < MAX_ROUNDS)
		r->figures[r->n++] = (struct figure){ before, ns, after };
}
