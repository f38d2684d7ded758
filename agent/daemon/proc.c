// SPDX-License-Identifier: GPL-2.0
/* Questions to /proc, each bounded. No state. */
#include "daemon/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "oncpu/abi.h"

#define PROC_MAX_THREADS 4096

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}
#define _cleanup_dir_ _cleanup_(cleanup_dir)

/* The head of a small file as text; bytes, or -errno. */
static ssize_t read_text(const char *path, char *text, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return n;
}

char proc_state(int pid)
{
	char path[32], text[128];
	const char *name_end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	name_end = strrchr(text, ')'); /* the name may hold anything, the fields after it do not */
	return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

bool proc_syscall_is_hello(const char *text, uint64_t *ret_hello)
{
	unsigned long long value[6];
	char *end;

	errno = 0;
	for (int i = 0; i < 6; i++) {
		if (i > 0 && *text++ != ' ')
			return false;
		value[i] = strtoull(text, &end, i == 0 ? 10 : 16);
		if (end == text || errno)
			return false;
		text = end;
	}
	/* value[1] is the first argument, which some machines overwrite with the result */
	if (value[0] != SYS_prctl || value[3] != ONCPU_HELLO_MAGIC)
		return false;
	*ret_hello = value[5];
	return true;
}

static uint64_t site_of_hello(int pid, uint64_t hello)
{
	uint64_t site = 0;
	struct iovec here = { &site, sizeof(site) };
	struct iovec there = { (void *)(uintptr_t)(hello + offsetof(struct oncpu_hello, site)),
			       sizeof(site) };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof(site) ? site : 0;
}

int proc_stopped_in_hello(int pid, uint64_t *ret_site)
{
	char path[288], text[256];
	_cleanup_dir_ DIR *tasks = NULL;
	struct dirent *entry;
	uint64_t hello;

	if (proc_state(pid) != 'T')
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return 0;
	for (int seen = 0; seen < PROC_MAX_THREADS && (entry = readdir(tasks)); seen++) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/syscall", pid, entry->d_name);
		if (read_text(path, text, sizeof(text)) > 0 &&
		    proc_syscall_is_hello(text, &hello)) {
			*ret_site = site_of_hello(pid, hello);
			return 1;
		}
	}
	return 0;
}

int proc_next_stopped(int after, uint64_t *ret_site)
{
	_cleanup_dir_ DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t site;

	while (proc && (entry = readdir(proc))) {
		int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

		/* readdir gives processes in the order of their pids */
		if (pid > after && proc_stopped_in_hello(pid, &site)) {
			*ret_site = site;
			return pid;
		}
	}
	return 0;
}

int proc_continue(int pid)
{
	_cleanup_fd_ int fd = -EBADF;
	uint64_t site;

	if (pid <= 1)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	/* the pidfd first: whoever is seen stopped now is the one who gets the signal */
	for (int tries = 0; !proc_stopped_in_hello(pid, &site); tries++) {
		char state = proc_state(pid);

		if (state == 0 || state == 'Z')
			return -ESRCH;
		if (tries == 20)
			return -EAGAIN;
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	return syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0) ? -errno : 0;
}
