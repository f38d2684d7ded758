// SPDX-License-Identifier: GPL-2.0
/*
 * What it takes to freeze and to thaw an instance, with the slicer's own cages: from the write to
 * cgroup.freeze until the last thread stands still (cgroup.events says frozen), and from the other
 * write until a thread of it runs again (its own clock says when).
 *
 * freezer ROUNDS THREADS   "freeze MEDIAN P99" and "thaw MEDIAN P99", in µs. Each thread wakes up
 * now and then, as those of a runtime do, and the first one spins: nothing is found asleep already.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "slicer/cage.h"

/* Shared with it: the first instant at which it ran after `wanted` was set; 0 = it has not yet. */
static struct {
	_Atomic double first;
	atomic_bool wanted;
} * stamp;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *dozes(void *unused)
{
	for (;;)
		usleep(10000);
	return unused;
}

static void stay_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one); /* with one CPU only: both there */
}

static void function(int threads)
{
	stay_on(1);
	for (int n = 1; n < threads; n++) {
		pthread_t thread;

		pthread_create(&thread, NULL, dozes, NULL);
	}
	for (;;)
		if (atomic_exchange(&stamp->wanted, false))
			stamp->first = now();
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void say(const char *what, double *us, int count)
{
	qsort(us, (size_t)count, sizeof(*us), by_size);
	printf("%s %.1f %.1f\n", what, us[count / 2], us[count * 99 / 100]);
}

static bool is_frozen(const struct cage *cage)
{
	char text[256];
	ssize_t n = pread(cage->events, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "frozen 1");
}

static int measure(const struct cage *cage, int rounds)
{
	double *freezes = calloc((size_t)rounds, sizeof(*freezes));
	double *thaws = calloc((size_t)rounds, sizeof(*thaws));

	for (int r = 0; r < rounds; r++) {
		double began = now();

		if (cage_freeze(cage, true))
			return 1;
		while (!is_frozen(
			cage)) /* its event comes up to 10 ms later: the kernel bundles them */
			;
		freezes[r] = now() - began;
		usleep(200);
		stamp->first = 0;
		stamp->wanted = true;
		began = now();
		if (cage_freeze(cage, false))
			return 1;
		while (!stamp->first)
			usleep(20);
		thaws[r] = stamp->first - began;
		usleep(200);
	}
	say("freeze", freezes, rounds);
	say("thaw", thaws, rounds);
	free(freezes);
	free(thaws);
	return 0;
}

int main(int argc, char **argv)
{
	struct slicer_function f = { .memory_mb = 512, .processes = 1024 };
	struct cages cages;
	struct cage cage;
	unsigned cleared;
	pid_t child;
	int code;

	if (argc != 3)
		return fprintf(stderr, "freezer ROUNDS THREADS\n"), 2;
	stamp = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (cages_open(&cages, &cleared) || cage_make(&cages, "bench", &f, &cage))
		return fprintf(stderr, "freezer: no cgroup of its own here\n"), 1;
	child = fork();
	if (!child) {
		if (cage_enter(&cage))
			_exit(1);
		function(atoi(argv[2]));
	}
	stamp->wanted = true;
	while (!stamp->first)
		usleep(100);
	stay_on(0);
	code = measure(&cage, atoi(argv[1]));
	cage_kill(&cage);
	waitpid(child, NULL, 0);
	cage_remove(&cage);
	cages_close(&cages);
	return code;
}
