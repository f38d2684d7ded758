/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What measuring costs: added ns per context switch and per boundary, against the floor that an
 * empty program on the same hook pays and against peers, all interleaved in one run; medians and
 * ratios.
 *
 * cost [ROUNDS] [--json FILE]
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "kern/kern.h"
#include "../agent/kern/kern_internal.h"
#include "floor.skel.h"
#include "oncpu/runtime.h"

#define PIN_DIR "/sys/fs/bpf/oncpu-bench"
enum { MAX_ROUNDS = 101, SWITCHES = 20000, MARKS = 200000 };

static struct floor_bpf *floor_;
static char cgroup_root[KERN_CGROUP_ROOT_MAX];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "cost: %s: %s %s\n", what, strerror(errno), kern_error());
	kern_unpin(PIN_DIR);
	exit(2);
}

static void pin(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	sched_setaffinity(0, sizeof(s), &s);
}

static void enter(const char *name)
{
	char path[700];
	int fd;

	if (!name)
		return;
	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", cgroup_root, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(3);
	close(fd);
}

/* ns per switch of a pipe ping-pong of two processes on one CPU, in cgroups a and b (NULL = none).
 */
static double switches(const char *a, const char *b)
{
	int one[2], two[2], result[2];
	double ns = 0;
	char x = 0;

	if (pipe(one) || pipe(two) || pipe(result))
		die("pipe");
	if (!fork()) {
		enter(a);
		pin(1);
		for (int i = 0; i < SWITCHES + 500; i++)
			if (read(one[0], &x, 1) != 1 || write(two[1], &x, 1) != 1)
				_exit(1);
		_exit(0);
	}
	if (!fork()) {
		uint64_t begin = 0;

		enter(b);
		pin(1);
		for (int i = 0; i < SWITCHES + 500; i++) {
			if (i == 500)
				begin = now_ns();
			if (write(one[1], &x, 1) != 1 || read(two[0], &x, 1) != 1)
				_exit(1);
		}
		ns = (double)(now_ns() - begin) / (2 * SWITCHES);
		if (write(result[1], &ns, sizeof(ns)) != sizeof(ns))
			_exit(1);
		_exit(0);
	}
	close(result[1]);
	if (read(result[0], &ns, sizeof(ns)) != sizeof(ns))
		die("ping-pong");
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
	}
	close(result[0]);
	return ns;
}

/* ns per mark, in a child (of a cgroup, or of none) pinned to a CPU. */
static double marks(const char *cgroup)
{
	int result[2];
	double ns = 0;

	if (pipe(result))
		die("pipe");
	if (!fork()) {
		uint64_t begin;

		enter(cgroup);
		pin(0);
		oncpu_receive_start("bench", "0");
		begin = now_ns();
		for (int i = 0; i < MARKS; i++)
			oncpu_report_done(0);
		ns = (double)(now_ns() - begin) / MARKS;
		if (write(result[1], &ns, sizeof(ns)) != sizeof(ns))
			_exit(1);
		_exit(0);
	}
	close(result[1]);
	if (read(result[0], &ns, sizeof(ns)) != sizeof(ns))
		die("marks");
	wait(NULL);
	close(result[0]);
	return ns;
}

/* ---- what is switched on around a measurement ---- */

struct oncpu_on {
	struct kern_owner *owner;
	struct kern_view *view;
};

static int attach_one(void *user, const char *probe, uint64_t offset)
{
	(void)probe;
	return kern_owner_attach_mark(((void **)user)[0], *(int *)((void **)user)[1], offset);
}

static struct oncpu_on oncpu_up(bool with_marks)
{
	struct kern_pattern pattern = { "bench", "/oncpu-bench-*" };
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .patterns = &pattern,
				      .pattern_count = 1,
				      .ring_bytes = 256u << 20,
				      .hidden_check = true,
				      .live_steal = true };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct oncpu_on on = {};
	void *user[2];
	bool adopted;

	kern_unpin(PIN_DIR);
	if (kern_owner_open(&config, &on.owner, &adopted) || kern_owner_adopt(on.owner))
		die("cannot set up the kernel side");
	user[0] = on.owner;
	user[1] = &fd;
	if (with_marks && elf_marks(fd, attach_one, user) <= 0)
		die("no marks in this program");
	close(fd);
	return on;
}

static void oncpu_down(struct oncpu_on *on)
{
	kern_owner_close(&on->owner);
	kern_unpin(PIN_DIR);
}

static pid_t peer_up(const char *command)
{
	int out[2];
	pid_t pid;
	char c;

	if (pipe(out))
		die("pipe");
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(out[0]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	/* attached once it says so, or (perf says nothing) once its programs or events exist */
	if (strstr(command, "perf"))
		nanosleep(&(struct timespec){ 0, 500000000 }, NULL);
	else if (read(out[0], &c, 1) != 1)
		fprintf(stderr, "cost: peer `%s` ended at once\n", command);
	nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	return pid;
}

static void peer_down(pid_t pid)
{
	kill(-pid, SIGINT);
	nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- rows ---- */

struct row {
	const char *name, *peer;
	int kind; /* 0 nothing, 1 floor, 2 untracked, 3 tracked both, 4 peer */
	double ns[MAX_ROUNDS];
	bool missing;
};

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_size);
	return v[n / 2];
}

static double measure_switch(struct row *r)
{
	struct bpf_link *link = NULL;
	struct oncpu_on on;
	double ns;
	pid_t peer;

	switch (r->kind) {
	case 1:
		link = bpf_program__attach(floor_->progs.empty_switch);
		ns = switches(NULL, NULL);
		bpf_link__destroy(link);
		return ns;
	case 2:
	case 3:
		on = oncpu_up(false);
		ns = r->kind == 3 ? switches("oncpu-bench-a", "oncpu-bench-b")
				  : switches(NULL, NULL);
		oncpu_down(&on);
		return ns;
	case 4:
		peer = peer_up(r->peer);
		ns = switches(NULL, NULL);
		peer_down(peer);
		return ns;
	default:
		return switches(NULL, NULL);
	}
}

