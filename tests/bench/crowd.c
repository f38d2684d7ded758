/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Many instances: a cgroup each, with one process in it that sleeps.
 *
 * crowd COUNT NAME   makes NAME/0 … below the cgroup v2 root, says so on a line, and stands until
 *                    standard input ends; then it removes them
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kern/kern.h"

static char top[700];
static long made;

static void clean_up(void)
{
	char path[800];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.kill", top);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) != 1)
		perror("crowd: cgroup.kill");
	if (fd >= 0)
		close(fd);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	while (made-- > 0) {
		snprintf(path, sizeof(path), "%s/%ld", top, made);
		rmdir(path);
	}
	rmdir(top);
}

static void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	clean_up();
	exit(1);
}

/* A child that is born in the cgroup: to move it there would take some ms each. */
static void sleeper(int cgroup)
{
	struct clone_args how = { .flags = CLONE_INTO_CGROUP,
				  .exit_signal = SIGCHLD,
				  .cgroup = (uint64_t)cgroup };
	long pid = syscall(SYS_clone3, &how, sizeof(how));

	if (pid < 0)
		die("a process");
	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void on_signal(int which)
{
	(void)which; /* the read of standard input ends */
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	long count = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
	char root[512], path[800], x;
	int fd;

	if (count < 1 || strchr(argv[2], '/')) {
		fprintf(stderr, "crowd COUNT NAME\n");
		return 2;
	}
	if (kern_cgroup_root(root, sizeof(root))) {
		fprintf(stderr, "crowd: cgroup v2 is not mounted\n");
		return 1;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	snprintf(top, sizeof(top), "%s/%s", root, argv[2]);
	if (mkdir(top, 0755))
		die(top);
	for (; made < count; made++) {
		snprintf(path, sizeof(path), "%s/%ld", top, made);
		if (mkdir(path, 0755))
			die(path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			die(path);
		sleeper(fd);
		close(fd);
	}
	printf("%ld\n", made);
	fflush(stdout);
	if (read(0, &x, 1) > 0)
		fprintf(stderr, "crowd: it wants the end of standard input, and nothing else\n");
	clean_up();
	return 0;
}
