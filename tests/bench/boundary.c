/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a boundary costs by the kernel's own statistics of BPF programs, against an empty program's
 * hit: of instances that stay on one CPU, and of such that have been on all of them.
 *
 * boundary   prints "CPUS POSSIBLE-CPUS", then "NAME NS RATIO" a line; the first is the empty one.
 *
 * For boundary.py, which runs it in virtual machines, but it runs anywhere. Each of the instances
 * makes its marks on CPU 0, in turns with the others; the median of the turns counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cost/loads.h"
#include "floor.skel.h"
#include "oncpu/runtime.h"

#define PIN_DIR "/sys/fs/bpf/oncpu-bench"
enum { ROUNDS = 5, MARKS = 50 };

/* ---- the instances ---- */

struct situation {
	const char *name;
	char cgroup;			   /* 0: it makes the marks that the empty program is at */
	bool roams, has_sleeper, moves_in; /* or it is born in its cgroup */
	int in, out;
	double ns[ROUNDS];
};

static struct situation situations[] = {
	{ .name = "empty" },
	{ .name = "one_cpu", .cgroup = 'a' },
	{ .name = "all_cpus", .cgroup = 'b', .roams = true },
	{ .name = "one_cpu_two_threads", .cgroup = 'c', .has_sleeper = true },
	{ .name = "all_cpus_two_threads", .cgroup = 'd', .roams = true, .has_sleeper = true },
	{ .name = "one_cpu_moved_in", .cgroup = 'e', .moves_in = true },
	{ .name = "all_cpus_moved_in", .cgroup = 'f', .roams = true, .moves_in = true },
};
#define SITUATIONS ((int)(sizeof(situations) / sizeof(situations[0])))

static void be_on(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	if (sched_setaffinity(0, sizeof(s), &s))
		_exit(3);
}

static void *sleep_on(void *unused)
{
	pause();
	return unused;
}

static void live(const struct situation *s, int in, int out)
{
	pthread_t sleeper;
	char path[700], x;
	int fd;

	if (s->moves_in) {
		bench_cgroup(s->cgroup, path);
		strcat(path, "/cgroup.procs");
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(4);
		close(fd);
	}
	for (int cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1; s->roams && cpu >= 0; cpu--)
		be_on(cpu);
	if (s->has_sleeper && pthread_create(&sleeper, NULL, sleep_on, NULL))
		_exit(5);
	while (read(in, &x, 1) == 1) {
		for (int i = 0; i < MARKS; i++) {
			if (s->cgroup)
				oncpu_report_done(0);
			else
				oncpu_response();
		}
		if (write(out, &x, 1) != 1)
			break;
	}
	_exit(0);
}

/* A child that dies with us, in its cgroup from its first slice on if it is born there. */
static pid_t born(const struct situation *s)
{
	struct clone_args how = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	char path[700];
	int fd;
	pid_t pid;

	if (!s->cgroup || s->moves_in)
		return spawn();
	bench_cgroup(s->cgroup, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	how.cgroup = (uint64_t)fd;
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (fd < 0 || pid < 0)
		die("a child in a cgroup");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(fd);
	return pid;
}

static void begin(struct situation *s)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	if (!born(s)) {
		close(in[1]);
		close(out[0]);
		live(s, in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
}

void clean_up(void)
{
	char path[700];

	for (int i = 0; i < SITUATIONS; i++)
		if (situations[i].in > 0)
			close(situations[i].in); /* they end when nobody asks them */
	while (wait(NULL) > 0)
		;
	kern_unpin(PIN_DIR);
	for (int i = 0; i < SITUATIONS; i++)
		if (situations[i].cgroup && cgroup_root[0]) {
			bench_cgroup(situations[i].cgroup, path);
			rmdir(path);
		}
}

/* ---- the kernel's statistics ---- */

/* The newest program of a name. */
static int program_named(const char *name)
{
	uint32_t id = 0;
	int found = -1;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		uint32_t length = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
			die("a program's description");
		if (strcmp(info.name, name)) {
			close(fd);
			continue;
		}
		if (found >= 0)
			close(found);
		found = fd;
	}
	if (found < 0)
		die(name);
	return found;
}

static void statistics(int fd, uint64_t *ret_ns, uint64_t *ret_hits)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		die("a program's statistics");
	*ret_ns = info.run_time_ns;
	*ret_hits = info.run_cnt;
}