static int note_done(void *user, const char *probe, uint64_t offset)
{
	if (!strcmp(probe, "report_done"))
		*(uint64_t *)user = offset;
	return 0;
}

static int find_done_site(uint64_t *ret)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), n;

	*ret = 0;
	n = elf_marks(fd, note_done, ret);
	close(fd);
	return n > 0 && *ret ? 0 : -1;
}

static double measure_mark(struct row *r)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options);
	struct bpf_link *link;
	struct oncpu_on on;
	double ns;

	if (r->kind == 0)
		return marks(NULL);
	if (r->kind == 1) {
		uint64_t *site = NULL;
		extern int find_done_site(uint64_t * ret);
		uint64_t offset;

		(void)site;
		if (find_done_site(&offset))
			die("no report_done mark");
		link = bpf_program__attach_uprobe_opts(floor_->progs.empty_mark, -1,
						       "/proc/self/exe", offset, &options);
		if (!link)
			die("empty uprobe");
		ns = marks(NULL);
		bpf_link__destroy(link);
		return ns;
	}
	on = oncpu_up(true);
	ns = marks("oncpu-bench-a");
	oncpu_down(&on);
	return ns;
}

static void table(FILE *json, const char *title, const char *key, struct row *rows, int n,
		  int rounds)
{
	double none = median(rows[0].ns, rounds), empty = median(rows[1].ns, rounds);

	printf("\n%s (median of %d interleaved rounds)\n", title, rounds);
	printf("%-34s %10s %10s %18s\n", "", "ns", "added ns", "added ÷ empty's");
	for (int i = 0; i < n; i++) {
		double m = median(rows[i].ns, rounds), added = m - none;

		printf("%-34s %10.0f %10.0f", rows[i].name, m, added);
		if (i > 0)
			printf(" %18.2f", added / (empty - none));
		printf("\n");
		if (json)
			fprintf(json,
				"{\"bench\":\"%s\",\"row\":\"%s\",\"ns\":%.1f,\"added_ns\":%.1f,"
				"\"ratio_to_empty\":%.3f,\"ratio_of_totals\":%.3f}\n",
				key, rows[i].name, m, added, added / (empty - none), m / empty);
	}
}

int main(int argc, char **argv)
{
	struct row sw[] = {
		{ .name = "nothing attached" },
		{ .name = "empty program", .kind = 1 },
		{ .name = "oncpu, untracked processes", .kind = 2 },
		{ .name = "oncpu, both sides tracked", .kind = 3 },
		{ .name = "cpudist (libbpf-tools)",
		  .kind = 4,
		  .peer = "exec stdbuf -oL /usr/sbin/cpudist 60 1" },
		{ .name = "runqlat (libbpf-tools)",
		  .kind = 4,
		  .peer = "exec stdbuf -oL /usr/sbin/runqlat 60 1" },
		{ .name = "bpftrace, on-CPU sum by pid",
		  .kind = 4,
		  .peer = "exec stdbuf -oL bpftrace -e 'tracepoint:sched:sched_switch { $s = @start[cpu]; if "
			  "($s) { @ns[args->prev_pid] = sum(nsecs - $s); } @start[cpu] = nsecs; "
			  "}'" },
		{ .name = "perf sched record",
		  .kind = 4,
		  .peer = "exec perf sched record -o /tmp/oncpu-bench.perf -- sleep 60" },
		{ .name = "perf stat, all CPUs",
		  .kind = 4,
		  .peer = "exec perf stat -a -e context-switches,task-clock -- sleep 60" },
	};
	struct row mk[] = { { .name = "nobody listens" },
			    { .name = "empty program", .kind = 1 },
			    { .name = "oncpu, boundary and event", .kind = 2 } };
	int rounds = argc > 1 ? atoi(argv[1]) : 7;
	FILE *json = argc > 3 && !strcmp(argv[2], "--json") ? fopen(argv[3], "we") : NULL;
	char path[700];

	if (rounds < 1 || rounds > MAX_ROUNDS)
		die("rounds: 1 to 101");
	setvbuf(stdout, NULL, _IONBF, 0);
	floor_ = floor_bpf__open_and_load();
	if (!floor_ || kern_cgroup_root(cgroup_root, sizeof(cgroup_root)))
		die("cannot set up");
	for (const char *c = "ab"; *c; c++) {
		snprintf(path, sizeof(path), "%s/oncpu-bench-%c", cgroup_root, *c);
		mkdir(path, 0755);
	}
	for (int r = 0; r < rounds; r++) {
		for (size_t i = 0; i < sizeof(sw) / sizeof(sw[0]); i++)
			sw[i].ns[r] = measure_switch(&sw[i]);
		for (size_t i = 0; i < sizeof(mk) / sizeof(mk[0]); i++)
			mk[i].ns[r] = measure_mark(&mk[i]);
	}
	table(json, "Cost of a context switch", "switch", sw, sizeof(sw) / sizeof(sw[0]), rounds);
	table(json, "Cost of a boundary", "boundary", mk, sizeof(mk) / sizeof(mk[0]), rounds);
	for (const char *c = "ab"; *c; c++) {
		snprintf(path, sizeof(path), "%s/oncpu-bench-%c", cgroup_root, *c);
		rmdir(path);
	}
	unlink("/tmp/oncpu-bench.perf");
	if (json)
		fclose(json);
	return 0;
}
