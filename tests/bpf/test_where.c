/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where wall time goes, on the running kernel: known mixtures, each against what the kernel itself
 * counts of it, and never anything but what adds up to the nanosecond.
 */
#include <poll.h>
#include <signal.h>

#include <bpf/bpf.h>

#include "kernel_fixture.h"
#include "../bpf/integral.h"

#define MS 1000000ll

static int up_with(void **state, bool where)
{
	static struct fixture f;

	if (!can_run())
		return 0;
	fixture_up(&f, (struct kern_config){ DEFAULTS, .where = where });
	*state = &f;
	return 0;
}

static int up_watched(void **state)
{
	return up_with(state, true);
}

static int up_unwatched(void **state)
{
	return up_with(state, false);
}

/* ---- what every reading must hold ---- */

struct parts {
	int64_t ns[ONCPU_WHERE_COUNT], wall, run_delay, cpu;
};

static struct parts between(const struct oncpu_event *a, const struct oncpu_event *b)
{
	struct parts p = { .wall = (int64_t)(b->time_ns - a->time_ns),
			   .run_delay = (int64_t)(b->run_delay_ns - a->run_delay_ns),
			   .cpu = (int64_t)(b->total_ns - a->total_ns) };
	int64_t sum = 0;

	assert_true(a->flags & ONCPU_EVF_WHERE);
	assert_true(b->flags & ONCPU_EVF_WHERE);
	for (int i = 0; i < ONCPU_WHERE_COUNT; i++) {
		p.ns[i] = (int64_t)(b->where_ns[i] - a->where_ns[i]);
		assert_true(p.ns[i] >= -MS); /* a change while the boundary was read */
		sum += p.ns[i];
	}
	assert_int_equal(sum, p.wall);
	return p;
}

static void say(const char *what, const struct parts *p)
{
	print_message("%s: running %lld run queue %lld throttled %lld blocked %lld idle %lld "
		      "frozen %lld of %lld; cpu %lld, run delay %lld\n",
		      what, (long long)p->ns[0], (long long)p->ns[1], (long long)p->ns[2],
		      (long long)p->ns[3], (long long)p->ns[4], (long long)p->ns[5],
		      (long long)p->wall, (long long)p->cpu, (long long)p->run_delay);
}

/* The words of all instances: nobody is counted any more. */
static void assert_nothing_left(void)
{
	int fd = bpf_obj_get(PIN_DIR "/map_wheres");
	struct oncpu_where w;

	assert_true(fd >= 0);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, &w), 0);
		assert_int_equal(w.word & ~(WHERE_QUOTA | WHERE_FROZEN), 0);
	}
	close(fd);
}

static struct parts run(struct fixture *f, const char *what, void (*body)(void *), void *argument)
{
	struct parts p;

	run_child(f, body, argument, false);
	events_until_exit(f);
	p = between(find_event(f, ONCPU_EV_START, 0), find_event(f, ONCPU_EV_END, 0));
	say(what, &p);
	assert_nothing_left();
	return p;
}

/* What a boundary, a switch and a look into /proc may take. ONCPU_EMULATED: a virtual machine
 * without hardware's help, whose CPUs run 20 times as slow. */
static int64_t moment(void)
{
	return getenv("ONCPU_EMULATED") ? 40 * MS : MS;
}

/* Within 2 % of `whole` and a moment. */
static void assert_near(int64_t value, int64_t want, int64_t whole)
{
	if (llabs(value - want) > moment() + whole / 50)
		fail_msg("%lld, not about %lld", (long long)value, (long long)want);
}

/* ---- one thing at a time ---- */

static void spinning(void *unused)
{
	(void)unused;
	oncpu_receive_start("tested", "spin");
	burn(60 * MS);
	oncpu_report_done(0);
}

