/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A function that lies with its marks and runs from its accounts.
 *
 * liar NAME storm THREADS COUNT     COUNT invocations a thread, as fast as they can
 * liar NAME forge VICTIM COUNT      marks in the victim's name with the victim's ids
 * liar NAME hello COUNT             hellos with arguments and addresses of every wrong kind
 * liar NAME session                 leaves its session, and its parent, in mid-invocation
 * liar NAME exec PROGRAM            becomes another program in mid-invocation
 * liar NAME move CGROUP.PROCS       moves itself there in mid-invocation; prints the errno
 * liar NAME trace                   stops and reads a sibling of its own, in mid-invocation
 *
 * Each burns some CPU, and says on standard output when it has done what it is for.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oncpu/abi.h"
#include "oncpu/runtime.h"

static const char *name;
static long count;

static void burn(void)
{
	for (volatile int i = 0; i < 2000000; i++)
		;
}

static void *storm_one(void *number)
{
	char id[64];

	for (long i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "storm-%ld-%ld", (long)(intptr_t)number, i);
		oncpu_receive_invoke(id);
		oncpu_report_done(0);
	}
	return NULL;
}

static int storm(long threads)
{
	pthread_t all[64];

	if (threads < 1 || threads > 64)
		return 2;
	for (long i = 0; i < threads; i++)
		if (pthread_create(&all[i], NULL, storm_one, (void *)(intptr_t)i))
			return 3;
	for (long i = 0; i < threads; i++)
		pthread_join(all[i], NULL);
	return 0;
}

static int forge(const char *victim)
{
	char id[80];

	for (long i = 1; i <= count; i++) {
		snprintf(id, sizeof(id), "%s-%ld", victim, i);
		oncpu_receive_start(victim, id);
		oncpu_report_done(0);
	}
	return 0;
}

static void say_hello(uint64_t number, const void *hello)
{
	char own[16] = "";

	prctl(PR_GET_NAME, own);
	syscall(SYS_prctl, PR_SET_NAME, own, ONCPU_HELLO_MAGIC, number, hello);
}

static int hellos(void)
{
	void *data = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t sites[] = { 0,
				   1,
				   UINT64_MAX,
				   0xffffffff81000000ull,
				   0x7fffffffe000ull,
				   (uint64_t)(uintptr_t)data,
				   (uint64_t)(uintptr_t)&hellos,
				   (uint64_t)(uintptr_t)&printf,
				   (uint64_t)(uintptr_t)&oncpu_mark_report_done + 1 };
	const char *const texts[] = { NULL, (char *)1, (char *)UINT64_MAX, (char *)data + 8190,
				      "fine" };

	memset((char *)data + 8180, 'x', 12); /* a text without an end at the mapping's end */
	for (long i = 0; i < count; i++) {
		struct oncpu_hello hello = { .kind = (uint32_t)(i % 13),
					     .status = -7,
					     .site = sites[i % 9],
					     .function = texts[i % 5],
					     .id = texts[i / 5 % 5] };

		say_hello((uint64_t)i, &hello);
		say_hello(UINT64_MAX - (uint64_t)i, (char *)data + 8191); /* itself cut off */
		say_hello(0, (void *)(uintptr_t)sites[i % 9]);
	}
	return 0;
}

static int session(void)
{
	int done[2];
	char byte;

	if (pipe(done))
		return 3;
	oncpu_receive_start(name, "session-1");
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			setsid();
			burn();
			oncpu_report_done(0); /* from a grandchild that nobody waits for */
			_exit(write(done[1], "x", 1) != 1);
		}
		_exit(0);
	}
	wait(NULL);
	return read(done[0], &byte, 1) != 1;
}

static int become(const char *program)
{
	oncpu_receive_start(name, "exec-1");
	burn();
	execl(program, program, (char *)NULL);
	return 3;
}

static int move(const char *procs)
{
	int fd, error = 0;

	oncpu_receive_start(name, "move-1");
	burn();
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		error = errno;
	burn();
	oncpu_report_done(0);
	printf("%d\n", error);
	return 0;
}

static int trace(void)
{
	pid_t sibling;
	int status;

	oncpu_receive_start(name, "trace-1");
	sibling = fork();
	if (!sibling)
		for (;;)
			burn();
	burn();
	if (ptrace(PTRACE_SEIZE, sibling, 0, 0) || ptrace(PTRACE_INTERRUPT, sibling, 0, 0) ||
	    waitpid(sibling, &status, 0) != sibling)
		return 3;
	burn();
	errno = 0;
	ptrace(PTRACE_PEEKDATA, sibling, (void *)(uintptr_t)&name, 0);
	if (errno || ptrace(PTRACE_DETACH, sibling, 0, 0))
		return 4;
	burn();
	kill(sibling, SIGKILL);
	waitpid(sibling, &status, 0);
	oncpu_report_done(0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "", *more = argc > 3 ? argv[3] : "";
	int code = 2;

	name = argc > 1 ? argv[1] : "";
	count = atol(argv[argc - 1]);
	if (!strcmp(what, "storm"))
		code = storm(atol(more));
	else if (!strcmp(what, "forge"))
		code = forge(more);
	else if (!strcmp(what, "hello"))
		code = hellos();
	else if (!strcmp(what, "session"))
		code = session();
	else if (!strcmp(what, "exec"))
		code = become(more);
	else if (!strcmp(what, "move"))
		code = move(more);
	else if (!strcmp(what, "trace"))
		code = trace();
	if (!code)
		puts("done");
	return code;
}
