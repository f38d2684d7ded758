/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The exactness harness: what the kernel side says of each invocation, against the kernel's own
 * clocks read by the function just outside and just inside its marks, and against cpu.stat.
 *
 * exactness [COUNT [MODE]] — for each mode prints the error against the middle of the bracket, the
 * bound's distribution, how many lay outside the bracket, and how many outside their own stated
 * bound: there must be none. Exit 1 if there is one, 2 if bounds are so wide that they say nothing:
 * if one in a hundred is, or, where the hypervisor took more than a hundredth of the CPUs meanwhile
 * (which no bound can be narrower than), one in ten.
 *
 * EXACTNESS_EMULATED=1, for virtual machines without hardware's help, whose CPUs run 20 times
 * slower and are taken away for milliseconds without the kernel being told:
 *  - a switch in progress may take as long as the clock is old (no transit cap);
 *  - a child that was waited for may run on for a while, which getrusage no longer counts;
 *  - the bound may be as wide as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kern/kern.h"
#include "../agent/kern/kern_internal.h"

#define PIN_DIR "/sys/fs/bpf/oncpu-exactness"
#define FUNCTION "build/functions/exact"

static const char *const modes[] = {
	"one thread", "second thread spins",  "second sleeps and wakes", "five threads, unpinned",
	"fork-heavy", "one thread, preempted"
};
enum { MODES = sizeof(modes) / sizeof(modes[0]), FORKING = 4, PREEMPTED = 5 };

enum { WRONG = 1, WIDE = 2 }; /* the exit status: both is wrong */

struct run {
	pid_t pid;
	int in, out;
	uint64_t cgroup_id;
	char cgroup[600];
};

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void die(const char *what)
{
	fprintf(stderr, "exactness: %s: %s (%s)\n", what, kern_error(), strerror(errno));
	kern_unpin(PIN_DIR);
	exit(4);
}

static void enter_cgroup(const char *cgroup)
{
	char path[700];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(3);
	close(fd);
}

static void start(struct run *r, int mode, int count)
{
	char m[8], c[16], root[KERN_CGROUP_ROOT_MAX];
	int in[2], out[2];
	struct stat st;

	kern_cgroup_root(root, sizeof(root));
	snprintf(r->cgroup, sizeof(r->cgroup), "%s/oncpu-exact-%d", root, mode);
	rmdir(r->cgroup);
	if (mkdir(r->cgroup, 0755) || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("cannot set up a run");
	if (stat(r->cgroup, &st))
		die("cannot look at the cgroup");
	r->cgroup_id = st.st_ino;
	snprintf(m, sizeof(m), "%d", mode);
	snprintf(c, sizeof(c), "%d", count);
	r->pid = fork();
	if (!r->pid) {
		enter_cgroup(r->cgroup);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(FUNCTION, FUNCTION, m, c, (char *)NULL);
		_exit(4);
	}
	close(in[0]);
	close(out[1]);
	r->in = in[1];
	r->out = out[0];
}

/* Somebody else who wakes on the function's CPU all the time, and takes it from the function in the
 * middle of its marks, too. */
static pid_t start_neighbour(void)
{
	struct timespec nap = { .tv_nsec = 40000 }, now;
	pid_t pid = fork();
	cpu_set_t first;
	long end;

	if (pid)
		return pid;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof(first), &first) || prctl(PR_SET_TIMERSLACK, 1) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL))
		_exit(1);
	for (;;) {
		nanosleep(&nap, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		end = now.tv_nsec + 4000;
		while (now.tv_nsec < end && end - now.tv_nsec < 5000)
			clock_gettime(CLOCK_MONOTONIC, &now);
	}
}

/* What the hypervisor took of all CPUs, and all there was, in ticks. */
struct taken {
	unsigned long long stolen, all;
};

static struct taken taken_so_far(void)
{
	unsigned long long t[8] = { 0 };
	struct taken sum = { 0 };
	FILE *f = fopen("/proc/stat", "re");

	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
			&t[3], &t[4], &t[5], &t[6], &t[7]) == 8)
		for (int i = 0; i < 8; i++)
			sum.all += t[i];
	if (f)
		fclose(f);
	sum.stolen = t[7];
	return sum;
}

static uint64_t cpu_stat_ns(const char *cgroup)
{
	char path[700], line[128];
	unsigned long long us = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "usage_usec %llu", &us) == 1)
			break;
	if (f)
		fclose(f);
	return us * 1000;
}

/* Reads events until the instance's EXIT; invocations' start and end into pairs. */
struct pair {
	uint64_t start, end, bound;
	uint32_t flags;
	int seen;
};