/* Whatever else runs on the host: what it does not run it waits, and the kernel says how long. */
static void test_spinning(void **state)
{
	struct parts p = run(need(state), "spin", spinning, NULL);

	assert_near(p.ns[ONCPU_WHERE_RUN_QUEUE], p.run_delay, p.wall);
	assert_near(p.ns[ONCPU_WHERE_RUNNING] + p.ns[ONCPU_WHERE_RUN_QUEUE], p.wall, p.wall);
	assert_true(p.ns[ONCPU_WHERE_RUNNING] >= 60 * MS - MS);
	assert_true(p.ns[ONCPU_WHERE_FROZEN] == 0);
}

static void sleeping(void *unused)
{
	struct timespec rest = { .tv_nsec = 60 * MS };

	(void)unused;
	oncpu_receive_start("tested", "sleep");
	while (nanosleep(&rest, &rest))
		;
	oncpu_report_done(0);
}

static void test_sleeping(void **state)
{
	struct parts p = run(need(state), "sleep", sleeping, NULL);

	assert_true(p.ns[ONCPU_WHERE_IDLE] >= 60 * MS - MS);
	assert_near(p.ns[ONCPU_WHERE_RUN_QUEUE], p.run_delay, p.wall);
	assert_true(p.ns[ONCPU_WHERE_BLOCKED_IO] < moment());
}

/* A process whose vfork child sleeps is in uninterruptible sleep itself: D, by the kernel's word.
 */
static void blocked(void *unused)
{
	struct timespec rest = { .tv_nsec = 60 * MS };
	int status = 0;
	pid_t pid;

	(void)unused;
	oncpu_receive_start("tested", "blocked");
	pid = vfork();
	if (!pid) {
		while (nanosleep(&rest, &rest))
			;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	oncpu_report_done(0);
}

static void test_blocked(void **state)
{
	struct parts p = run(need(state), "blocked", blocked, NULL);

	assert_true(p.ns[ONCPU_WHERE_BLOCKED_IO] >= 60 * MS - MS);
	assert_true(p.ns[ONCPU_WHERE_IDLE] < 10 * moment());
}

static void disk(void *path)
{
	enum { BLOCK = 1 << 20 };
	void *memory = NULL;
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0 || posix_memalign(&memory, 4096, BLOCK))
		_exit(96);
	oncpu_receive_start("tested", "disk");
	for (off_t at = 0; at < 64ll * BLOCK; at += BLOCK)
		if (pread(fd, memory, BLOCK, at) != BLOCK)
			_exit(95);
	oncpu_report_done(0);
}

static void test_disk(void **state)
{
	struct fixture *f = need(state);
	char path[] = "/var/tmp/oncpu-where-XXXXXX";
	int fd = mkstemp(path), direct;
	struct parts p;
	void *memory;

	if (fd < 0) {
		print_message("skipped: nothing can be written in /var/tmp\n");
		skip();
	}
	direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	memory = calloc(1, 1 << 20);
	for (int i = 0; i < 64; i++)
		assert_int_equal(write(fd, memory, 1 << 20), 1 << 20);
	assert_int_equal(fsync(fd), 0);
	free(memory);
	close(fd);
	if (direct < 0) {
		unlink(path);
		print_message("skipped: /var/tmp cannot be read with O_DIRECT\n");
		skip();
	}
	close(direct);
	p = run(f, "disk", disk, path);
	unlink(path);
	/* each read waits for the device: what is neither running nor in a queue is that */
	assert_true(p.ns[ONCPU_WHERE_BLOCKED_IO] > 0);
	assert_near(p.ns[ONCPU_WHERE_RUNNING] + p.ns[ONCPU_WHERE_RUN_QUEUE] +
			    p.ns[ONCPU_WHERE_BLOCKED_IO],
		    p.wall, p.wall);
	assert_near(p.ns[ONCPU_WHERE_RUN_QUEUE], p.run_delay, p.wall);
}

/* ---- a hog beside it ---- */

static void beside_a_hog(void *unused)
{
	(void)unused;
	pin_to(0);
	oncpu_receive_start("tested", "hog");
	burn(60 * MS);
	oncpu_report_done(0);
}

static pid_t hog(void)
{
	pid_t pid = fork();

	if (!pid) {
		pin_to(0);
		for (;;)
			;
	}
	return pid;
}

