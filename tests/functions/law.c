/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The function of the test of the law: many short invocations, and in between all that begins or
 * ends a thread: forks and exits, threads, vfork and exec, a child that outlives its invocation.
 *
 * law COUNT
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oncpu/runtime.h"

static void spin(uint64_t ns)
{
	struct timespec t;
	uint64_t end = 0, now;

	do {
		clock_gettime(CLOCK_MONOTONIC, &t);
		now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
		end = end ? end : now + ns;
	} while (now < end);
}

static void *short_life(void *unused)
{
	spin(20000);
	return unused;
}

static void child(void (*then)(void))
{
	pid_t pid = fork();

	if (!pid) {
		spin(30000);
		if (then)
			then();
		_exit(0);
	}
	if (pid < 0)
		exit(3);
}

static void become_true(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void handle(int i)
{
	pthread_t thread;

	spin(12000);
	if (i % 50 == 1 && !pthread_create(&thread, NULL, short_life, NULL))
		pthread_join(thread, NULL);
	if (i % 100 == 2)
		child(NULL); /* reaped at the next of its kind: it may outlive its invocation */
	if (i % 100 == 52)
		wait(NULL);
	if (i % 2000 == 3) {
		child(become_true);
		wait(NULL);
	}
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0;
	char id[24];

	for (int i = 1; i <= count; i++) {
		snprintf(id, sizeof(id), "law-%d", i);
		if (i == 1)
			oncpu_receive_start("law", id);
		else
			oncpu_receive_invoke(id);
		handle(i);
		oncpu_report_done(0);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
