// SPDX-License-Identifier: GPL-2.0
/*
 * A function that does what it is told: one command a line on stdin, one "ok" a line on stdout.
 *
 *	start ID · done · burn MS · sleep MS · thread MS · child MS · churn COUNT
 *
 * thread and child burn in a thread or process of their own, which ends before the "ok". churn is
 * COUNT invocations, each with something of everything.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oncpu/runtime.h"

static void burn_us(long us)
{
	struct timespec now;
	long long end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	end = now.tv_sec * 1000000000ll + now.tv_nsec + us * 1000ll;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec * 1000000000ll + now.tv_nsec < end);
}

static void sleep_us(long us)
{
	struct timespec rest = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&rest, &rest))
		;
}

static void *burn_in_thread(void *us)
{
	burn_us(*(long *)us);
	return NULL;
}

static void in_thread(long us)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, burn_in_thread, &us))
		pthread_join(thread, NULL);
}

static void in_child(long us)
{
	pid_t pid = fork();

	if (!pid) {
		burn_us(us);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void start(const char *id)
{
	static int started;

	if (started++)
		oncpu_receive_invoke(id);
	else
		oncpu_receive_start("puppet", id);
}

static void churn(long count)
{
	char id[32];

	for (long i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "churn-%ld", i);
		start(id);
		burn_us(200 + i % 7 * 150);
		if (i % 3 == 0)
			sleep_us(300);
		if (i % 5 == 0)
			in_thread(400);
		if (i % 11 == 0)
			in_child(300);
		oncpu_report_done(0);
		burn_us(20);
	}
}

int main(void)
{
	char line[128], what[16], argument[64];

	setvbuf(stdout, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		argument[0] = 0;
		if (sscanf(line, "%15s %63s", what, argument) < 1)
			continue;
		if (!strcmp(what, "start"))
			start(argument);
		else if (!strcmp(what, "done"))
			oncpu_report_done(0);
		else if (!strcmp(what, "burn"))
			burn_us(atol(argument) * 1000);
		else if (!strcmp(what, "sleep"))
			sleep_us(atol(argument) * 1000);
		else if (!strcmp(what, "thread"))
			in_thread(atol(argument) * 1000);
		else if (!strcmp(what, "child"))
			in_child(atol(argument) * 1000);
		else if (!strcmp(what, "churn"))
			churn(atol(argument));
		else
			return 1;
		puts("ok");
	}
	return 0;
}