static void test_beside_a_hog(void **state)
{
	struct fixture *f = need(state);
	pid_t beside = hog();
	struct parts p = run(f, "hog", beside_a_hog, NULL);

	kill(beside, SIGKILL);
	waitpid(beside, NULL, 0);
	/* the scheduler shares the CPU out evenly, and says how long it let us wait */
	assert_true(p.ns[ONCPU_WHERE_RUN_QUEUE] >= 20 * MS);
	assert_near(p.ns[ONCPU_WHERE_RUN_QUEUE], p.run_delay, p.wall);
	assert_near(p.ns[ONCPU_WHERE_RUNNING] + p.ns[ONCPU_WHERE_RUN_QUEUE], p.wall, p.wall);
	assert_int_equal(p.ns[ONCPU_WHERE_THROTTLED], 0);
}

/* ---- a quota ---- */

#define V1 "/sys/fs/cgroup/cpu"
static char quota_group[800];

static int write_text(const char *directory, const char *file, const char *text)
{
	char path[900];
	int fd, ok;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok ? 0 : -1;
}

/* 10 ms in 50: by a cgroup of the v1 controller, or by the instance's own where v2 has it. */
static bool quota_up(struct fixture *f)
{
	if (access(V1 "/cpu.cfs_quota_us", W_OK) == 0) {
		snprintf(quota_group, sizeof(quota_group), V1 "/oncpu-test-quota");
		rmdir(quota_group);
		return mkdir(quota_group, 0755) == 0 &&
		       write_text(quota_group, "cpu.cfs_period_us", "50000") == 0 &&
		       write_text(quota_group, "cpu.cfs_quota_us", "10000") == 0;
	}
	snprintf(quota_group, sizeof(quota_group), "%s", f->cgroup);
	write_text(f->root, "cgroup.subtree_control", "+cpu");
	return write_text(f->cgroup, "cpu.max", "10000 50000") == 0;
}

/* Of the group's CPUs together. */
static int64_t quota_throttled_ns(void)
{
	char path[900], line[128];
	long long value, ns = -1;
	FILE *file;

	snprintf(path, sizeof(path), "%s/cpu.stat", quota_group);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "throttled_time %lld", &value) == 1)
			ns = value;
		else if (sscanf(line, "throttled_usec %lld", &value) == 1)
			ns = value * 1000;
	}
	if (file)
		fclose(file);
	return ns;
}

static void *burn_too(void *unused)
{
	burn(17 * MS);
	return unused;
}

static int64_t
	*throttled_within; /* shared: the kernel's count from just before START to just after END */

/* One thread, or two of them on the same CPU. */
static void within_a_quota(void *threads)
{
	pthread_t other;

	pin_to(0);
	if (write_text(quota_group, "cgroup.procs", "0"))
		_exit(94);
	*throttled_within = -quota_throttled_ns();
	oncpu_receive_start("tested", "quota");
	if (*(int *)threads == 2)
		pthread_create(&other, NULL, burn_too, NULL);
	/* ends in the middle of a quota: what comes after the END is not throttled, too */
	burn(*(int *)threads == 2 ? 17 * MS : 35 * MS);
	if (*(int *)threads == 2)
		pthread_join(other, NULL);
	oncpu_report_done(0);
	*throttled_within += quota_throttled_ns();
}

static void check_quota(void **state, int threads)
{
	struct fixture *f = need(state);
	int64_t kernel;
	struct parts p;

	if (!quota_up(f)) {
		print_message("skipped: no cpu controller, of v1 or v2, to set a quota with\n");
		skip();
	}
	throttled_within =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(throttled_within, MAP_FAILED);
	p = run(f, threads == 2 ? "quota, two threads" : "quota", within_a_quota, &threads);
	kernel = *throttled_within;
	munmap(throttled_within, 4096);
	print_message("the kernel says: throttled %lld\n", (long long)kernel);
	if (strcmp(quota_group, f->cgroup))
		rmdir(quota_group);
	assert_true(kernel >= 2 * MS); /* less the more others run on that CPU */
	/* from the quota's end to the next slice; the kernel's count ends at the quota's return */
	assert_true(p.ns[ONCPU_WHERE_THROTTLED] >= kernel - 5 * moment() - kernel / 10);
	assert_true(p.ns[ONCPU_WHERE_THROTTLED] <= kernel + p.run_delay + 5 * moment());
	assert_near(p.ns[ONCPU_WHERE_RUNNING] + p.ns[ONCPU_WHERE_RUN_QUEUE] +
			    p.ns[ONCPU_WHERE_THROTTLED],
		    p.wall, p.wall);
}

