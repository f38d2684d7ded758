/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the attacher asks /proc: is a process stopped in its hello, and which ones are?
 *
 * The kernel side stops a process in the middle of prctl(PR_SET_NAME, …, ONCPU_HELLO_MAGIC, …). A
 * stopped process one of whose threads stands in exactly that call is one that oncpu stopped; no
 * book need be kept of them, so none can be lost with the agent.
 */
#ifndef ONCPU_DAEMON_PROC_H
#define ONCPU_DAEMON_PROC_H

#include <stdbool.h>
#include <stdint.h>

/* State letter of /proc/PID/stat ('R', 'T', 'Z' …), 0 when there is no such process. */
char proc_state(int pid);

/*
 * Parses /proc/PID/task/TID/syscall ("157 0xf 0x… …"): true when it is the hello; *ret_hello is
 * the address of its struct oncpu_hello. Pure.
 */
bool proc_syscall_is_hello(const char *text, uint64_t *ret_hello);

/* 1 and the address of the mark (0 when it cannot be read), or 0: not stopped in a hello. */
int proc_stopped_in_hello(int pid, uint64_t *ret_site);

/* The lowest pid above `after` that is stopped in its hello; 0 = none. One pass over /proc. */
int proc_next_stopped(int after, uint64_t *ret_site);

/*
 * SIGCONT through a pidfd, to a process stopped in its hello only. 0, -ESRCH (gone), -EAGAIN (not
 * stopped there: the stop may still be on its way, for the request is made before it takes effect).
 */
int proc_continue(int pid);

#endif
