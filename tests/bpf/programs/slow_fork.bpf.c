/* SPDX-License-Identifier: GPL-2.0 */
/* Holds one thread in the middle of a fork: its child is in the kernel's list of tasks, and nobody
 * that is attached after this program has been told. Until it is let go, or a second is over. */
#include "../../../bpf/kernel.h"
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int forker; /* its tid */
int there;  /* 1: it is held, 2: it goes on */
int go;

static long hold_step(u32 i, u64 *begun_ns)
{
	return *(volatile int *)&go || bpf_ktime_get_ns() - *begun_ns > 1000000000;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(hold_forker, struct task_struct *parent, struct task_struct *child)
{
	u64 begun_ns = bpf_ktime_get_ns();

	if (parent->pid != forker)
		return 0;
	there = 1;
	bpf_loop(1 << 23, hold_step, &begun_ns, 0);
	there = 2;
	return 0;
}
