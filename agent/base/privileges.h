/* SPDX-License-Identifier: GPL-2.0 */
/* Giving up root for good. */
#ifndef ONCPU_BASE_PRIVILEGES_H
#define ONCPU_BASE_PRIVILEGES_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Becomes uid:gid with no other group, no capability, no new privileges and no dumps, and makes
 * sure of each. 0, or -errno: then the process must end at once. Call with one thread only.
 */
int privileges_drop(uid_t uid, gid_t gid);

/* Of a set of capabilities (bits, 1ull << CAP_KILL), those that this process does not have. */
uint64_t privileges_missing(uint64_t wanted);

#endif
