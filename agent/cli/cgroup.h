/* SPDX-License-Identifier: GPL-2.0 */
/* One cgroup v2 of our own, under <mount>/oncpu; also on hybrid hosts. */
#ifndef ONCPU_CLI_CGROUP_H
#define ONCPU_CLI_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup {
	char path[512];
	uint64_t id;
	int fd, events; /* the directory; cgroup.events */
};

int cgroup_mount(char *buffer, unsigned long size);  /* 0, -ENOENT */
int cgroup_make(struct cgroup *c, const char *kind); /* 0, -errno */
int cgroup_enter(const struct cgroup *c);
bool cgroup_populated(const struct cgroup *c); /* any process left, in the whole subtree */
int cgroup_kill(const struct cgroup *c);
uint64_t cgroup_cpu_ns(const struct cgroup *c); /* cpu.stat's usage */
void cgroup_remove(struct cgroup *c);

#endif
