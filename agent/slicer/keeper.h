/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The privileged half of the slicer: makes cages, starts, freezes, thaws and kills instances, and
 * makes every boundary, each as late or as early as the law wants it. Parses nothing from outside.
 */
#ifndef ONCPU_SLICER_KEEPER_H
#define ONCPU_SLICER_KEEPER_H

#include <sys/types.h>

#include "kern/kern.h"
#include "slicer/cage.h"
#include "slicer/function.h"

struct keeper_options {
	const struct slicer_function *functions;
	unsigned function_count;
	struct cages *cages;
	struct kern_boundary *boundary;
	int socket;  /* to the front */
	pid_t front; /* the slicer ends with it */
	int signals; /* signalfd: SIGTERM, SIGINT, SIGCHLD */
};

/* Runs until SIGTERM, SIGINT or the front's end; then ends every instance. The exit code. */
int keeper_run(const struct keeper_options *options);

#endif
