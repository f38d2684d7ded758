/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two halves of the agent say to each other: one SOCK_SEQPACKET pair, one fixed-size
 * request, one fixed-size reply, strictly in turn. No strings: nothing to parse.
 *
 * The worker is not trusted: it can only ask for things that the attacher finds harmless by
 * itself (files that processes already map, sites that hold the mark's own nop, symbols that the
 * configuration names, processes that oncpu stopped, boundaries of an invocation).
 */
#ifndef ONCPU_DAEMON_ATTACHER_PROTOCOL_H
#define ONCPU_DAEMON_ATTACHER_PROTOCOL_H

#include <stdint.h>

#include "kern/kern.h"

#define ATTACHER_MAGIC 0x61636e6fu /* "onca" */

enum attacher_op {
	ATTACHER_OP_DESCRIPTORS = 1, /* → KERN_FD_COUNT descriptors; value: 1 = pins were adopted */
	ATTACHER_OP_OPEN_OBJECT,     /* pid, address → descriptor, handle */
	ATTACHER_OP_OPEN_MARK,	     /* index of a configured mark → descriptor, handle */
	ATTACHER_OP_ATTACH,	     /* handle, offset: a nop of the object opened last */
	ATTACHER_OP_ATTACH_SYMBOL,   /* handle, offset, index of the configured mark */
	ATTACHER_OP_KNOW_OBJECT,     /* object: its marks are attached, stop nobody for it again */
	ATTACHER_OP_ADOPT,	     /* look for processes in configured cgroups again */
	ATTACHER_OP_CONTINUE,	     /* pid: one stopped in its hello; -EAGAIN: not (yet) */
	ATTACHER_OP_NEXT_STOPPED,    /* pid → pid above it, stopped in its hello; value: site */
	ATTACHER_OP_ADOPT_TREE,	     /* pid, address: uid of its instance */
	ATTACHER_OP_READY,	     /* tell the supervisor */
	ATTACHER_OP_STOPPING,
	ATTACHER_OP_PING,  /* I am well: pets the supervisor's watchdog */
	ATTACHER_OP_AUDIT, /* handle: uid or 0, address: cgroup id → audit (kern_owner_audit) */
	/* address: uid; index: START, RESPONSE or END; pid: its status; id → handle: time_ns,
	 * value: total_ns */
	ATTACHER_OP_BOUNDARY,
	ATTACHER_OP_FINISH, /* address: uid of an instance whose EXIT was lost */
	ATTACHER_OP_END
};

struct attacher_request {
	uint32_t magic;
	uint32_t op;
	int32_t pid;
	uint32_t index;
	uint64_t handle;
	uint64_t address;	    /* or file offset */
	struct oncpu_object object; /* as the kernel names it */
	uint32_t id_len, reserved;
	char id[ONCPU_ID_LEN];
};

struct attacher_reply {
	uint32_t magic;
	int32_t result; /* 0 or -errno */
	uint64_t handle;
	uint64_t value;
	int32_t pid;
	uint32_t descriptors; /* how many come along */
	struct kern_audit audit;
};

_Static_assert(sizeof(struct attacher_request) == 120, "no padding on the wire");
_Static_assert(sizeof(struct attacher_reply) == 72, "no padding on the wire");

/*
 * One message of exactly `size` bytes with up to KERN_FD_COUNT descriptors. Send: 0, -EPIPE (the
 * peer is gone), -errno. Receive: 0, -EPIPE, -EBADMSG (another size, or more descriptors than
 * max_fds; those are closed). Received descriptors are the caller's; *ret_fd_count on success only.
 */
int channel_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count);
int channel_receive(int socket, void *message, size_t size, int *fds, size_t max_fds,
		    size_t *ret_fd_count);

/*
 * The worker's side of one exchange. The reply's own result (< 0), or 0 with *ret_reply and
 * exactly fd_count descriptors in fds. -EPIPE: the attacher is gone. -EBADMSG: nonsense.
 */
int attacher_ask(int socket, const struct attacher_request *request,
		 struct attacher_reply *ret_reply, int *fds, size_t fd_count);

#endif
