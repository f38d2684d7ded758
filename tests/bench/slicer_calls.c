// SPDX-License-Identifier: GPL-2.0
/*
 * What a caller waits for, and how many calls a second: a trivial function under `oncpu run`,
 * frozen and not, beside the same function without a platform.
 *
 * slicer_calls latency ROUNDS GAP_US NAME=PORT/FUNCTION…  interleaved calls, GAP_US between two: a
 * line of NAME, median and p99 in µs each slicer_calls rate SECONDS CALLERS NAME=PORT/FUNCTION…   a
 * line of NAME, calls/s and refusals each
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TARGETS = 8, CALLS = 50, CALLERS = 64 };

struct target {
	char name[32], function[64], request[512];
	int port, fd, length;
	double *us;
	size_t count;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void parse(struct target *t, const char *text)
{
	if (sscanf(text, "%31[^=]=%d/%63s", t->name, &t->port, t->function) != 3) {
		fprintf(stderr, "%s is not NAME=PORT/FUNCTION\n", text);
		exit(2);
	}
	t->length = snprintf(t->request, sizeof(t->request),
			     "POST /2015-03-31/functions/%s/invocations HTTP/1.1\r\nHost: bench\r\n"
			     "Content-Length: 2\r\n\r\n{}",
			     t->function);
}

static int dial(const struct target *t)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((unsigned short)t->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror(t->name);
		exit(1);
	}
	return fd;
}

/* The answer fits one read: headers and a few bytes. */
static int call(const struct target *t, int fd)
{
	char answer[4096];
	ssize_t n = -1;

	if (send(fd, t->request, (size_t)t->length, MSG_NOSIGNAL) == t->length)
		n = recv(fd, answer, sizeof(answer) - 1, 0);
	answer[n > 0 ? n : 0] = '\0';
	return n > 12 ? atoi(answer + 9) : 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void latency(struct target *targets, int count, int rounds, useconds_t gap_us)
{
	for (int i = 0; i < count; i++) {
		targets[i].us = calloc((size_t)rounds * CALLS, sizeof(double));
		targets[i].fd = dial(&targets[i]);
	}
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < count; i++)
			for (int c = 0; c < CALLS; c++) {
				double began;

				usleep(gap_us); /* so that it is frozen by then, if it ever is */
				began = now();
				if (call(&targets[i], targets[i].fd) != 200) {
					fprintf(stderr, "%s: a call failed\n", targets[i].name);
					exit(1);
				}
				targets[i].us[targets[i].count++] = (now() - began) * 1e6;
			}
	for (int i = 0; i < count; i++) {
		struct target *t = &targets[i];

		qsort(t->us, t->count, sizeof(double), by_size);
		printf("%s %.1f %.1f\n", t->name, t->us[t->count / 2], t->us[t->count * 99 / 100]);
	}
}

static atomic_ulong done, refused;
static atomic_bool stop;

static void *caller(void *argument)
{
	const struct target *t = argument;
	int fd = dial(t);

	while (!stop) {
		int status = call(t, fd);

		if (status == 200)
			done++;
		else if (status == 429)
			refused++;
		else
			break;
	}
	close(fd);
	return NULL;
}

static void rate(struct target *t, double seconds, int callers)
{
	pthread_t threads[CALLERS];
	double began = now();

	done = refused = 0;
	stop = false;
	for (int i = 0; i < callers; i++)
		pthread_create(&threads[i], NULL, caller, t);
	usleep((useconds_t)(seconds * 1e6));
	stop = true;
	for (int i = 0; i < callers; i++)
		pthread_join(threads[i], NULL);
	printf("%s %.0f %lu\n", t->name, (double)done / (now() - began), refused);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct target targets[TARGETS];
	const int first = 4;
	int count = 0;

	if (argc <= first)
		return fprintf(stderr, "see the head of slicer_calls.c\n"), 2;
	for (int a = first; a < argc && count < TARGETS; a++)
		parse(&targets[count++], argv[a]);
	if (!strcmp(argv[1], "latency")) {
		latency(targets, count, atoi(argv[2]), (useconds_t)atoi(argv[3]));
		return 0;
	}
	for (int i = 0; i < count; i++)
		rate(&targets[i], atof(argv[2]), atoi(argv[3]) < CALLERS ? atoi(argv[3]) : CALLERS);
	return 0;
}