/* ns a hit, of one turn. */
static double turn(const struct situation *s, int program)
{
	uint64_t ns, hits, ns_before, hits_before;
	char x = 0;

	statistics(program, &ns_before, &hits_before);
	if (write(s->in, &x, 1) != 1 || read(s->out, &x, 1) != 1)
		die(s->name);
	statistics(program, &ns, &hits);
	if (hits - hits_before < MARKS - 1) { /* one of 1,024 is a hello */
		fprintf(stderr, "boundary: %s: %llu of %d marks hit\n", s->name,
			(unsigned long long)(hits - hits_before), MARKS);
		clean_up();
		exit(1);
	}
	return (double)(ns - ns_before) / (double)(hits - hits_before);
}

/* ---- set up ---- */

struct marks {
	uint64_t done, response;
};

static int on_mark_found(void *user, const char *probe, uint64_t offset)
{
	struct marks *m = user;

	if (!strcmp(probe, "report_done"))
		m->done = offset;
	if (!strcmp(probe, "response"))
		m->response = offset;
	return 0;
}

static void attach_all(void)
{
	struct kern_pattern pattern = { "bench", "/oncpu-bench-*" };
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .patterns = &pattern,
				      .pattern_count = 1,
				      .hidden_check = true,
				      .live_steal = true };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct floor_bpf *empty = floor_bpf__open_and_load();
	struct kern_owner *owner;
	struct marks marks = { 0 };
	bool adopted;

	if (elf_marks(fd, on_mark_found, &marks) <= 0 || !marks.done || !marks.response)
		die("no marks in this program");
	if (!empty || !bpf_program__attach_uprobe(empty->progs.empty_mark, false, -1,
						  "/proc/self/exe", marks.response))
		die("the empty program");
	kern_unpin(PIN_DIR);
	if (kern_owner_open(&config, &owner, &adopted) || kern_owner_adopt(owner) ||
	    kern_owner_attach_mark(owner, fd, marks.done))
		die("cannot set up the kernel side");
	close(fd);
}

int main(void)
{
	char path[700];
	int programs[2];
	double median;

	catch_signals();
	if (kern_cgroup_root(cgroup_root, sizeof(cgroup_root)))
		die("no cgroup v2");
	for (int i = 0; i < SITUATIONS; i++) {
		bench_cgroup(situations[i].cgroup, path);
		if (situations[i].cgroup && mkdir(path, 0755) && errno != EEXIST)
			die("cannot make a cgroup");
	}
	attach_all();
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		die("the statistics of BPF programs");
	be_on(0); /* and so are they all, at first */
	programs[0] = program_named("empty_mark");
	programs[1] = program_named("stub_mark");
	for (int i = 0; i < SITUATIONS; i++)
		begin(&situations[i]);
	for (int round = -1; round < ROUNDS; round++) /* the first one warms up */
		for (int i = 0; i < SITUATIONS; i++)
			situations[i].ns[round < 0 ? 0 : round] =
				turn(&situations[i], programs[situations[i].cgroup != 0]);
	printf("%ld %d\n", sysconf(_SC_NPROCESSORS_ONLN), libbpf_num_possible_cpus());
	for (int i = 0; i < SITUATIONS; i++) {
		qsort(situations[i].ns, ROUNDS, sizeof(double), by_size);
		median = situations[i].ns[ROUNDS / 2];
		printf("%s %.1f %.3f\n", situations[i].name, median,
		       median / situations[0].ns[ROUNDS / 2]);
	}
	clean_up();
	return 0;
}
