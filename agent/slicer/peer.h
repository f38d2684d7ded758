/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose connection is this? The cgroup of the socket at the other end of a loopback connection,
 * from the kernel's own socket diagnosis: an instance's Runtime API answers that instance and
 * nobody else.
 */
#ifndef ONCPU_SLICER_PEER_H
#define ONCPU_SLICER_PEER_H

#include <stdint.h>

struct peers {
	int netlink;
	uint32_t sequence;
};

int peers_open(struct peers *peers); /* 0, -errno: sockets cannot be looked up here */
void peers_close(struct peers *peers);
/* The cgroup v2 id of the peer of a connected IPv4 socket. 0, -ENOENT (gone), -ENOTSUP (the kernel
 * does not say), -errno. */
int peers_cgroup(struct peers *peers, int fd, uint64_t *ret_cgroup_id);

#endif
