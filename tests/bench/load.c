/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions that do nothing but mark, for tests/bench/agent.py.
 *
 * load paced FUNCTION RATE SECONDS   RATE invocations a second, ids FUNCTION-1 …; prints how many
 * load early FUNCTION PERIOD_US      a new process every so often, one invocation each, whose id is
 *                                    CLOCK_MONOTONIC at its mark; until standard input ends
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oncpu/runtime.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int paced(const char *function, uint64_t rate, uint64_t seconds)
{
	uint64_t begin = now_ns(), done = 0;
	char id[128];

	for (uint64_t ms = 1; ms <= seconds * 1000; ms++) {
		for (; done < rate * ms / 1000; done++) {
			snprintf(id, sizeof(id), "%s-%llu", function, (unsigned long long)done + 1);
			if (done)
				oncpu_receive_invoke(id);
			else
				oncpu_receive_start(function, id);
			oncpu_report_done(0);
		}
		sleep_until(begin + ms * 1000000);
	}
	printf("%llu %.3f\n", (unsigned long long)done, (double)(now_ns() - begin) / 1e9);
	return 0;
}

static int early(const char *function, uint64_t period_us)
{
	struct pollfd until = { .events = POLLHUP };
	uint64_t next = now_ns();
	char id[32];

	while (poll(&until, 1, 0) == 0) {
		pid_t pid = fork();

		if (pid == 0) {
			snprintf(id, sizeof(id), "%llu", (unsigned long long)now_ns());
			oncpu_receive_start(function, id);
			oncpu_report_done(0);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		next += period_us * 1000;
		sleep_until(next);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "paced"))
		return paced(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "early"))
		return early(argv[2], strtoull(argv[3], NULL, 10));
	fprintf(stderr, "load paced FUNCTION RATE SECONDS | load early FUNCTION PERIOD_US\n");
	return 2;
}
