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

/* A whole life of it; what its instance was charged at the end. */
static uint64_t life(struct fixture *f, struct slow_move_bpf *slow)
{
	int go[2], status;
	char x = 'x';
	pid_t pid;

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
	slow->bss->mover = pid;
	assert_int_equal(write(go[1], &x, 1), 1);
	while (__atomic_load_n(&slow->bss->there, __ATOMIC_ACQUIRE) != 1)
		if (waitpid(pid, &status, WNOHANG))
			fail_msg("it was not held on its way");
	pin(pid, 1); /* comes back when it is there */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	return events_until_exit(f)->total_ns;
}

static struct slow_move_bpf *slow_up(void)
{
	struct slow_move_bpf *slow = slow_move_bpf__open_and_load();

	if (slow && slow_move_bpf__attach(slow)) {
		slow_move_bpf__destroy(slow);
		slow = NULL;
	}
	return slow;
}

static void need_two_cpus(void **state)
{
	need(state);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("skipped: needs two CPUs\n");
		skip();
	}
}

static void test_who_goes_on_elsewhere_in_mid_move_loses_nothing(void **state)
{
	struct slow_move_bpf *slow;
	struct fixture f;

	need_two_cpus(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS });
	slow = slow_up();
	assert_non_null(slow);
	assert_law(&f, life(&f, slow));
	assert_true(cpu_stat_ns(f.cgroup) > HELD_NS);
	slow_move_bpf__destroy(slow);
	fixture_down(&f);
}

/* Without those books what it ran in between is nobody's: or the test above would show nothing. */
static void test_left_open_loses_it(void **state)
{
	struct slow_move_bpf *slow;
	struct fixture f;
	uint64_t charged;
	bool elsewhere;

	need_two_cpus(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .without = KERN_WITHOUT_BOOKS });
	slow = slow_up();
	assert_non_null(slow);
	charged = life(&f, slow);
	elsewhere = slow->bss->told_on != slow->bss->held_on;
	if (elsewhere)
		assert_true(charged + HELD_NS < cpu_stat_ns(f.cgroup));
	slow_move_bpf__destroy(slow);
	fixture_down(&f);
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
