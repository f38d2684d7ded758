/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who does the switch: the pinned stub, which is the whole program of the agent that made the pins,
 * or the program that an agent of another build or configuration puts into the array.
 *
 * Which of the two is one word in each CPU's slot, so that no switch is done by both, or by none.
 * And of marks, whose stubs are of all the agents that attached them, one word in the control map.
 */
#include <errno.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/fnv.h"
#include "kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

/* Of all that a switch's program is made of: the object, and what was set in it before loading, but
 * for the number of the owner. */
static uint64_t identity(struct oncpu_bpf *skel)
{
	unsigned generation = skel->rodata->symbol_generation;
	uint64_t mark = skel->rodata->mark_identity;
	size_t object_size, set_size;
	const void *object = oncpu_bpf__elf_bytes(&object_size);
	const void *set = bpf_map__initial_value(skel->maps.rodata, &set_size);
	uint64_t hash;

	skel->rodata->symbol_generation = 0;
	skel->rodata->mark_identity = 0;
	hash = fnv(fnv(FNV_BASIS, object, object_size), set, set_size);
	skel->rodata->symbol_generation = generation;
	skel->rodata->mark_identity = mark;
	return hash;
}

void kern_handover_choose(struct kern_owner *o, bool pinned)
{
	o->switch_identity = identity(o->skel);
	o->skel->rodata->mark_identity = o->switch_identity;
	o->hands_over = pinned && o->control->switch_identity != o->switch_identity;
	bpf_program__set_autoload(o->skel->progs.on_switch, o->hands_over);
	bpf_program__set_autoload(o->skel->progs.stub_switch, !pinned);
	/* where nobody was before, all stubs of marks will be its own */
	bpf_program__set_autoload(o->skel->progs.on_mark, pinned);
}

int kern_handover(struct kern_owner *o)
{
	int program = bpf_program__fd(o->skel->progs.on_switch);
	struct oncpu_slot *slots;
	uint32_t zero = 0;
	size_t bytes;
	int error;

	if (o->hands_over &&
	    bpf_map_update_elem(bpf_map__fd(o->skel->maps.hook_switch), &zero, &program, BPF_ANY))
		return -errno;
	error = kern_map_table(o->skel->maps.slots, sizeof(*slots), (void **)&slots, &bytes);
	if (error)
		return error;
	/* behind the stubs already: attach_hooks */
	__atomic_store_n(&o->control->mark_identity, o->switch_identity, __ATOMIC_RELEASE);
	/* The array keeps what it has: a switch may be on its way there. */
	for (uint32_t c = 0; c < o->cpus; c++)
		__atomic_store_n(&slots[c].handed_over, o->hands_over, __ATOMIC_RELEASE);
	munmap(slots, bytes);
	return 0;
}