static uint64_t collect(struct kern_view *v, uint64_t cgroup_id, struct pair *pairs, int count)
{
	static struct oncpu_event events[4096];
	int n, at = -1, epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	epoll_ctl(epoll, EPOLL_CTL_ADD, kern_view_events_fd(v), &e);
	for (;;) {
		n = kern_view_read(v, events, 4096);
		for (int i = 0; i < n; i++) {
			struct oncpu_event *ev = &events[i];

			if (ev->cgroup_id != cgroup_id)
				continue; /* somebody else's process with our marks */
			if (ev->kind == ONCPU_EV_START || ev->kind == ONCPU_EV_INVOKE) {
				if (++at < count)
					pairs[at] = (struct pair){ ev->total_ns, 0, ev->bound_ns,
								   ev->flags, 1 };
			} else if (ev->kind == ONCPU_EV_END && at >= 0 && at < count) {
				pairs[at].end = ev->total_ns;
				pairs[at].bound += ev->bound_ns;
				pairs[at].flags |= ev->flags;
				pairs[at].seen = 2;
			} else if (ev->kind == ONCPU_EV_EXIT) {
				kern_view_commit(v, kern_view_position(v));
				close(epoll);
				return ev->total_ns;
			}
		}
		kern_view_commit(v, kern_view_position(v));
		if (!n)
			epoll_wait(epoll, &e, 1,
				   20); /* the ring wakes its reader every 5 ms at most */
	}
}

/* Which of the two boundaries is to blame: against what the clocks said before and after it,
 * counted from the end of the invocation before. */
static void show_beside(const uint64_t *c, const struct pair *p)
{
	int64_t before = (int64_t)(p[-1].end - c[-1]); /* of K from the clocks, about */

	fprintf(stderr, "    start %+ld %+ld, end %+ld %+ld\n",
		(long)((int64_t)(p->start - c[0]) - before),
		(long)((int64_t)(p->start - c[1]) - before),
		(long)((int64_t)(p->end - c[2]) - before),
		(long)((int64_t)(p->end - c[3]) - before));
}

static int report(int mode, int count, const uint64_t *clocks, const struct pair *pairs,
		  uint64_t total, uint64_t stat, struct taken since)
{
	struct taken now = taken_so_far();
	long judged = (now.stolen - since.stolen) * 100 > now.all - since.all ? 90 : 99;
	int64_t *errors = calloc((size_t)count, 8), *bounds = calloc((size_t)count, 8), worst = 0;
	int n = 0, bracket = 0, beyond = 0, zero = 0, stale = 0, torn = 0, missing = 0;
	bool emulated = getenv("EXACTNESS_EMULATED");
	/* getrusage counts in whole µs, twice */
	int64_t slack = mode != FORKING ? 0 : emulated ? 20000000 : 2000;

	for (int i = 0; i < count; i++) {
		const uint64_t *c = clocks + i * 4;
		int64_t low = (int64_t)(c[2] - c[1]) - slack, high = (int64_t)(c[3] - c[0]) + slack;
		int64_t d = (int64_t)(pairs[i].end - pairs[i].start), out;

		if (pairs[i].seen != 2) {
			missing++;
			continue;
		}
		out = d < low ? low - d : d > high ? d - high : 0;
		errors[n] = llabs(d - (low + high) / 2);
		bounds[n++] = (int64_t)pairs[i].bound;
		bracket += out > 0;
		beyond += out > (int64_t)pairs[i].bound;
		if (out > (int64_t)pairs[i].bound && getenv("EXACTNESS_SHOW"))
			fprintf(stderr, "  #%d d %ld in [%ld, %ld] by %ld, bound %lu, flags %x\n",
				i, (long)d, (long)low, (long)high, (long)out,
				(unsigned long)pairs[i].bound, pairs[i].flags);
		if (out > (int64_t)pairs[i].bound && getenv("EXACTNESS_SHOW") && i)
			show_beside(c, &pairs[i]);
		worst = out > worst ? out : worst;
		zero += pairs[i].bound == 0;
		stale += !!(pairs[i].flags & ONCPU_EVF_STALE);
		torn += !!(pairs[i].flags & ONCPU_EVF_TORN);
	}
	qsort(errors, (size_t)n, 8, by_size);
	qsort(bounds, (size_t)n, 8, by_size);
	if (!n)
		die("no invocation was seen");
	printf("%-24s %6d %5d | %6ld %7ld %8ld | %6ld %7ld %8ld %6d | %6d %7ld %6d | %5d %4d | "
	       "%+.4f %%\n",
	       modes[mode], n, missing, (long)errors[n / 2], (long)errors[n * 99l / 100],
	       (long)errors[n - 1], (long)bounds[n / 2], (long)bounds[n * 99l / 100],
	       (long)bounds[n - 1], zero, bracket, (long)worst, beyond, stale, torn,
	       100.0 * ((double)total - (double)stat) / (double)stat);
	fflush(stdout);
	if (beyond || missing)
		n = WRONG;
	else
		n = !emulated && bounds[n * judged / 100] > 50000 * 2 ? WIDE : 0;
	free(errors);
	free(bounds);
	return n;
}