static void test_quota(void **state)
{
	check_quota(state, 1);
}

static void test_quota_two_threads(void **state)
{
	check_quota(state, 2);
}

/* ---- the freezer ---- */

static int go[2], ready[2];

static void to_be_frozen(void *unused)
{
	char c = 'x';

	(void)unused;
	oncpu_receive_start("tested", "freeze");
	if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
		_exit(93);
	burn(5 * MS);
	oncpu_report_done(0);
}

static void wait_frozen(struct fixture *f, const char *want)
{
	char path[900], text[256];
	struct pollfd p = { .events = POLLPRI };

	snprintf(path, sizeof(path), "%s/cgroup.events", f->cgroup);
	p.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(p.fd >= 0);
	for (;;) {
		ssize_t n = pread(p.fd, text, sizeof(text) - 1, 0);

		assert_true(n > 0);
		text[n] = 0;
		if (strstr(text, want))
			break;
		poll(&p, 1, 1000);
	}
	close(p.fd);
}

static void test_freezer(void **state)
{
	struct fixture *f = need(state);
	struct timespec rest = { .tv_nsec = 60 * MS };
	uint64_t frozen_at, thawed_at;
	struct parts p;
	int status;
	pid_t pid;
	char c;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		enter_cgroup(f->cgroup);
		to_be_frozen(NULL);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(write_text(f->cgroup, "cgroup.freeze", "1"), 0);
	wait_frozen(f, "frozen 1");
	frozen_at = clock_ns(CLOCK_MONOTONIC);
	assert_int_equal(write(go[1], "x", 1), 1); /* it cannot take it yet */
	while (nanosleep(&rest, &rest))
		;
	thawed_at = clock_ns(CLOCK_MONOTONIC);
	assert_int_equal(write_text(f->cgroup, "cgroup.freeze", "0"), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	events_until_exit(f);
	p = between(find_event(f, ONCPU_EV_START, 0), find_event(f, ONCPU_EV_END, 0));
	say("freeze", &p);
	assert_true(p.ns[ONCPU_WHERE_FROZEN] >= (int64_t)(thawed_at - frozen_at));
	assert_true(p.ns[ONCPU_WHERE_RUNNING] >= 5 * MS - MS);
	assert_true(p.ns[ONCPU_WHERE_FROZEN] <= p.wall - 4 * MS);
	assert_nothing_left();
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
}

/* ---- many at once ---- */

static void *churn(void *argument)
{
	uint64_t random = 88172645463325252u + (uintptr_t)argument;

	for (int i = 0; i < 150; i++) {
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		if (random % 4 == 0)
			burn(20000 + random % 200000);
		else if (random % 4 == 1)
			nanosleep(&(struct timespec){ .tv_nsec = (long)(random % 300000) }, NULL);
		else if (random % 4 == 2)
			sched_yield();
		else
			oncpu_report_done(0); /* a boundary, wherever the others are */
	}
	return NULL;
}

static void many(void *unused)
{
	pthread_t threads[8];

	(void)unused;
	oncpu_receive_start("tested", "many");
	for (int child = 0; child < 3; child++) {
		pid_t pid = fork();

		for (uintptr_t i = 0; i < 8; i++)
			pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	oncpu_report_done(0);
}

static int by_n(const void *a, const void *b)
{
	const struct oncpu_event *x = a, *y = b;

	return x->n < y->n ? -1 : x->n > y->n;
}

/* Boundaries in the middle of forks, exits, sleeps and slices on all CPUs: each one is read whole,
 * adds up, and nobody stays counted when all are gone. */
static void test_many_at_once(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *last;
	size_t unread = 0;
	struct parts p;

	run_child(f, many, NULL, false);
	last = events_until_exit(f);
	qsort(f->events, f->count, sizeof(*f->events), by_n);
	for (size_t i = 1; i < f->count; i++) {
		int64_t sum = 0;

		if (!(f->events[i].flags & ONCPU_EVF_WHERE)) {
			unread++;
			continue;
		}
		for (int k = 0; k < ONCPU_WHERE_COUNT; k++)
			sum += (int64_t)f->events[i].where_ns[k];
		/* the sum is the age: the same birth for every event */
		assert_int_equal(f->events[i].time_ns - (uint64_t)sum,
				 f->events[1].time_ns -
					 (f->events[1].where_ns[0] + f->events[1].where_ns[1] +
					  f->events[1].where_ns[2] + f->events[1].where_ns[3] +
					  f->events[1].where_ns[4] + f->events[1].where_ns[5]));
	}
	print_message("%zu boundaries, %zu not read whole\n", f->count, unread);
	assert_true(unread * 1000 <= f->count);
	p = between(&f->events[1], last);
	say("many", &p);
	assert_true(p.ns[ONCPU_WHERE_RUNNING] > 0 && p.ns[ONCPU_WHERE_IDLE] > 0);
	assert_nothing_left();
}

/* ---- begun while it lives ---- */

static void restart(struct fixture *f, bool where)
{
	struct kern_config config = {
		.pin_dir = PIN_DIR, .hidden_check = true, .live_steal = true, .where = where
	};
	bool adopted = false;

	kern_view_close(&f->view);
	kern_owner_close(&f->owner);
	assert_int_equal(kern_owner_open(&config, &f->owner, &adopted), 0);
	assert_true(adopted);
	assert_int_equal(kern_owner_adopt(f->owner), 0);
	fixture_view(f);
}

static void *sleep_for_good(void *unused)
{
	pause();
	return unused;
}

/* Three invocations, each let go by its letter; a second thread sleeps all the while. */
static void three(void *unused)
{
	pthread_t other;
	char c;

	(void)unused;
	pthread_create(&other, NULL, sleep_for_good, NULL);
	for (int i = 0; i < 3; i++) {
		oncpu_receive_start("tested", "n");
		if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(92);
		burn(2 * MS);
		oncpu_report_done(0);
	}
}

static void next_one(void)
{
	char c;

	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(ready[0], &c, 1), 1);
}

/* What was not watched from its start says nothing; what starts after does, with the threads that
 * were there before. And an agent that does not watch takes the hooks away. */
static void test_begun_while_it_lives(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *e;
	struct parts p;
	int status;
	pid_t pid;
	char c;

	assert_int_equal(access(PIN_DIR "/link_wakeup", F_OK), -1);
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		enter_cgroup(f->cgroup);
		three(NULL);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	restart(f, true);
	assert_int_equal(access(PIN_DIR "/link_wakeup", F_OK), 0);
	next_one();	  /* the first ends, the second begins */
	restart(f, true); /* goes on unbroken */
	next_one();
	restart(f, false);
	assert_int_equal(access(PIN_DIR "/link_wakeup", F_OK), -1);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	events_until_exit(f);
	e = find_event(f, ONCPU_EV_START, 0);
	assert_false(e->flags & ONCPU_EVF_WHERE);
	p = between(find_event(f, ONCPU_EV_START, 1), find_event(f, ONCPU_EV_END, 1));
	say("across a restart", &p);
	assert_true(p.ns[ONCPU_WHERE_RUNNING] >= 2 * MS - MS / 2);
	assert_true(p.ns[ONCPU_WHERE_IDLE] > 0);
	assert_true(find_event(f, ONCPU_EV_START, 2)->flags & ONCPU_EVF_WHERE);
	assert_false(find_event(f, ONCPU_EV_END, 2)->flags & ONCPU_EVF_WHERE);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
}

/* A boundary from outside, of the one instance that there is. */
static void mark_from_outside(struct fixture *f, uint32_t kind)
{
	struct kern_boundary *boundary = NULL;
	struct oncpu_event first;

	assert_int_equal(next_event(f, &first), 1);
	kern_view_rewind(f->view);
	assert_int_equal(kern_boundary_open(PIN_DIR, &boundary), 0);
	assert_int_equal(kern_boundary_make(boundary, first.uid, kind, "x", 1, 0), 0);
	kern_boundary_close(&boundary);
}

/* Frozen before anybody watched, and thawed after. And an agent that was killed half-way into its
 * beginning: what it left is never declared true, what comes later is. */
static void test_begun_while_it_is_frozen(void **state)
{
	struct fixture *f = need(state);
	struct timespec rest = { .tv_nsec = 30 * MS };
	struct oncpu_control *control;
	uint64_t from, to;
	struct parts p;
	int status;
	pid_t pid;
	char c;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		enter_cgroup(f->cgroup);
		three(NULL);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(write_text(f->cgroup, "cgroup.freeze", "1"), 0);
	wait_frozen(f, "frozen 1");
	restart(f, true);
	mark_from_outside(f, ONCPU_EV_INVOKE); /* as the slicer does: before the thaw */
	while (nanosleep(&rest, &rest))
		;
	mark_from_outside(f, ONCPU_EV_RESPONSE);
	assert_int_equal(write_text(f->cgroup, "cgroup.freeze", "0"), 0);
	next_one(); /* the second one is watched from its start … */
	assert_int_equal(write_text(f->cgroup, "cgroup.freeze", "1"), 0);
	wait_frozen(f, "frozen 1");
	from = clock_ns(CLOCK_MONOTONIC);
	while (nanosleep(&rest, &rest))
		;
	restart(f, true); /* … and frozen while the agent goes and comes */
	to = clock_ns(CLOCK_MONOTONIC);
	assert_int_equal(write_text(f->cgroup, "cgroup.freeze", "0"), 0);
	next_one();
	/* as if killed between its first and its last step */
	restart(f, false);
	control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		       kern_owner_fd(f->owner, KERN_FD_CONTROL), 0);
	assert_ptr_not_equal(control, MAP_FAILED);
	control->where = ONCPU_WHERE_BEGINNING;
	munmap(control, 4096);
	restart(f, true);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	events_until_exit(f);
	p = between(find_event(f, ONCPU_EV_INVOKE, 0), find_event(f, ONCPU_EV_RESPONSE, 0));
	say("frozen before", &p);
	assert_int_equal(p.ns[ONCPU_WHERE_FROZEN], p.wall);
	p = between(find_event(f, ONCPU_EV_START, 1), find_event(f, ONCPU_EV_END, 1));
	say("frozen across a restart", &p);
	assert_true(p.ns[ONCPU_WHERE_FROZEN] >= (int64_t)(to - from));
	assert_false(find_event(f, ONCPU_EV_END, 2)->flags & ONCPU_EVF_WHERE);
	run(f, "after a killed beginning", spinning, NULL);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_spinning, up_watched, down),
		cmocka_unit_test_setup_teardown(test_sleeping, up_watched, down),
		cmocka_unit_test_setup_teardown(test_blocked, up_watched, down),
		cmocka_unit_test_setup_teardown(test_disk, up_watched, down),
		cmocka_unit_test_setup_teardown(test_beside_a_hog, up_watched, down),
		cmocka_unit_test_setup_teardown(test_quota, up_watched, down),
		cmocka_unit_test_setup_teardown(test_quota_two_threads, up_watched, down),
		cmocka_unit_test_setup_teardown(test_freezer, up_watched, down),
		cmocka_unit_test_setup_teardown(test_many_at_once, up_watched, down),
		cmocka_unit_test_setup_teardown(test_begun_while_it_lives, up_unwatched, down),
		cmocka_unit_test_setup_teardown(test_begun_while_it_is_frozen, up_unwatched, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
