/* SPDX-License-Identifier: GPL-2.0 */
/* Attaches marks and symbols, adopts what already runs, registers cgroups. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>

#include "kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */
#include "../bpf/accounting.h"

/* ---- uprobes ---- */

static int pin_name(const struct kern_owner *o, const char *what, int fd, uint64_t offset,
		    char *buffer, size_t size)
{
	struct stat st;
	int n;

	if (fstat(fd, &st))
		return -errno;
	n = snprintf(buffer, size, "%s/%s-%x-%x-%llu-%llx", o->pin_dir, what, major(st.st_dev),
		     minor(st.st_dev), (unsigned long long)st.st_ino, (unsigned long long)offset);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int uprobe_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -ENOENT;

	if (!f)
		return -ENOENT;
	if (fscanf(f, "%d", &type) != 1)
		type = -ENOENT;
	fclose(f);
	return type;
}

/* By hand rather than through libbpf, whose link would keep the perf event's descriptor open in
 * this process for good: here the pin alone holds the attachment. */
static int attach_uprobe(const struct kern_owner *o, struct bpf_program *program, int fd,
			 uint64_t offset, uint64_t cookie, const char *pin)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = cookie);
	struct perf_event_attr attr = { .size = sizeof(attr), .config2 = offset };
	int type = uprobe_type(), event, link, error = 0;
	char path[64];

	if (!access(pin, F_OK))
		return 0; /* by this agent or an earlier one */
	if (type < 0 || o->without & KERN_WITHOUT_UPROBES)
		return kern_fail(-EOPNOTSUPP,
				 "no uprobes: not in this kernel (CONFIG_UPROBE_EVENTS), or gone "
				 "without; marks are seen as hellos only");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	attr.type = (uint32_t)type;
	attr.config1 = (uint64_t)(uintptr_t)path;
	event = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return kern_fail(-errno, "cannot make a uprobe at offset 0x%llx: %s",
				 (unsigned long long)offset, strerror(errno));
	link = bpf_link_create(bpf_program__fd(program), event, BPF_PERF_EVENT, &options);
	if (link < 0)
		error = kern_fail(link, "cannot attach to offset 0x%llx: %s",
				  (unsigned long long)offset, strerror(-link));
	else if (bpf_obj_pin(link, pin))
		error = kern_fail(-errno, "cannot pin %s: %s", pin, strerror(errno));
	if (link >= 0)
		close(link);
	close(event);
	return error;
}

int kern_owner_attach_mark(struct kern_owner *o, int file_fd, uint64_t offset)
{
	char pin[400];
	int error = pin_name(o, "mark", file_fd, offset, pin, sizeof(pin));

	return error ? error : attach_uprobe(o, o->skel->progs.stub_mark, file_fd, offset, 0, pin);
}

int kern_owner_attach_symbol(struct kern_owner *o, int file_fd, uint64_t offset,
			     const struct kern_symbol *s)
{
	struct oncpu_pattern name = {};
	uint32_t index = o->symbol_names;
	uint64_t cookie;
	char what[32], pin[400];
	int error;

	snprintf(what, sizeof(what), "symbol-%u", o->symbol_generation);
	error = pin_name(o, what, file_fd, offset, pin, sizeof(pin));
	if (error)
		return error;
	if (s->function[0]) {
		if (index >= ONCPU_MAX_PATTERNS)
			return kern_fail(-ENOSPC, "more than %u configured symbols",
					 ONCPU_MAX_PATTERNS);
		snprintf(name.function, sizeof(name.function), "%s", s->function);
		if (bpf_map_update_elem(bpf_map__fd(o->skel->maps.symbol_names), &index, &name,
					BPF_ANY))
			return -errno;
		o->symbol_names++;
	}
	cookie = ONCPU_COOKIE(
		s->kind, s->id_arg < 0 ? 0xff : s->id_arg, s->name_arg < 0 ? 0xff : s->name_arg,
		s->status_arg < 0 ? 0xff : s->status_arg, s->function[0] ? index + 1 : 0);
	/* sleepable, so without a stub: beside the old one's, until kern_owner_take_symbols */
	return attach_uprobe(o, o->skel->progs.on_symbol, file_fd, offset, cookie, pin);
}

/* Of a pin of a symbol; 0 = it is none. */
static uint32_t generation_of(const char *pin)
{
	unsigned generation = 0;

	return sscanf(pin, "symbol-%u-", &generation) == 1 ? generation : 0;
}

/* One that no pin there has: what an agent left that was killed while it attached is not in charge,
 * and is not to be. */
