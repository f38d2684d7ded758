/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What measuring costs: added ns per context switch and per boundary, against the floor that an
 * empty program on the same hook pays and against peers, all interleaved in one run.
 *
 * cost [--rounds N] [--peer-rounds N] [--seconds N] [--json FILE]
 *
 * Every figure is taken between two of the same processes with nothing attached. Where those two
 * disagree, or are far from what they were at the host's quietest, somebody else had the host, and
 * the figure does not count. It goes on until each row has N figures that do, and for --seconds at
 * most: a row with too few of them is made of all it has, and says so. "added" is the median of the
 * differences. A peer takes seconds to start, so it takes part in some of the rounds only. Ended by
 * a signal, it leaves no pins, cgroups or peers behind.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kern/kern.h"
#include "../agent/kern/kern_internal.h"
#include "floor.skel.h"
#include "oncpu/runtime.h"

#define PIN_DIR "/sys/fs/bpf/oncpu-bench"
#define PERF_DATA "/tmp/oncpu-bench.perf"
enum { MAX_ROUNDS = 101, CHUNKS = 151, CHUNK_TRIPS = 200, CHUNK_MARKS = 1000, CHUNK_PACKETS = 300 };
enum {
	ENOUGH = 3, /* undisturbed figures; fewer make no median */
	DETACHES_MS = 10000,
	SETTLES_MS = 100,
	PEER_SETTLES_MS = 500,
	PEER_STARTS_MS = 30000,
	PEER_ENDS_MS = 5000
};

static struct floor_bpf *empty;
static char cgroup_root[KERN_CGROUP_ROOT_MAX];
static int stubs_before; /* of another agent: its cost is not ours, but ours is more beside it */
static pid_t peer;	 /* the one that runs, 0 = none */
static volatile sig_atomic_t stopped_by;

/* ---- its own end ---- */

static void on_signal(int which)
{
	stopped_by = which;
}

static void peer_down(void);
static void loads_down(void);

static void bench_cgroup(char which, char path[700])
{
	snprintf(path, 700, "%s/oncpu-bench-%c", cgroup_root, which);
}

static void clean_up(void)
{
	char path[700];

	peer_down();
	loads_down();
	kern_unpin(PIN_DIR);
	unlink(PERF_DATA);
	for (const char *c = "abc"; *c && cgroup_root[0]; c++) {
		bench_cgroup(*c, path);
		rmdir(path);
	}
}

static void die(const char *what)
{
	if (stopped_by)
		fprintf(stderr, "cost: ended by signal %d\n", (int)stopped_by);
	else
		fprintf(stderr, "cost: %s: %s %s\n", what, strerror(errno), kern_error());
	clean_up();
	exit(2);
}

static void pause_ms(long ms)
{
	struct timespec rest = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&rest, &rest) && !stopped_by)
		;
	if (stopped_by)
		die("pause");
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A child that dies with us, even by SIGKILL, and by a signal at once. */
static pid_t spawn(void)
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

static uint64_t now_ns(void)
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

/* A process that measures when told to. The same one throughout: two of them, alike but for where
 * their pages lie, differ by more than what is to be measured. */
struct load {
	pid_t pid;
	int in, out;
};

static struct load ping_pong, marker, sender;

