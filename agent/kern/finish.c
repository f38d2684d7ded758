/* SPDX-License-Identifier: GPL-2.0 */
/* The end of an instance for which the ring had no room, said again. */
#include <errno.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kern/kern_internal.h"
#include "oncpu.skel.h"

int kern_owner_finish(struct kern_owner *o, uint64_t uid)
{
	struct oncpu_call c = { .op = ONCPU_CALL_FINISH, .uid = uid };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &c, .ctx_size_in = sizeof(c));

	if (bpf_prog_test_run_opts(bpf_program__fd(o->skel->progs.on_call), &options))
		return -errno;
	return c.result;
}
