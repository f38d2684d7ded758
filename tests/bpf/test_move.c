/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that moves itself into a cgroup, and is moved to another CPU between the kernel's own
 * line and the tracepoint that tells of it: what it ran there is on the books of the CPU that it
 * came from.
 */
#include "kernel_fixture.h"
#include "slow_move.skel.h"

enum { HELD_NS = 3000000 };

static void pin(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(pid, sizeof(set), &set), 0);
}

/* Each life in a cgroup that nobody has been in. */
static void renew_cgroup(struct fixture *f)
{
	struct stat st;

	assert_int_equal(rmdir(f->cgroup), 0);
	assert_int_equal(mkdir(f->cgroup, 0755), 0);
	assert_int_equal(stat(f->cgroup, &st), 0);
	f->cgroup_id = st.st_ino;
}

/* A whole life of it; what its instance was charged at the end. */
static uint64_t life(struct fixture *f, struct slow_move_bpf *slow, bool *ret_held)
{
	int go[2], status;
	char x = 'x';
	pid_t pid, ended = 0;

	assert_int_equal(pipe(go), 0);
	pin(0, 1);
	pid = fork();
	if (!pid) {
		pin(0, 0);
		if (read(go[0], &x, 1) != 1)
			_exit(1);
		enter_cgroup(f->cgroup);
		burn(1000000);
		_exit(0);
	}
	slow->bss->there = 0;
	slow->bss->mover = pid;
	assert_int_equal(write(go[1], &x, 1), 1);
	while (!(*ret_held = __atomic_load_n(&slow->bss->there, __ATOMIC_ACQUIRE)) && !ended)
		ended = waitpid(pid, &status, WNOHANG);
	if (!ended) {
		pin(pid, 1); /* comes back when it is there */
		ended = waitpid(pid, &status, 0);
	}
	assert_int_equal(ended, pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	return events_until_exit(f)->total_ns;
}

/* Lives until one is held: the timer may come too late for one, or in a thread of the kernel's. */
static uint64_t held_life(struct fixture *f, struct slow_move_bpf *slow)
{
	uint64_t charged;
	bool held;

	for (int i = 0; i < 50; i++) {
		charged = life(f, slow, &held);
		if (held)
			return charged;
		renew_cgroup(f);
	}
	fail_msg("none of 50 lives was held on its way");
	return 0;
}

static void lives_up(void **state, struct fixture *f, uint32_t without, struct slow_move_bpf **slow)
{
	need(state);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("skipped: needs two CPUs\n");
		skip();
	}
	fixture_up(f, (struct kern_config){ DEFAULTS, .without = without });
	*slow = slow_move_bpf__open_and_load();
	assert_non_null(*slow);
	assert_int_equal(slow_move_bpf__attach(*slow), 0);
}

static void lives_down(struct fixture *f, struct slow_move_bpf *slow)
{
	slow_move_bpf__destroy(slow);
	fixture_down(f);
}

static void test_who_goes_on_elsewhere_in_mid_move_loses_nothing(void **state)
{
	struct slow_move_bpf *slow;
	struct fixture f;

	lives_up(state, &f, 0, &slow);
	for (int i = 0; i < 10; i++) {
		assert_law(&f, held_life(&f, slow));
		assert_true(cpu_stat_ns(f.cgroup) > HELD_NS);
		renew_cgroup(&f);
	}
	lives_down(&f, slow);
}

/* Without those books what it ran in between is nobody's: or the test above would show nothing. */
static void test_left_open_loses_it(void **state)
{
	struct slow_move_bpf *slow;
	int elsewhere = 0, lost = 0;
	struct fixture f;
	uint64_t charged;

	lives_up(state, &f, KERN_WITHOUT_BOOKS, &slow);
	for (int i = 0; i < 10; i++) {
		charged = held_life(&f, slow);
		elsewhere += slow->bss->told_on != slow->bss->held_on;
		lost += charged + HELD_NS < cpu_stat_ns(f.cgroup);
		renew_cgroup(&f);
	}
	lives_down(&f, slow);
	assert_true(lost || !elsewhere);
	if (!elsewhere) {
		print_message("skipped: this kernel does not preempt in the middle of a move\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_goes_on_elsewhere_in_mid_move_loses_nothing),
		cmocka_unit_test(test_left_open_loses_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
