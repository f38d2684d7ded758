/* SPDX-License-Identifier: GPL-2.0 */
/* See cgroup.h. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cgroup.h"

int cgroup_mount(char *buffer, unsigned long size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int error = -ENOENT;

	if (!f)
		return -errno;
	while (error && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2") &&
		    snprintf(buffer, size, "%s", m->mnt_dir) < (int)size)
			error = 0;
	endmntent(f);
	return error;
}

int cgroup_make(struct cgroup *c, const char *kind)
{
	char root[256];
	struct timespec now;
	struct stat st;
	int error = cgroup_mount(root, sizeof(root));

	if (error)
		return error;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(c->path, sizeof(c->path), "%s/oncpu", root);
	if (mkdir(c->path, 0755) && errno != EEXIST)
		return -errno;
	snprintf(c->path, sizeof(c->path), "%s/oncpu/%s-%d-%lx", root, kind, getpid(), now.tv_nsec);
	if (mkdir(c->path, 0755)) {
		c->path[0] = 0;
		return -errno;
	}
	c->fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0 || fstat(c->fd, &st))
		return -errno;
	c->id = st.st_ino;
	c->events = openat(c->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	return c->events < 0 ? -errno : 0;
}

static int write_file(const struct cgroup *c, const char *name, const char *what)
{
	int fd = openat(c->fd, name, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, what, strlen(what)) < 0)
		error = -errno;
	close(fd);
	return error;
}

int cgroup_enter(const struct cgroup *c)
{
	return write_file(c, "cgroup.procs", "0");
}

int cgroup_kill(const struct cgroup *c)
{
	return write_file(c, "cgroup.kill", "1");
}

static long long read_key(int fd, const char *key)
{
	char text[1024], *line;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	size_t length = strlen(key);

	if (n <= 0)
		return -1;
	text[n] = 0;
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && line[length] == ' ')
			return atoll(line + length + 1);
	}
	return -1;
}

bool cgroup_populated(const struct cgroup *c)
{
	return read_key(c->events, "populated") > 0;
}

uint64_t cgroup_cpu_ns(const struct cgroup *c)
{
	int fd = openat(c->fd, "cpu.stat", O_RDONLY | O_CLOEXEC);
	long long us = fd < 0 ? 0 : read_key(fd, "usage_usec");

	if (fd >= 0)
		close(fd);
	return us > 0 ? (uint64_t)us * 1000 : 0;
}

void cgroup_remove(struct cgroup *c)
{
	if (c->events >= 0)
		close(c->events);
	if (c->fd >= 0)
		close(c->fd);
	if (c->path[0])
		rmdir(c->path);
	c->fd = c->events = -1;
	c->path[0] = 0;
}