static double ask(const struct load *l, char what)
{
	double ns = 0;

	if (write(l->in, &what, 1) != 1 || read(l->out, &ns, sizeof(ns)) != sizeof(ns))
		die("a load does not answer");
	return ns;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *values, int n)
{
	double v[MAX_ROUNDS];

	memcpy(v, values, (size_t)n * sizeof(*v));
	qsort(v, (size_t)n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Answers each command with the tenth percentile of 151 measurements of a millisecond. On a host
 * that shares its cores with others half of them may be slower by a third, for as long as the
 * neighbour is busy: this one is what an undisturbed one takes, and comes out the same within 10
 * ns. */
static void serve(int in, int out, double (*chunk)(char what, int *pipes), int *pipes)
{
	double ns[CHUNKS];
	char what;

	while (read(in, &what, 1) == 1) {
		for (int i = 0; i < CHUNKS; i++)
			ns[i] = chunk(what, pipes);
		qsort(ns, CHUNKS, sizeof(*ns), by_size);
		if (write(out, &ns[CHUNKS / 10], sizeof(*ns)) != sizeof(*ns))
			break;
	}
	_exit(0);
}

static void load_up(struct load *l, char cgroup, int cpu, double (*chunk)(char, int *), int *pipes)
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

static void ping_pong_up(void)
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

static void loads_down(void)
{
	close(ping_pong.in); /* they end when nobody asks them, and their cgroups are free then */
	close(marker.in);
	close(sender.in);
	while (ping_pong.pid && wait(NULL) > 0)
		;
	ping_pong.pid = 0;
}

/* What a mark is made with, and whether another thread of the instance spins on the other CPU. */
enum marking { DONE = 'd', WITH_ID = 'i', BESIDE_A_THREAD = 't' };

static atomic_int spinning; /* 0 no, 1 it is asked to, 2 it does */

static void *spin(void *unused)
{
	enter(0, 1);
	spinning = 2;
	while (spinning)
		__asm__ volatile("pause");
	return unused;
}

static double mark_many(char what, int *unused)
{
	pthread_t other;
	uint64_t begin;

	(void)unused;
	spinning = 1;
	if (what == BESIDE_A_THREAD && pthread_create(&other, NULL, spin, NULL))
		_exit(4);
	while (what == BESIDE_A_THREAD && spinning == 1)
		;
	begin = now_ns();
	for (int i = 0; i < CHUNK_MARKS; i++) {
		if (what == WITH_ID)
			oncpu_receive_invoke("6f3a51c0-0000-4000-8000-000000000001");
		else
			oncpu_report_done(0);
	}
	begin = now_ns() - begin;
	spinning = 0;
	if (what == BESIDE_A_THREAD)
		pthread_join(other, NULL);
	return (double)begin / CHUNK_MARKS;
}

/* ns per packet to itself over loopback: a soft interrupt each, in the sender's slice. */
static double send_many(char what, int *unused)
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

/* ---- what is switched on around a measurement ---- */

struct found {
	struct kern_owner *owner; /* attaches each mark, if set */
	int fd;
	uint64_t done, invoke;
};

static int on_mark_found(void *user, const char *probe, uint64_t offset)
{
	struct found *f = user;

	if (!strcmp(probe, "report_done"))
		f->done = offset;
	if (!strcmp(probe, "receive_invoke"))
		f->invoke = offset;
	return f->owner ? kern_owner_attach_mark(f->owner, f->fd, offset) : 0;
}

static struct found find_marks(struct kern_owner *owner)
{
	struct found f = { .owner = owner, .fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC) };

	if (elf_marks(f.fd, on_mark_found, &f) <= 0 || !f.done || !f.invoke)
		die("no marks in this program");
	close(f.fd);
	return f;
}

struct how {
	bool tracked, where, irq; /* tracked: the loads are an instance each */
};

static struct kern_owner *oncpu_up(struct how how)
{
	struct kern_pattern ours = { "bench", "/oncpu-bench-*" },
			    nobody = { "none", "/oncpu-none" };
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .patterns = how.tracked ? &ours : &nobody,
				      .pattern_count = 1,
				      .ring_bytes = 64u << 20,
				      .hidden_check = true,
				      .live_steal = true,
				      .where = how.where,
				      .irq = how.irq };
	struct kern_owner *owner;
	bool adopted;

	kern_unpin(PIN_DIR);
	if (kern_owner_open(&config, &owner, &adopted) || kern_owner_adopt(owner))
		die("cannot set up the kernel side");
	find_marks(owner);
	return owner;
}

/* How many programs of a name the kernel has. */
static int programs_named(const char *name)
{
	uint32_t id = 0;
	int count = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		uint32_t length = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length))
			count += !strcmp(info.name, name);
		if (fd >= 0)
			close(fd);
	}
	return count;
}

/* Unpinned attachments go one after the other, in the background, in some 300 ms. */
static void oncpu_down(struct kern_owner **owner)
{
	kern_owner_close(owner);
	kern_unpin(PIN_DIR);
	for (int ms = 0; ms < DETACHES_MS && programs_named("stub_switch") > stubs_before; ms += 10)
		pause_ms(10);
}

/* Does the peer hold an attachment? None says so in a way that all would share. */
static bool peer_attached(void)
{
	char path[64], name[400], to[128];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", peer);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		n = readlink(name, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = 0;
		found |= strstr(to, "perf_event") || strstr(to, "bpf_link") ||
			 strstr(to, "bpf-link") || strstr(to, "raw-tracepoint");
	}
	if (d)
		closedir(d);
	return found;
}