uint32_t kern_next_generation(const struct kern_owner *o)
{
	uint32_t last = o->control ? o->control->symbol_generation : 0, g;
	DIR *d = opendir(o->pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if ((g = generation_of(e->d_name)) > last)
			last = g;
	if (d)
		closedir(d);
	return last + 1;
}

int kern_owner_take_symbols(struct kern_owner *o)
{
	DIR *d = opendir(o->pin_dir);
	struct dirent *e;
	int error = 0;

	if (!d)
		return -errno;
	__atomic_store_n(&o->control->symbol_generation, o->symbol_generation, __ATOMIC_SEQ_CST);
	while ((e = readdir(d)))
		if (generation_of(e->d_name) && generation_of(e->d_name) != o->symbol_generation &&
		    unlinkat(dirfd(d), e->d_name, 0) && errno != ENOENT)
			error = -errno;
	closedir(d);
	return error;
}

int kern_owner_know_object(struct kern_owner *o, const struct oncpu_object *object)
{
	uint32_t one = 1;

	return bpf_map_update_elem(bpf_map__fd(o->skel->maps.objects), object, &one, BPF_ANY)
		       ? -errno
		       : 0;
}

/* ---- cgroups that exist already ---- */

int kern_glob(const char *pattern, const char *path)
{
	char p[ONCPU_PATTERN_LEN] = "", s[ONCPU_PATTERN_LEN] = "";
	struct glob_walk walk;

	if (snprintf(p, sizeof(p), "%s", pattern) >= (int)sizeof(p) ||
	    snprintf(s, sizeof(s), "%s", path) >= (int)sizeof(s))
		return 0;
	glob_begin(&walk);
	while (walk.result < 0)
		glob_step(&walk, p, s);
	return walk.result;
}

static _Thread_local struct kern_owner *walking;
static _Thread_local int walk_error;
static _Thread_local uint64_t walk_roots[64]; /* id of the matched cgroup above, by depth */

/* Nobody has run there yet, nor below. */
static bool is_fresh(const char *cgroup)
{
	unsigned long long us = 1;
	char path[4096], line[64];
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/cpu.stat", cgroup) >= (int)sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f) || sscanf(line, "usage_usec %llu", &us) != 1)
		us = 1;
	fclose(f);
	return !us;
}

static void register_cgroup(const char *path, uint64_t id, uint64_t root, const char *function)
{
	/* who lived there before us, nobody knows */
	struct oncpu_cgroup cg = { .root = root, .lives = 1, .fresh = is_fresh(path) };

	if (function)
		snprintf(cg.function, sizeof(cg.function), "%s", function);
	if (bpf_map_update_elem(bpf_map__fd(walking->skel->maps.cgroups), &id, &cg, BPF_NOEXIST) &&
	    errno != EEXIST)
		walk_error = -errno;
}

static int visit_cgroup(const char *path, const struct stat *st, int type, struct FTW *at)
{
	size_t root_length = strlen(walking->cgroup_root);
	uint64_t above;

	if (type != FTW_D)
		return 0;
	if (at->level <= 0 || at->level >= 64) {
		walk_roots[0] = 0;
		return 0;
	}
	above = walk_roots[at->level - 1];
	walk_roots[at->level] = above;
	if (above) {
		register_cgroup(path, st->st_ino, above, NULL);
		return walk_error;
	}
	for (uint32_t i = 0; i < walking->pattern_count; i++) {
		if (kern_glob(walking->patterns[i].pattern, path + root_length) != 1)
			continue;
		walk_roots[at->level] = st->st_ino;
		register_cgroup(path, st->st_ino, st->st_ino, walking->patterns[i].function);
		break;
	}
	return walk_error;
}

int kern_register_cgroups(struct kern_owner *o)
{
	if (!o->cgroup_root[0] || !o->pattern_count)
		return 0;
	walking = o;
	walk_error = 0;
	nftw(o->cgroup_root, visit_cgroup, 32, FTW_PHYS | FTW_MOUNT);
	return walk_error;
}

/* ---- what already runs ---- */

static int run_iterator(struct kern_owner *o)
{
	struct bpf_link *link;
	char unused[256];
	ssize_t n;
	int fd;

	if (o->without & KERN_WITHOUT_ITERATOR)
		return -EOPNOTSUPP;
	link = bpf_program__attach_iter(o->skel->progs.adopt, NULL);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		bpf_link__destroy(link);
		return -errno;
	}
	do
		n = read(fd, unused, sizeof(unused));
	while (n > 0 || (n < 0 && errno == EINTR));
	close(fd);
	bpf_link__destroy(link);
	return n < 0 ? -errno : 0;
}

/* Runs on each CPU once, so that each one switches and no slot is older than the adoption. */
static void switch_each_cpu(const struct kern_owner *o)
{
	cpu_set_t before, one;

	if (sched_getaffinity(0, sizeof(before), &before))
		return;
	for (uint32_t c = 0; c < o->cpus; c++) {
		CPU_ZERO(&one);
		CPU_SET(c, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			sched_yield();
	}
	sched_setaffinity(0, sizeof(before), &before);
}

int kern_owner_adopt(struct kern_owner *o)
{
	int error;

	switch_each_cpu(o); /* the hooks have seen every CPU: clocks can be compared */
	error = kern_register_cgroups(o);
	if (error)
		return kern_fail(error, "cannot register the cgroups: %s", strerror(-error));
	o->control->adopt_tgid = 0;
	error = run_iterator(o);
	if (error)
		return kern_fail(error, "cannot adopt running processes: %s", strerror(-error));
	switch_each_cpu(o);
	error = kern_where_ready(o);
	return error ? error : kern_calibrate(o);
}

int kern_owner_adopt_tree(struct kern_owner *o, pid_t tgid, uint64_t uid)
{
	int error;

	o->control->adopt_instance = uid & ((1u << ONCPU_INSTANCE_BITS) - 1);
	o->control->adopt_tgid = (uint32_t)tgid;
	error = run_iterator(o);
	o->control->adopt_tgid = 0;
	switch_each_cpu(o);
	return error;
}
