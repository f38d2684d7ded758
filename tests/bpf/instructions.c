/* SPDX-License-Identifier: GPL-2.0 */
/*
 * instructions — how many instructions the verifier walked through for each program of the kernel
 * side, as this kernel loads it: "PROGRAM COUNT" a line. Exit 1 with the cause if it does not load.
 */
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kern/kern.h"
#include "../agent/kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

#define PIN_DIR "/sys/fs/bpf/oncpu-instructions"

int main(void)
{
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .hidden_check = true,
				      .live_steal = true,
				      .where = true,
				      .irq = true };
	struct kern_owner *owner;
	struct bpf_program *program;
	bool adopted;
	int bad = 0;

	kern_unpin(PIN_DIR);
	if (kern_owner_open(&config, &owner, &adopted)) {
		fprintf(stderr, "%s\n", kern_error());
		kern_unpin(PIN_DIR);
		return 1;
	}
	bpf_object__for_each_program(program, owner->skel->obj)
	{
		struct bpf_prog_info info = {};
		uint32_t length = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) ||
		    !info.verified_insns) {
			fprintf(stderr, "the kernel does not say it of %s\n",
				bpf_program__name(program));
			bad = 1;
			continue;
		}
		printf("%s %u\n", bpf_program__name(program), info.verified_insns);
	}
	kern_owner_close(&owner);
	kern_unpin(PIN_DIR);
	return bad;
}
