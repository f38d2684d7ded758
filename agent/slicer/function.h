/* SPDX-License-Identifier: GPL-2.0 */
/* What the slicer is told of a function. Plain values; read once at start by both halves. */
#ifndef ONCPU_SLICER_FUNCTION_H
#define ONCPU_SLICER_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "oncpu/abi.h"

enum { FUNCTION_ARGUMENTS = 64, FUNCTION_VARIABLES = 64, FUNCTION_EXTENSIONS = 10 };

struct slicer_function {
	char name[ONCPU_NAME_LEN];
	char *arguments[FUNCTION_ARGUMENTS + 1]; /* NULL-terminated */
	char *variables[FUNCTION_VARIABLES + 1]; /* NAME=VALUE */
	char *extensions[FUNCTION_EXTENSIONS + 1];
	char *extension_directory; /* all in it are external extensions; "none"; NULL = the default
				    */
	char *directory; /* LAMBDA_TASK_ROOT and working directory; NULL = where the slicer is */
	char *handler;	 /* _HANDLER; NULL = "index.handler" */
	char *user;	 /* NULL = $SUDO_USER, else nobody */
	uid_t uid;
	gid_t gid;
	int64_t memory_mb;	/* 16 … 10240 */
	int64_t timeout_ms;	/* of an invocation, wall */
	int64_t init_ms;	/* of the initialisation */
	int64_t cpu_limit_ns;	/* of an invocation, all threads; 0 = none */
	int64_t cpu_soft_ns;	/* reported; 0 = none */
	bool retire_after_soft; /* the instance ends after the answer */
	int64_t concurrency;	/* instances at most */
	int64_t freeze_after_ms;
	bool no_freeze;
	int64_t idle_ms;    /* an idle instance is retired after it; 0 = never */
	int64_t grace_ms;   /* from the answer to the next GET next */
	int64_t suspend_ms; /* the longest stay of a suspended instance */
	int64_t milli_cpus; /* CPU quota in thousandths of a CPU; 0 = none */
	int64_t processes;  /* pids limit */
};

#endif
