/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the front (parses HTTP, no privileges) and the keeper (forks, freezes, kills, makes the
 * boundaries): fixed-size messages over a SOCK_SEQPACKET pair. The keeper trusts no number in them:
 * functions and instances are indices that it checks, ids are bytes that it passes on.
 *
 * Requests of one instance are carried out in their order, and each answered by a news of the same
 * op, so the front never waits.
 */
#ifndef ONCPU_SLICER_PROTOCOL_H
#define ONCPU_SLICER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oncpu/abi.h"
#include "slicer/function.h"

enum { SLICER_INSTANCES = 4096, SLICER_FUNCTIONS = 256 };

enum keeper_op {
	KEEPER_SPAWN = 1, /* function, port → pid, cgroup_id, and the log's read end */
	KEEPER_READY,	  /* init is over */
	KEEPER_START,	  /* id, limits; thaws */
	KEEPER_RESPONSE,  /* id */
	KEEPER_END,	  /* id, status, freeze */
	KEEPER_SUSPEND,	  /* id; always freezes */
	KEEPER_FREEZE,
	KEEPER_THAW,
	KEEPER_KILL,
	/* news that nobody asked for */
	KEEPER_EXITED,	 /* the runtime has ended: status of wait */
	KEEPER_GONE,	 /* no process is left, the cgroup is removed, the index is free */
	KEEPER_CPU_SOFT, /* the invocation has used more than this; total_ns */
	KEEPER_CPU_HARD,
	KEEPER_EXTENSION_LOG,	/* the log's read end of the extensions; before SPAWN */
	KEEPER_EXTENSION_EXITED /* an external extension has ended: status of wait */
};

struct keeper_request {
	uint32_t op, instance;
	uint32_t function; /* SPAWN */
	uint32_t port;	   /* SPAWN: of its Runtime API */
	int32_t status;	   /* END: enum oncpu_status */
	uint32_t freeze;   /* READY, END: freeze right after */
	uint32_t id_len;
	uint32_t reserved;
	uint64_t cpu_limit_ns, cpu_soft_ns; /* START; 0 = none */
	char id[ONCPU_ID_LEN];
};

struct keeper_news {
	uint32_t op, instance;
	int32_t error;	/* 0, -errno; text says why */
	int32_t status; /* EXITED */
	int32_t pid;
	uint32_t id_len;
	uint64_t time_ns, total_ns; /* the boundary's reading */
	uint64_t peak_bytes;	    /* most memory so far; 0 = not known */
	uint64_t cgroup_id;
	uint32_t extension_count, reserved;	    /* the keeper's own */
	uint64_t extension_ns[FUNCTION_EXTENSIONS]; /* their own CPU so far */
	char id[ONCPU_ID_LEN];
	char text[160];
};

/* 0 or -errno. `fd` −1 = none. Waits for room: for the keeper only, since the front always reads.
 * Both waiting for each other would be for ever; the front has an outbox. */
int protocol_send(int socket, const void *message, unsigned size, int fd);

/* The front's requests, in their order: what the socket has no room for yet waits here. */
struct outbox {
	int socket;
	struct keeper_request *waiting;
	size_t first, count, capacity;
};

/* 0, -ENOMEM, -errno of the socket. */
int outbox_send(struct outbox *box, const struct keeper_request *request);
int outbox_flush(struct outbox *box); /* as far as there is room */
void outbox_free(struct outbox *box);
/* Bytes of a whole message; 0 = the other end is gone; -EAGAIN; -errno. *ret_fd −1 = none came. */
int protocol_receive(int socket, void *message, unsigned size, int *ret_fd);

#endif
