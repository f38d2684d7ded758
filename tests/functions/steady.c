/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A function that is triggered at a steady rate until its standard input ends, whatever becomes of
 *the agent: ids NAME-1, NAME-2, …, each invocation some microseconds of CPU. It keeps the kernel's
 *own clock of its one thread, read just inside and just outside the marks, and prints at its end:
 *
 *	invocations  inside_ns  outside_ns
 *
 * steady NAME RATE
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "oncpu/runtime.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned work(unsigned seed)
{
	for (unsigned i = 0; i < 2000 + seed % 4096; i++)
		seed = seed * 1664525u + 1013904223u;
	return seed;
}

int main(int argc, char **argv)
{
	unsigned long rate = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t begin = clock_ns(CLOCK_MONOTONIC), inside = 0, outside = 0;
	unsigned long done = 0;
	unsigned seed = 1;
	char id[80];

	if (!rate)
		return 2;
	for (;;) {
		uint64_t due = (clock_ns(CLOCK_MONOTONIC) - begin) / 1000 * rate / 1000000;

		for (unsigned burst = 0; done < due && burst < rate; burst++) {
			uint64_t before, in, out;

			snprintf(id, sizeof(id), "%s-%lu", argv[1], done + 1);
			before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
			if (done++)
				oncpu_receive_invoke(id);
			else
				oncpu_receive_start(argv[1], id);
			in = clock_ns(CLOCK_THREAD_CPUTIME_ID);
			seed = work(seed);
			out = clock_ns(CLOCK_THREAD_CPUTIME_ID);
			oncpu_report_done(0);
			outside += clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
			inside += out - in;
		}
		if (poll(&input, 1, 2)) /* input has ended */
			break;
	}
	printf("%lu %llu %llu\n", done, (unsigned long long)inside, (unsigned long long)outside);
	return seed == 0;
}
