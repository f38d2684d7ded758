/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel side can go without, declared once: its name, and what is lost. Where the host
 * has it not, the kernel side goes without by itself; --without makes it so where it is there, so
 * that every fallback is tested on one machine.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kern/kern_internal.h"

static const struct {
	uint32_t bit;
	const char *name, *loss, *cure;
} features[] = {
	{ KERN_WITHOUT_STEAL, "steal",
	  "what a hypervisor takes shows at clock updates only, and bounds do not know of CPUs "
	  "away",
	  "a guest of KVM has it; on bare metal there is nothing to steal" },
	{ KERN_WITHOUT_DIRECT_READS, "direct-reads", "nothing but some 15 ns a read (Linux 6.1)",
	  "Linux 6.2 or newer" },
	{ KERN_WITHOUT_CLOCK, "clock",
	  "the scheduler's clock is not stable: bounds of what runs are 10 ms wider",
	  "a TSC that the kernel takes for stable (boot with tsc=reliable if it is)" },
	{ KERN_WITHOUT_BOOKS, "books",
	  "a process that enters its cgroup by itself misses up to a tick of CPU on the way in",
	  "put processes into their cgroup before they run (clone3 with CLONE_INTO_CGROUP)" },
	{ KERN_WITHOUT_UPROBES, "uprobes",
	  "marks are seen as hellos only, a process's first and one in 1,024: others are counted "
	  "by number (marks_lost), and no CPU is lost",
	  "a kernel with CONFIG_UPROBE_EVENTS, and leave to open perf events (CAP_PERFMON, "
	  "perf_event_paranoid)" },
	{ KERN_WITHOUT_STOP, "stop",
	  "a binary never seen before goes on while its marks are attached: some are counted as "
	  "marks_lost",
	  "let the agent be told of it: leave that out of --without" },
	{ KERN_WITHOUT_HELLO, "hello",
	  "only binaries that are attached already, configured symbols, measure and run are seen",
	  "" },
	{ KERN_WITHOUT_CGROUPS, "cgroups", "no cgroup patterns: only processes that mark",
	  "mount -t cgroup2 none /sys/fs/cgroup" },
	{ KERN_WITHOUT_ITERATOR, "iterator",
	  "what ran before the agent is not adopted; what it starts later is seen", "" },
};
enum { FEATURES = sizeof(features) / sizeof(features[0]) };

int kern_parse_without(const char *list, uint32_t *ret_bits)
{
	uint32_t bits = 0;
	char names[256] = "";
	size_t length, i;

	for (i = 0; i < FEATURES; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? ", " : "", features[i].name);
	while (*list) {
		length = strcspn(list, ",");
		for (i = 0; i < FEATURES; i++)
			if (strlen(features[i].name) == length &&
			    !memcmp(features[i].name, list, length))
				break;
		if (i == FEATURES)
			return kern_fail(-EINVAL, "without %.*s: there is no such thing (%s)",
					 (int)(length < 64 ? length : 64), list, names);
		bits |= features[i].bit;
		list += length;
		if (*list)
			list++;
	}
	*ret_bits = bits;
	return 0;
}

const char *kern_without_name(unsigned i)
{
	return i < FEATURES ? features[i].name : NULL;
}

const char *kern_without_cure(unsigned i)
{
	return i < FEATURES ? features[i].cure : NULL;
}

const char *kern_without_loss(unsigned i)
{
	return i < FEATURES ? features[i].loss : NULL;
}

uint32_t kern_without_bit(unsigned i)
{
	return i < FEATURES ? features[i].bit : 0;
}
