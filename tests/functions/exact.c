/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The function of the exactness harness: 10,000 invocations between marks, each bracketed by the
 * kernel's own clocks of all its threads, read just outside and just inside the marks.
 *
 * exact MODE COUNT — writes COUNT × 4 u64 to standard output: clocks before and after the start
 * mark, before and after the end mark. Waits for one byte on standard input first.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oncpu/runtime.h"

enum mode { ONE, SPINNING, SLEEPING, FIVE, FORKING, PREEMPTED };

static enum mode mode;
static int others;
static clockid_t clocks[8];
static atomic_int ready;

static uint64_t clock_ns(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t children_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return ((uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000u +
		(uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec)) *
	       1000u;
}

static uint64_t charged_ns(void)
{
	uint64_t sum = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < others; i++)
		sum += clock_ns(clocks[i]);
	return mode == FORKING ? sum + children_ns() : sum;
}

static void spin(uint64_t ns)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + ns;

	while (clock_ns(CLOCK_MONOTONIC) < end)
		;
}

static void nap(long ns)
{
	struct timespec t = { 0, ns };

	nanosleep(&t, NULL);
}

static void pin(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	sched_setaffinity(0, sizeof(s), &s);
}

static void *other(void *argument)
{
	long i = (long)argument;

	if (mode != FIVE)
		pin(1);
	atomic_fetch_add(&ready, 1);
	for (;;) {
		if (mode == SPINNING) {
			for (volatile int k = 0; k < 1000; k++)
				;
		} else if (mode == SLEEPING) {
			nap(20000);
			spin(15000);
		} else {
			nap(10000 + i * 7000);
			spin(20000 + (uint64_t)i * 11000);
		}
	}
	return NULL;
}

static void work(int i)
{
	pid_t child;

	spin(mode == FIVE ? 15000 : 20000 + (uint64_t)(i % 7) * 9000);
	if (mode == FIVE && i % 4 == 0)
		nap(30000);
	if (mode != FORKING || i % 4)
		return;
	child = fork();
	if (!child) {
		spin(30000);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	uint64_t *out = calloc((size_t)count, 32), *r = out;
	pthread_t threads[8];
	char go, id[24];

	if (argc < 3 || !out || read(0, &go, 1) != 1)
		return 2;
	mode = (enum mode)atoi(argv[1]);
	others = mode == SPINNING || mode == SLEEPING ? 1 : mode == FIVE ? 4 : 0;
	if (mode != FIVE)
		pin(0);
	for (long i = 0; i < others; i++) {
		pthread_create(&threads[i], NULL, other, (void *)i);
		pthread_getcpuclockid(threads[i], &clocks[i]);
	}
	while (ready < others)
		sched_yield();
	for (int i = 0; i < count; i++, r += 4) {
		snprintf(id, sizeof(id), "exact-%d", i);
		r[0] = charged_ns();
		if (i)
			oncpu_receive_invoke(id);
		else
			oncpu_receive_start("exact", id);
		r[1] = charged_ns();
		work(i);
		r[2] = charged_ns();
		oncpu_report_done(0);
		r[3] = charged_ns();
		if (i % 16 == 0)
			nap(20000);
	}
	return fwrite(out, 32, (size_t)count, stdout) == (size_t)count && !fflush(stdout) ? 0 : 1;
}
