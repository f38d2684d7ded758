/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of the kernel side share: one set of pins, children in cgroups, events until EXIT.
 */
#ifndef ONCPU_TESTS_KERNEL_FIXTURE_H
#define ONCPU_TESTS_KERNEL_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern/kern.h"
#include "../agent/kern/kern_internal.h"
#include "oncpu/runtime.h"

#define PIN_DIR "/sys/fs/bpf/oncpu-test"
#define CGROUP "oncpu-test-1"
#define MAX_EVENTS (1 << 17)

struct fixture {
	struct kern_owner *owner;
	struct kern_view *view;
	char root[KERN_CGROUP_ROOT_MAX];
	char cgroup[KERN_CGROUP_ROOT_MAX + 64];
	uint64_t cgroup_id;
	bool tree;		    /* what is looked for is a process tree, without a cgroup */
	struct oncpu_event *events; /* of the test's instance, until its EXIT */
	size_t count;
};

static inline int attach_test_mark(void *user, const char *probe, uint64_t offset)
{
	(void)probe;
	return kern_owner_attach_mark(((void **)user)[0], *(int *)((void **)user)[1], offset);
}

static inline void fixture_view(struct fixture *f)
{
	int fds[KERN_FD_COUNT];

	for (int i = 0; i < KERN_FD_COUNT; i++)
		fds[i] = dup(kern_owner_fd(f->owner, (enum kern_fd)i));
	assert_int_equal(kern_view_open(fds, &f->view), 0);
}

/* Attaches to what is there: the pins of an earlier one, if any, are adopted. */
static inline bool fixture_attach(struct fixture *f, struct kern_config config)
{
	static struct kern_pattern pattern = { "tested", "/oncpu-test-*" };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *user[2] = { NULL, &fd };
	bool adopted;

	config.pin_dir = PIN_DIR;
	config.patterns = &pattern;
	config.pattern_count = 1;
	if (!config.max_instances)
		config.max_instances = 64;
	if (!config.max_threads)
		config.max_threads = 4096;
	if (!config.ring_bytes)
		config.ring_bytes = 256u << 20;
	if (kern_owner_open(&config, &f->owner, &adopted))
		fail_msg("%s", kern_error());
	assert_int_equal(kern_owner_adopt(f->owner), 0);
	user[0] = f->owner;
	assert_true(elf_marks(fd, attach_test_mark, user) > 0);
	close(fd);
	fixture_view(f);
	return adopted;
}

static inline void fixture_detach(struct fixture *f)
{
	kern_view_close(&f->view);
	kern_owner_close(&f->owner);
}

static inline void fixture_up(struct fixture *f, struct kern_config config)
{
	struct stat st;

	memset(f, 0, sizeof(*f));
	kern_unpin(PIN_DIR);
	assert_false(fixture_attach(f, config));
	assert_int_equal(kern_cgroup_root(f->root, sizeof(f->root)), 0);
	snprintf(f->cgroup, sizeof(f->cgroup), "%s/" CGROUP, f->root);
	rmdir(f->cgroup);
	assert_int_equal(mkdir(f->cgroup, 0755), 0);
	assert_int_equal(stat(f->cgroup, &st), 0);
	f->cgroup_id = st.st_ino;
	f->events = calloc(MAX_EVENTS, sizeof(*f->events));
}

static inline void fixture_down(struct fixture *f)
{
	fixture_detach(f);
	kern_unpin(PIN_DIR);
	rmdir(f->cgroup);
	free(f->events);
}

static inline uint64_t clock_ns(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Of a time that a test takes to be short. On an emulated CPU (tests/vm) nothing is: a system call
 * lasts as long as it lasts, and the CPU's thread is away for milliseconds. */
static inline uint64_t at_most(uint64_t ns)
{
	return getenv("ONCPU_EMULATED") ? ns * 20 : ns;
}

static inline void burn(uint64_t ns)
{
	uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* A child's: it ends with its test, for where a check fails nobody lets it go on. */
static inline void enter_cgroup(const char *cgroup)
{
	char path[800];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(99);
	close(fd);
}

/* Runs `body` in a child, in the test's cgroup unless `outside`; its status must be 0. */
static inline void run_child(struct fixture *f, void (*body)(void *), void *argument, bool outside)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!outside)
			enter_cgroup(f->cgroup);
		body(argument);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static inline uint64_t cpu_stat_ns(const char *cgroup)
{
	char path[800], line[128];
	unsigned long long us = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "usage_usec %llu", &us) == 1)
			break;
	if (file)
		fclose(file);
	return us * 1000;
}

/* The next event of the test's own instance: other processes of the host may mark, too. */
static inline int next_event(struct fixture *f, struct oncpu_event *e)
{
	while (kern_view_read(f->view, e, 1) == 1)
		if (e->cgroup_id == (f->tree ? 0 : f->cgroup_id))
			return 1;
	return 0;
}

/* Reads until the EXIT of an instance; its events are in f->events, sorted as they came. The last
 * switch of a thread may come after its parent was told: so it waits for the ring, not for a time.
 */
static inline struct oncpu_event *events_until_exit(struct fixture *f)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, kern_view_events_fd(f->view), &e);
	f->count = 0;
	for (int idle = 0; idle < 500;) {
		int n = next_event(f, f->events + f->count);

		if (n == 1 && f->events[f->count++].kind == ONCPU_EV_EXIT) {
			close(epoll);
			kern_view_commit(f->view, kern_view_position(f->view));
			return &f->events[f->count - 1];
		}
		if (f->count == MAX_EVENTS)
			break;
		if (!n && epoll_wait(epoll, &e, 1, 20) <= 0)
			idle++;
	}
	close(epoll);
	fail_msg("no EXIT after %zu events", f->count);
	return NULL;
}

static inline struct oncpu_event *find_event(struct fixture *f, uint32_t kind, size_t which)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->events[i].kind == kind && !which--)
			return &f->events[i];
	fail_msg("no event of kind %u", kind);
	return NULL;
}

static inline uint64_t counter(struct fixture *f, const char *name)
{
	for (unsigned i = 0; i < kern_counter_count(); i++)
		if (!strcmp(kern_counter_name(i), name))
			return kern_view_counter(f->view, i);
	fail_msg("no counter %s", name);
	return 0;
}

#define DEFAULTS .hidden_check = true, .live_steal = true

static inline bool can_run(void)
{
	return !geteuid() && !access("/sys/kernel/btf/vmlinux", R_OK);
}

static inline int up(void **state)
{
	static struct fixture f;

	if (!can_run())
		return 0;
	fixture_up(&f, (struct kern_config){ DEFAULTS });
	*state = &f;
	return 0;
}

static inline int down(void **state)
{
	if (*state)
		fixture_down(*state);
	return 0;
}

static inline struct fixture *need(void **state)
{
	if (!can_run()) {
		print_message("skipped: needs root and /sys/kernel/btf/vmlinux\n");
		skip();
	}
	return *state;
}

static inline void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* The law: the total against the cgroup's own cpu.stat, which counts whole µs and, per CPU, a
 * remainder each: within 2 µs a CPU. */
#define assert_law(f, total)                                                                       \
	do {                                                                                       \
		int64_t difference_ = (int64_t)((total)-cpu_stat_ns((f)->cgroup));                 \
		if (llabs(difference_) > 2000 * sysconf(_SC_NPROCESSORS_CONF))                     \
			fail_msg("total %llu, cpu.stat %llu: %lld ns apart",                       \
				 (unsigned long long)(total),                                      \
				 (unsigned long long)cpu_stat_ns((f)->cgroup),                     \
				 (long long)difference_);                                          \
	} while (0)

#endif
