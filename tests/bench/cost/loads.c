/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The processes that are measured: each does what it is told a thousand times, and says how long
 * one took. And the bench's own end, at which they and all that it made are gone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loads.h"
#include "oncpu/runtime.h"

enum { CHUNKS = 151, QUIET = 2, CHUNK_TRIPS = 200, CHUNK_MARKS = 1000, CHUNK_PACKETS = 300 };

char cgroup_root[KERN_CGROUP_ROOT_MAX];
struct load ping_pong, marker, sender;
void (*while_asked)(void);
static volatile sig_atomic_t stopped_by;

/* ---- its own end ---- */

static void on_signal(int which)
{
	stopped_by = which;
}

void bench_cgroup(char which, char path[700])
{
	snprintf(path, 700, "%s/oncpu-bench-%c", cgroup_root, which);
}

void die(const char *what)
{
	if (stopped_by)
		fprintf(stderr, "cost: ended by signal %d\n", (int)stopped_by);
	else
		fprintf(stderr, "cost: %s: %s %s\n", what, strerror(errno), kern_error());
	clean_up();
	exit(2);
}

void pause_ms(long ms)
{
	struct timespec rest = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&rest, &rest) && !stopped_by)
		;
	if (stopped_by)
		die("pause");
}

void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A child that dies with us, even by SIGKILL, and by a signal at once. */
pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	return 0;
}

/* ---- the loads ---- */

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void enter(char cgroup, int cpu)
{
	char path[700];
	cpu_set_t s;
	int fd;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	sched_setaffinity(0, sizeof(s), &s); /* with one CPU there is nothing to choose */
	if (!cgroup)
		return;
	bench_cgroup(cgroup, path);
	strcat(path, "/cgroup.procs");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(3);
	close(fd);
}

double ask(const struct load *l, char what)
{
	struct pollfd answer = { .fd = l->out, .events = POLLIN };
	double ns = 0;

	if (write(l->in, &what, 1) != 1)
		die("a load is gone");
	while (while_asked && l == &marker && !poll(&answer, 1, 1))
		while_asked();
	if (read(l->out, &ns, sizeof(ns)) != sizeof(ns))
		die("a load does not answer");
	return ns;
}

int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Answers each command with the third least of 151 measurements of a millisecond. On a host that
 * shares its cores with others most of them may be slower by a third, for as long as the neighbour
 * is busy: this one is what an undisturbed one takes, and comes out the same within 10 ns. */
static void serve(int in, int out, double (*chunk)(char what, int *pipes), int *pipes)
{
	double ns[CHUNKS];
	char what;

	while (read(in, &what, 1) == 1) {
		for (int i = 0; i < CHUNKS; i++)
			ns[i] = chunk(what, pipes);
		qsort(ns, CHUNKS, sizeof(*ns), by_size);
		if (write(out, &ns[QUIET], sizeof(*ns)) != sizeof(*ns))
			break;
	}
	_exit(0);
}

void load_up(struct load *l, char cgroup, int cpu, double (*chunk)(char, int *), int *pipes)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	l->pid = spawn();
	if (!l->pid) {
		close(in[1]);
		close(out[0]);
		enter(cgroup, cpu);
		serve(in[0], out[1], chunk, pipes);
	}
	close(in[0]);
	close(out[1]);
	l->in = in[1];
	l->out = out[0];
}

/* ns per switch of a pipe ping-pong of two processes on one CPU, each in a cgroup of its own. */
static double play(char what, int *pipes)
{
	uint64_t begin = now_ns();
	char x = what;

	for (int i = 0; i < CHUNK_TRIPS; i++)
		if (write(pipes[1], &x, 1) != 1 || read(pipes[2], &x, 1) != 1)
			_exit(1);
	return (double)(now_ns() - begin) / (2 * CHUNK_TRIPS);
}

void ping_pong_up(void)
{
	int one[2], two[2];
	char x;

	if (pipe2(one, O_CLOEXEC) || pipe2(two, O_CLOEXEC))
		die("pipe");
	if (!spawn()) {
		close(one[1]);
		close(two[0]);
		enter('b', 1);
		while (read(one[0], &x, 1) == 1 && write(two[1], &x, 1) == 1)
			;
		_exit(0);
	}
	load_up(&ping_pong, 'a', 1, play, (int[]){ one[0], one[1], two[0], two[1] });
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
	}
}

void loads_down(void)
{
	close(ping_pong.in); /* they end when nobody asks them, and their cgroups are free then */
	close(marker.in);
	close(sender.in);
	while (ping_pong.pid && wait(NULL) > 0)
		;
	ping_pong.pid = 0;
}

/* Another thread of the instance on the other CPU: 0 no, 1 it is asked to be there, 2 it is. */
static atomic_int there;

static sem_t may_end;

static void *spin(void *unused)
{
	enter(0, 1);
	there = 2;
	while (there)
		__asm__ volatile("pause");
	return unused;
}

static void *sleep_there(void *unused)
{
	enter(0, 1);
	there = 2;
	while (sem_wait(&may_end))
		;
	return unused;
}

static void another_up(char what, pthread_t *other)
{
	there = 1;
	if (sem_init(&may_end, 0, 0) ||
	    pthread_create(other, NULL, what == BESIDE_A_THREAD ? spin : sleep_there, NULL))
		_exit(4);
	while (there == 1)
		;
}

double mark_many(char what, int *unused)
{
	bool beside = what == BESIDE_A_THREAD || what == BESIDE_A_SLEEPER;
	pthread_t other;
	uint64_t begin;

	(void)unused;
	if (beside)
		another_up(what, &other);
	begin = now_ns();
	for (int i = 0; i < CHUNK_MARKS; i++) {
		if (what == WITH_ID)
			oncpu_receive_invoke("6f3a51c0-0000-4000-8000-000000000001");
		else
			oncpu_report_done(0);
	}
	begin = now_ns() - begin;
	there = 0;
	if (beside && (sem_post(&may_end) || pthread_join(other, NULL)))
		_exit(4);
	return (double)begin / CHUNK_MARKS;
}

/* ns per packet to itself over loopback: a soft interrupt each, in the sender's slice. */
double send_many(char what, int *unused)
{
	struct sockaddr_in self = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static int fd = -1;
	socklen_t size = sizeof(self);
	uint64_t begin;

	(void)unused;
	if (fd < 0) {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof(self)) ||
		    getsockname(fd, (struct sockaddr *)&self, &size) ||
		    connect(fd, (struct sockaddr *)&self, size))
			_exit(5);
	}
	begin = now_ns();
	for (int i = 0; i < CHUNK_PACKETS; i++)
		if (send(fd, &what, 1, 0) != 1 || recv(fd, &what, 1, 0) != 1)
			_exit(6);
	return (double)(now_ns() - begin) / CHUNK_PACKETS;
}