static bool peer_ended(void)
{
	return waitpid(peer, NULL, WNOHANG) == peer;
}

/* False if it ends, or attaches nothing. */
static bool peer_up(const char *command)
{
	int seen = 0;

	peer = spawn();
	if (!peer) {
		int null = open("/dev/null", O_RDWR);

		setpgid(0, 0);
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		/* a peer that outlived us would hold what we inherited: a lock, for one */
		close_range(3, ~0u, 0);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	for (int ms = 0; ms < PEER_STARTS_MS && seen < 3; ms += 50) {
		if (peer_ended()) {
			peer = 0;
			return false;
		}
		seen = peer_attached() ? seen + 1 : 0;
		pause_ms(50);
	}
	pause_ms(PEER_SETTLES_MS);
	return seen >= 3;
}

static void peer_down(void)
{
	if (!peer)
		return;
	kill(-peer, SIGINT);
	for (int ms = 0; ms < PEER_ENDS_MS && !peer_ended(); ms += 10) {
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
		if (ms + 10 >= PEER_ENDS_MS)
			kill(-peer, SIGKILL);
	}
	waitpid(peer, NULL, 0);
	peer = 0;
}

/* ---- rows ---- */

/* What is attached while a row is measured. */
enum phase {
	NOTHING,
	EMPTY,
	UNTRACKED,
	TRACKED,
	UNTRACKED_WHERE,
	TRACKED_WHERE,
	TRACKED_IRQ,
	PHASES,
	PEER
};

enum load_kind { SWITCHES, MARKS, PACKETS, LOADS };

struct figure {
	double before, ns, after; /* ns; with nothing attached, as the row says, nothing again */
};

struct row {
	const char *name, *key;
	enum phase phase;
	enum marking marking;
	const char *program, *command; /* of a peer */
	double target;		       /* of the ratio to the empty program, 0 = none */
	struct figure figures[MAX_ROUNDS];
	int n, failed;
};

static struct row switch_rows[] = {
	{ .name = "nothing attached", .key = "nothing" },
	{ .name = "empty program", .key = "empty", .phase = EMPTY },
	{ .name = "oncpu, neither side tracked",
	  .key = "oncpu_untracked",
	  .phase = UNTRACKED,
	  .target = 1.3 },
	{ .name = "oncpu, both sides tracked",
	  .key = "oncpu_tracked",
	  .phase = TRACKED,
	  .target = 1.8 },
	{ .name = "  neither side, where = on",
	  .key = "oncpu_untracked_where",
	  .phase = UNTRACKED_WHERE },
	{ .name = "  both sides, where = on",
	  .key = "oncpu_tracked_where",
	  .phase = TRACKED_WHERE },
	{ .name = "  both sides, irq = on", .key = "oncpu_tracked_irq", .phase = TRACKED_IRQ },
	{ .name = "cpudist (libbpf-tools)",
	  .key = "cpudist",
	  .phase = PEER,
	  .program = "cpudist",
	  .command = "exec cpudist 600 1" },
	{ .name = "runqlat (libbpf-tools)",
	  .key = "runqlat",
	  .phase = PEER,
	  .program = "runqlat",
	  .command = "exec runqlat 600 1" },
	{ .name = "bpftrace, on-CPU sum by pid",
	  .key = "bpftrace_sum",
	  .phase = PEER,
	  .program = "bpftrace",
	  .command = "exec bpftrace -e 'tracepoint:sched:sched_switch { $s = @start[cpu]; "
		     "if ($s) { @ns[args->prev_pid] = sum(nsecs - $s); } @start[cpu] = nsecs; }'" },
	{ .name = "perf sched record",
	  .key = "perf_sched_record",
	  .phase = PEER,
	  .program = "perf",
	  .command = "exec perf sched record -o " PERF_DATA },
	{ .name = "perf stat, all CPUs",
	  .key = "perf_stat",
	  .phase = PEER,
	  .program = "perf",
	  .command = "exec perf stat -a -e context-switches,task-clock" },
};

static struct row mark_rows[] = {
	{ .name = "nobody listens", .key = "nothing", .marking = DONE },
	{ .name = "empty program", .key = "empty", .phase = EMPTY, .marking = DONE },
	{ .name = "oncpu, a boundary and its event",
	  .key = "oncpu",
	  .phase = TRACKED,
	  .marking = DONE,
	  .target = 1.6 },
	{ .name = "  likewise, where = on",
	  .key = "oncpu_where",
	  .phase = TRACKED_WHERE,
	  .marking = DONE },
	{ .name = "oncpu, with a 36-byte id",
	  .key = "oncpu_id",
	  .phase = TRACKED,
	  .marking = WITH_ID },
	{ .name = "oncpu, a thread runs elsewhere",
	  .key = "oncpu_thread",
	  .phase = TRACKED,
	  .marking = BESIDE_A_THREAD },
};

static struct row packet_rows[] = {
	{ .name = "nothing attached", .key = "nothing" },
	{ .name = "empty programs, entry and exit", .key = "empty", .phase = EMPTY },
	{ .name = "oncpu, irq = off", .key = "oncpu", .phase = TRACKED },
	{ .name = "oncpu, irq = on", .key = "oncpu_irq", .phase = TRACKED_IRQ },
};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static struct {
	struct row *rows;
	int count;
	const struct load *load;
	char ask;
	double bases[2 * MAX_ROUNDS * (PHASES + 1)], quiet; /* ns with nothing attached */
	int base_count;
} loads[LOADS] = {
	[SWITCHES] = { switch_rows, COUNT(switch_rows), &ping_pong, 's', { 0 }, 0, 0 },
	[MARKS] = { mark_rows, COUNT(mark_rows), &marker, DONE, { 0 }, 0, 0 },
	[PACKETS] = { packet_rows, COUNT(packet_rows), &sender, 'p', { 0 }, 0, 0 },
};

/* With nothing attached. The quietest so far is the tenth percentile: one may be low by luck. */
static double measure_base(enum load_kind l)
{
	double ns = ask(loads[l].load, loads[l].ask), sorted[COUNT(loads[l].bases)];

	if (loads[l].base_count == COUNT(loads[l].bases))
		return ns;
	loads[l].bases[loads[l].base_count++] = ns;
	memcpy(sorted, loads[l].bases, sizeof(sorted));
	qsort(sorted, (size_t)loads[l].base_count, sizeof(*sorted), by_size);
	loads[l].quiet = sorted[loads[l].base_count / 10];
	return ns;
}

static bool undisturbed(enum load_kind l, const struct figure *f)
{
	double high = f->before > f->after ? f->before : f->after;
	double low = f->before < f->after ? f->before : f->after;

	return high < 1.03 * low && high < 1.05 * loads[l].quiet;
}

static int undisturbed_figures(enum load_kind l, const struct row *r)
{
	int n = 0;

	for (int i = 0; i < r->n; i++)
		n += undisturbed(l, &r->figures[i]);
	return n;
}

/* ---- a round ---- */

struct attached {
	struct kern_owner *owner;
	struct bpf_link *links[4];
};

static void attach(enum phase phase, struct attached *a)
{
	*a = (struct attached){ 0 };
	if (phase >= UNTRACKED)
		a->owner = oncpu_up(
			(struct how){ .tracked = phase != UNTRACKED && phase != UNTRACKED_WHERE,
				      .where = phase == UNTRACKED_WHERE || phase == TRACKED_WHERE,
				      .irq = phase == TRACKED_IRQ });
	if (phase == EMPTY) {
		a->links[0] = bpf_program__attach(empty->progs.empty_switch);
		a->links[2] = bpf_program__attach(empty->progs.empty_entry);
		a->links[3] = bpf_program__attach(empty->progs.empty_exit);
		a->links[1] = bpf_program__attach_uprobe(empty->progs.empty_mark, false, -1,
							 "/proc/self/exe", find_marks(NULL).done);
		if (!a->links[0] || !a->links[1] || !a->links[2] || !a->links[3])
			die("the empty programs");
	}
	pause_ms(SETTLES_MS); /* what was loaded leaves work behind */
}

static void detach(struct attached *a)
{
	for (int i = 0; i < COUNT(a->links); i++)
		bpf_link__destroy(a->links[i]);
	if (a->owner)
		oncpu_down(&a->owner);
	pause_ms(SETTLES_MS);
}

static void keep(struct row *r, double before, double ns, double after)
{
	if (r->n < MAX_ROUNDS)
		r->figures[r->n++] = (struct figure){ before, ns, after };
}

/* Each phase once, each one between two of nothing attached, which neighbours share. */
static void one_round(bool optional)
{
	double base[LOADS], after, ns[LOADS][COUNT(switch_rows)];
	struct attached a;

	for (int l = 0; l < LOADS; l++)
		base[l] = measure_base(l);
	for (enum phase p = NOTHING; p <= (optional ? PHASES - 1 : TRACKED); p++) {
		attach(p, &a);
		for (int l = 0; l < LOADS; l++)
			for (int k = 0; k < loads[l].count; k++)
				if (loads[l].rows[k].phase == p)
					ns[l][k] = ask(loads[l].load,
						       l == MARKS ? (char)mark_rows[k].marking
								  : loads[l].ask);
		detach(&a);
		for (int l = 0; l < LOADS; l++) {
			after = measure_base(l);
			for (int k = 0; k < loads[l].count; k++)
				if (loads[l].rows[k].phase == p)
					keep(&loads[l].rows[k], base[l], ns[l][k], after);
			base[l] = after;
		}
	}
}

static bool installed(const char *program)
{
	char path[300],
		directories[] = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
	char *at = directories, *directory;

	while ((directory = strsep(&at, ":"))) {
		snprintf(path, sizeof(path), "%s/%s", directory, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static void one_peer(struct row *r)
{
	double before, ns = -1;

	if (!installed(r->program))
		return;
	before = measure_base(SWITCHES);
	if (peer_up(r->command))
		ns = ask(&ping_pong, 's');
	peer_down();
	pause_ms(SETTLES_MS);
	if (ns >= 0)
		keep(r, before, ns, measure_base(SWITCHES));
	else if (!r->failed++)
		printf("  %s: ended, or attached nothing within %d s\n", r->key,
		       PEER_STARTS_MS / 1000);
}

/* The fewest undisturbed figures that a row has: of ours, or of the peers. */
static int fewest(bool of_peers)
{
	int least = MAX_ROUNDS;

	for (int l = 0; l < LOADS; l++)
		for (int k = 0; k < loads[l].count; k++) {
			const struct row *r = &loads[l].rows[k];
			int n = undisturbed_figures(l, r);

			if (r->phase > TRACKED && r->phase < PHASES)
				continue; /* what is optional takes part in every other round */
			if (of_peers != (r->phase == PEER) || (of_peers && (r->failed || !r->n)))
				continue;
			least = n < least ? n : least;
		}
	return least;
}

static void run(int rounds, int peer_rounds, int seconds)
{
	uint64_t begin = now_ns(), end = begin + (uint64_t)seconds * 1000000000u;
	int ours = 0, peers = 0;

	for (int i = 1; i < MAX_ROUNDS && now_ns() < end && (ours < rounds || peers < peer_rounds);
	     i++) {
		if (ours < rounds || i % 4)
			one_round(i % 2);
		ours = fewest(false);
		/* their rounds are spread over ours */
		if (peers * rounds <= ours * peer_rounds && peers < peer_rounds) {
			for (int k = 0; k < COUNT(switch_rows) && now_ns() < end; k++)
				if (switch_rows[k].phase == PEER)
					one_peer(&switch_rows[k]);
			peers = fewest(true);
		}
		printf("round %d, %llu s: undisturbed %d of %d, peers %d of %d; a switch %.0f ns, "
		       "a mark %.1f ns\n",
		       i, (unsigned long long)(now_ns() - begin) / 1000000000u, ours, rounds,
		       peers < MAX_ROUNDS ? peers : 0, peer_rounds, loads[SWITCHES].quiet,
		       loads[MARKS].quiet);
	}
}

/* ---- figures ---- */

/* Median of the undisturbed ones; of all, where those are too few. */
static double median_of(enum load_kind l, const struct row *r, bool added)
{
	bool all = undisturbed_figures(l, r) < ENOUGH;
	double v[MAX_ROUNDS];
	int n = 0;

	for (int i = 0; i < r->n; i++) {
		const struct figure *f = &r->figures[i];

		if (all || undisturbed(l, f))
			v[n++] = added ? f->ns - (f->before + f->after) / 2 : f->ns;
	}
	return median(v, n);
}

static void verdict(double ratio, double target)
{
	if (target > 0)
		printf("   target ≤ %.2f: %s", target, ratio <= target ? "met" : "MISSED");
	printf("\n");
}

static void say_skipped(FILE *json, const char *bench, const struct row *r)
{
	const char *why =
		r->failed ? "it ended, or attached nothing" : "not installed, or no time left";

	printf("%-34s skipped: %s\n", r->name, why);
	if (json)
		fprintf(json, "{\"bench\":\"%s\",\"row\":\"%s\",\"skipped\":\"%s\"}\n", bench,
			r->key, why);
}

/* `whole`: the ratio is of the whole hits, not of what was added. */
static void table(FILE *json, enum load_kind l, const char *title, const char *bench, bool whole)
{
	const struct row *rows = loads[l].rows;
	double floor = median_of(l, &rows[1], !whole);

	printf("\n%s\n%-34s %7s %10s %10s %9s\n", title, "", "figures", "ns", "added ns",
	       "÷ empty");
	for (int i = 0; i < loads[l].count; i++) {
		const struct row *r = &rows[i];
		int good = undisturbed_figures(l, r);
		double ns, added, ratio;

		if (!r->n) {
			say_skipped(json, bench, r);
			continue;
		}
		ns = median_of(l, r, false);
		added = median_of(l, r, true);
		ratio = (whole ? ns : added) / floor;
		printf("%-34s %7d %10.1f %10.1f", r->name, good < ENOUGH ? r->n : good, ns, added);
		if (i > 0)
			printf(" %9.2f", ratio);
		if (good < ENOUGH)
			printf("   (disturbed)");
		verdict(ratio, r->target);
		if (json)
			fprintf(json,
				"{\"bench\":\"%s\",\"row\":\"%s\",\"figures\":%d,\"undisturbed\":%"
				"d,"
				"\"ns\":%.1f,\"added_ns\":%.1f,\"ratio_to_empty\":%.3f,"
				"\"target\":%.2f}\n",
				bench, r->key, r->n, good, ns, added, i ? ratio : 0, r->target);
	}
}

static void compare_with_peers(FILE *json)
{
	const struct row *best = NULL, *tracked = NULL;
	double ratio;

	for (int i = 0; i < COUNT(switch_rows); i++) {
		const struct row *r = &switch_rows[i];

		if (r->phase == TRACKED)
			tracked = r;
		if (r->phase == PEER && r->n &&
		    (!best || median_of(SWITCHES, r, true) < median_of(SWITCHES, best, true)))
			best = r;
	}
	if (!best || !tracked || !tracked->n)
		return;
	ratio = median_of(SWITCHES, tracked, true) / median_of(SWITCHES, best, true);
	printf("both sides tracked ÷ the cheapest peer (%s): %.2f", best->name, ratio);
	verdict(ratio, 1.0 / 3);
	if (json)
		fprintf(json,
			"{\"bench\":\"switch\",\"row\":\"tracked_to_best_peer\",\"peer\":\"%s\","
			"\"ratio\":%.3f,\"target\":0.333}\n",
			best->key, ratio);
}

int main(int argc, char **argv)
{
	int rounds = 9, peer_rounds = 3, seconds = 150;
	FILE *json = NULL;
	char path[700];

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--rounds"))
			rounds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--peer-rounds"))
			peer_rounds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--json"))
			json = fopen(argv[i + 1], "ae");
	}
	if (rounds < 1 || rounds >= MAX_ROUNDS || peer_rounds < 0 || peer_rounds > rounds ||
	    seconds < 1) {
		fprintf(stderr, "cost: --rounds is 1 to %d, --peer-rounds no more than that\n",
			MAX_ROUNDS - 1);
		return 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", 1);
	catch_signals();
	empty = floor_bpf__open_and_load();
	if (!empty || kern_cgroup_root(cgroup_root, sizeof(cgroup_root)))
		die("cannot set up");
	for (const char *c = "abc"; *c; c++) {
		bench_cgroup(*c, path);
		if (mkdir(path, 0755) && errno != EEXIST)
			die("cannot make a cgroup");
	}
	stubs_before = programs_named("stub_switch");
	if (stubs_before)
		printf("Another agent is attached: its hooks make every figure here larger.\n");
	ping_pong_up();
	load_up(&marker, 'c', 0, mark_many, NULL);
	load_up(&sender, 'c', 1, send_many, NULL);
	run(rounds, peer_rounds, seconds);
	table(json, SWITCHES, "A context switch (÷ empty: of what is added)", "switch", false);
	compare_with_peers(json);
	table(json, MARKS, "A boundary (÷ empty: of the whole hit)", "boundary", true);
	table(json, PACKETS, "A soft interrupt: a packet over loopback (÷ empty: of what is added)",
	      "interrupt", false);
	clean_up();
	if (json)
		fclose(json);
	return 0;
}
