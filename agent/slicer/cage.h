/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An instance's cgroup: made before its first process, frozen, thawed, killed and removed. Version
 * 2 holds the processes and the freezer; limits go where their controllers are, in version 2 or, on
 * hybrid hosts, in version 1 hierarchies beside it.
 *
 * All cages of one slicer lie under one run directory, <v2>/oncpu/run-PID, locked while the slicer
 * lives: whoever can take the lock may clear what is left in it.
 */
#ifndef ONCPU_SLICER_CAGE_H
#define ONCPU_SLICER_CAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "slicer/function.h"

enum cage_controller { CAGE_MEMORY, CAGE_CPU, CAGE_PIDS, CAGE_CONTROLLERS };
enum { CAGE_PATH = 512 };

struct cages {
	char run[CAGE_PATH];		      /* the run directory in version 2 */
	int lock;			      /* of the run directory */
	bool unified[CAGE_CONTROLLERS];	      /* the controller is in version 2 */
	char v1[CAGE_CONTROLLERS][CAGE_PATH]; /* else its run directory, "" = nowhere */
};

struct cage {
	char path[CAGE_PATH];
	char v1[CAGE_CONTROLLERS][CAGE_PATH];
	int fd, events; /* directory; cgroup.events, for EPOLLPRI */
	int freezer;	/* cgroup.freeze, open: a caller waits for each thaw */
	uint64_t id;
	uint64_t seen_bytes; /* most memory at once, where no controller counts it */
};

/* Makes the run directory, and kills and removes what dead slicers left. 0, -ENOENT (no cgroup v2),
 * -errno. *ret_cleared: processes' cgroups found and ended. */
int cages_open(struct cages *cages, unsigned *ret_cleared);
void cages_close(struct cages *cages);
/* What cannot be limited here, for the log: NULL = it can. */
const char *cages_cannot(const struct cages *cages, enum cage_controller controller);

/* A new cage with the function's limits. 0 or -errno. */
int cage_make(const struct cages *cages, const char *name, const struct slicer_function *f,
	      struct cage *cage);
/* In the child, before it gives up its rights: enters the version 1 groups (version 2: clone3). */
int cage_enter_v1(const struct cage *cage);
int cage_enter(const struct cage *cage);
int cage_freeze(const struct cage *cage, bool frozen);
int cage_kill(const struct cage *cage);
bool cage_populated(const struct cage *cage);
/* The most memory it has had: the controller's count; where there is none, the largest sum of its
 * processes' resident memory that this function has seen. 0 = not known. */
uint64_t cage_peak_bytes(struct cage *cage);
int cage_remove(struct cage *cage);

#endif
