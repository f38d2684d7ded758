/* SPDX-License-Identifier: GPL-2.0 */
/* Starting a function's process: born inside its cage, with Lambda's environment and no rights. */
#ifndef ONCPU_SLICER_SPAWN_H
#define ONCPU_SLICER_SPAWN_H

#include <sys/types.h>

#include "slicer/cage.h"
#include "slicer/function.h"

struct spawning {
	const struct slicer_function *function;
	const struct cage *cage;
	unsigned port;	       /* of the Runtime API, on 127.0.0.1 */
	unsigned number;       /* of the instance, for the log stream's name */
	int log;	       /* stdout and stderr */
	const char *extension; /* run this instead of the function's command; NULL = no */
};

/* The process id, or -errno. A program that cannot be run says so in the log and exits 127. */
pid_t spawn(const struct spawning *s);

#endif
