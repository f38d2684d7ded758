/* SPDX-License-Identifier: GPL-2.0 */
/* The floor that every hook pays: empty programs on the hooks that oncpu uses. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("tp_btf/sched_switch")
int empty_switch(void *ctx)
{
	return 0;
}

SEC("tp_btf/softirq_entry")
int empty_entry(void *ctx)
{
	return 0;
}

SEC("tp_btf/softirq_exit")
int empty_exit(void *ctx)
{
	return 0;
}

SEC("uprobe")
int empty_mark(void *ctx)
{
	return 0;
}
