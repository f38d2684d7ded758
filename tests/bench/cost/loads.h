/* SPDX-License-Identifier: GPL-2.0 */
/* Loads that measure themselves, and the end of a bench that uses them. */
#ifndef ONCPU_BENCH_LOADS_H
#define ONCPU_BENCH_LOADS_H

#include <stdint.h>
#include <sys/types.h>

#include "../agent/kern/kern_internal.h"

extern char cgroup_root[KERN_CGROUP_ROOT_MAX]; /* "" until it is known */

/* ---- its own end ---- */

void clean_up(void); /* the bench's own: leaves no pins, cgroups or processes behind */
/* Says errno and kern_error(), cleans up, and ends it. */
__attribute__((noreturn)) void die(const char *what);
void catch_signals(void); /* the next pause_ms() ends by die() then */
void pause_ms(long ms);
/* fork(), of a child that dies with us, even by SIGKILL, and by a signal at once. */
pid_t spawn(void);

/* ---- the loads ---- */

uint64_t now_ns(void); /* CLOCK_MONOTONIC */
void bench_cgroup(char which, char path[700]);

/* A process that measures when told to. The same one throughout: two of them, alike but for where
 * their pages lie, differ by more than what is to be measured. */
struct load {
	pid_t pid;
	int in, out;
};
extern struct load ping_pong, marker, sender;

/* Forks it into one of the bench's cgroups (0 = it stays), on a CPU. A chunk is a millisecond of
 * work, and says how many ns one piece of it took. `pipes` are the load's own. */
void load_up(struct load *l, char cgroup, int cpu, double (*chunk)(char what, int *pipes),
	     int *pipes);
void ping_pong_up(void); /* in cgroups a and b, on CPU 1 */
void loads_down(void);
double ask(const struct load *l, char what); /* ns a piece: the third least of 151 chunks */
/* Called every millisecond while `marker` is asked, or NULL. Who wakes up takes a CPU from a load.
 */
extern void (*while_asked)(void);

/* What a mark is made with, and what another thread of the instance does on the other CPU, if there
 * is one. */
enum marking { DONE = 'd', WITH_ID = 'i', BESIDE_A_SLEEPER = 's', BESIDE_A_THREAD = 't' };
double mark_many(char what, int *unused);
double send_many(char what, int *unused);

int by_size(const void *a, const void *b); /* doubles, for qsort */

#endif
