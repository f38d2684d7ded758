/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One invocation with very many threads alive at once, or very many processes one after the other
 * and some left behind.
 *
 * crowd NAME threads N    all N exist before the first of them works
 * crowd NAME forks N      a fork that is refused is not an error
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oncpu/runtime.h"

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void work(void)
{
	for (volatile int i = 0; i < 3000; i++)
		;
}

static void *one(void *unused)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	work();
	return unused;
}

static int threads(long count)
{
	pthread_t *all = calloc((size_t)count, sizeof(*all));
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN + 4096);
	pthread_mutex_lock(&gate);
	for (long i = 0; i < count; i++)
		if (pthread_create(&all[i], &small, one, NULL)) {
			perror("pthread_create");
			return 3;
		}
	pthread_mutex_unlock(&gate);
	for (long i = 0; i < count; i++)
		pthread_join(all[i], NULL);
	free(all);
	return 0;
}

static int forks(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid)
			continue; /* refused, or waited for below */
		work();
		if (i % 50 == 0 && fork() == 0) /* an orphan */
			work();
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	long count = argc == 4 ? atol(argv[3]) : 0;
	int code;

	if (count < 1)
		return 2;
	oncpu_receive_start(argv[1], "crowd-1");
	code = strcmp(argv[2], "threads") ? forks(count) : threads(count);
	oncpu_report_done(code);
	return code;
}