static int attach_one(void *user, const char *probe, uint64_t offset)
{
	(void)probe;
	return kern_owner_attach_mark(((void **)user)[0], *(int *)((void **)user)[1], offset);
}

static int run_mode(struct kern_view *v, int mode, int count)
{
	uint64_t *clocks = calloc((size_t)count, 32), total, stat;
	struct pair *pairs = calloc((size_t)count, sizeof(*pairs));
	size_t got = 0, want = (size_t)count * 32;
	pid_t neighbour = mode == PREEMPTED ? start_neighbour() : -1;
	struct taken since = taken_so_far();
	struct run r;
	int status, bad;

	start(&r, mode, count);
	if (write(r.in, "x", 1) != 1)
		die("cannot start the function");
	if (!fork()) { /* the pipe is drained while events are */
		ssize_t n;
		char *path = (char *)"/tmp/oncpu-exactness.clocks";
		int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

		while (got < want && (n = read(r.out, (char *)clocks + got, want - got)) > 0)
			got += (size_t)n;
		_exit(write(fd, clocks, got) == (ssize_t)got ? 0 : 1);
	}
	close(r.out);
	total = collect(v, r.cgroup_id, pairs, count);
	waitpid(r.pid, &status, 0);
	if (neighbour > 0)
		kill(neighbour, SIGKILL);
	while (wait(NULL) > 0)
		;
	{
		int fd = open("/tmp/oncpu-exactness.clocks", O_RDONLY | O_CLOEXEC);

		got = (size_t)read(fd, clocks, want);
		close(fd);
		unlink("/tmp/oncpu-exactness.clocks");
	}
	stat = cpu_stat_ns(r.cgroup);
	close(r.in);
	rmdir(r.cgroup);
	if (got != want || status)
		die("the function failed");
	bad = report(mode, count, clocks, pairs, total, stat, since);
	free(clocks);
	free(pairs);
	return bad;
}

int main(int argc, char **argv)
{
	struct kern_pattern pattern = { "exact", "/oncpu-exact-*" };
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .patterns = &pattern,
				      .pattern_count = 1,
				      .hidden_check = !getenv("EXACTNESS_NO_HIDDEN_CHECK"),
				      .live_steal = !getenv("EXACTNESS_NO_LIVE_STEAL"),
				      .no_wakeup_bound = getenv("EXACTNESS_NO_WAKEUP_BOUND"),
				      .no_transit_cap = getenv("EXACTNESS_EMULATED"),
				      .no_skip_check = getenv("EXACTNESS_NO_SKIP_CHECK") };
	int count = argc > 1 ? atoi(argv[1]) : 10000, only = argc > 2 ? atoi(argv[2]) : -1, bad = 0;
	int fd = open(FUNCTION, O_RDONLY | O_CLOEXEC), fds[KERN_FD_COUNT];
	struct kern_owner *owner;
	struct kern_view *view;
	void *user[2];
	bool adopted;

	kern_unpin(PIN_DIR);
	if (kern_owner_open(&config, &owner, &adopted) || kern_owner_adopt(owner))
		die("cannot set up the kernel side");
	user[0] = owner;
	user[1] = &fd;
	if (fd < 0 || elf_marks(fd, attach_one, user) <= 0)
		die("no marks in " FUNCTION);
	for (int i = 0; i < KERN_FD_COUNT; i++)
		fds[i] = dup(kern_owner_fd(owner, (enum kern_fd)i));
	if (kern_view_open(fds, &view))
		die("cannot open the view");
	printf("%-24s %6s %5s | %6s %7s %8s | %6s %7s %8s %6s | %6s %7s %6s | %5s %4s | %s\n", "",
	       "n", "lost", "error", "p99", "max ns", "bound", "p99", "max ns", "zero", "out of",
	       "by ns", "beyond", "stale", "torn", "total against");
	printf("%-24s %6s %5s | %6s %7s %8s | %6s %7s %8s %6s | %6s %7s %6s | %5s %4s | %s\n",
	       "mode", "", "", "median", "", "", "median", "", "", "", "brackt", "worst", "bound",
	       "slots", "", "cpu.stat");
	for (int mode = 0; mode < MODES; mode++)
		if (only < 0 || only == mode)
			bad |= run_mode(view, mode, count);
	for (unsigned i = 0; i < kern_counter_count() && getenv("EXACTNESS_SHOW"); i++)
		fprintf(stderr, "%s %lu\n", kern_counter_name(i),
			(unsigned long)kern_view_counter(view, i));
	kern_view_close(&view);
	kern_owner_close(&owner);
	kern_unpin(PIN_DIR);
	return bad & WRONG ? WRONG : bad;
}
