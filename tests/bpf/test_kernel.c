/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel side on the running kernel. Each trap of the accounting scheme that can be laid here
 * has a test that fails when it is left open; those of pure steps are in
 * tests/unit/test_accounting.c, and the bound's (trap 3) in the exactness harness.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kernel_fixture.h"

static int up(void **state)
{
	static struct fixture f;

	if (geteuid() || access("/sys/kernel/btf/vmlinux", R_OK))
		return 0;
	fixture_up(&f, true, false);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	if (*state)
		fixture_down(*state);
	return 0;
}

static struct fixture *need(void **state)
{
	if (geteuid() || access("/sys/kernel/btf/vmlinux", R_OK)) {
		print_message("skipped: needs root and /sys/kernel/btf/vmlinux\n");
		skip();
	}
	return *state;
}

/* ---- one life ---- */

static void one_invocation(void *unused)
{
	(void)unused;
	burn(5000000);
	oncpu_receive_start("tested", "id-1");
	burn(20000000);
	oncpu_report_done(0);
	burn(3000000);
}

static void test_one_life(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *exit_event, *start, *end;

	run_child(f, one_invocation, NULL, false);
	exit_event = events_until_exit(f);
	assert_int_equal(f->count, 4);
	start = find_event(f, ONCPU_EV_START, 0);
	end = find_event(f, ONCPU_EV_END, 0);
	assert_string_equal(f->events[0].function, "tested");
	assert_int_equal(f->events[0].total_ns, 0);
	assert_int_equal(start->id_len, 4);
	assert_memory_equal(start->id, "id-1", 4);
	assert_true(start->total_ns >= 5000000);
	assert_int_equal(start->bound_ns, 0);
	assert_in_range(end->total_ns - start->total_ns, 20000000, 21000000);
	assert_law(f, exit_event->total_ns);
}

/* ---- trap 4: hidden switches ---- */

static void hidden_body(void *argument)
{
	int *go = argument;
	char c;

	if (read(go[0], &c, 1) != 1) /* wakes up when the hook is gone: this switch is hidden */
		_exit(1);
	burn(30000000);
	if (write(go[3], "m", 1) != 1)
		_exit(1);
	burn(5000000);
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Until the process sleeps, and its switch away has been seen. */
static void wait_asleep(pid_t pid)
{
	char path[64], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (state != 'S') {
		FILE *file = fopen(path, "re");

		if (fscanf(file, "%*d %*s %c", &state) != 1)
			state = 0;
		fclose(file);
	}
	usleep(2000);
}

/* The boundary is made from outside while the instance runs on a CPU whose slot knows nothing of
 * it. */
static void hidden_switch(struct fixture *f, bool seen)
{
	struct kern_boundary *b;
	struct oncpu_event e = {};
	cpu_set_t all;
	int go[4], status;
	char path[64] = PIN_DIR "/link_switch", c;
	pid_t pid;

	assert_int_equal(sysconf(_SC_NPROCESSORS_ONLN) > 1, 1);
	sched_getaffinity(0, sizeof(all), &all);
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(go + 2), 0);
	assert_int_equal(kern_boundary_open(PIN_DIR, &b), 0);
	pid = fork();
	if (!pid) {
		pin_to(1);
		enter_cgroup(f->cgroup);
		hidden_body(go);
		_exit(0);
	}
	pin_to(0); /* with the hook gone nobody sees the function leave its CPU: so it must not */
	while (!next_event(f, &e))
		sched_yield();
	assert_int_equal(e.kind, ONCPU_EV_INIT);
	wait_asleep(pid);
	/* what detaches is the last pin of the link; the program goes after a grace period */
	assert_int_equal(unlink(path), 0);
	syscall(SYS_membarrier, 1 /* MEMBARRIER_CMD_GLOBAL */, 0, 0);
	usleep(300000);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(read(go[2], &c, 1), 1);
	assert_int_equal(kern_boundary_make(b, e.uid, ONCPU_EV_START, "h", 1, 0), 0);
	waitpid(pid, &status, 0);
	while (!next_event(f, &e))
		sched_yield();
	assert_int_equal(e.kind, ONCPU_EV_START);
	if (seen) {
		assert_true(e.total_ns >= 29000000);
		assert_true(e.flags & ONCPU_EVF_STALE);
	} else {
		assert_true(e.total_ns < 29000000); /* what the check is for */
	}
	kern_boundary_close(&b);
	sched_setaffinity(0, sizeof(all), &all);
}

static void test_hidden_switch_is_put_right(void **state)
{
	struct fixture f;

	(void)need(state);
	fixture_up(&f, true, false);
	hidden_switch(&f, true);
	fixture_down(&f);
}

static void test_hidden_switch_left_open_is_wrong(void **state)
{
	struct fixture f;

	(void)need(state);
	fixture_up(&f, false, false);
	hidden_switch(&f, false);
	fixture_down(&f);
}

/* ---- trap 5: no lock; numbers absorb what races ---- */

enum { RACERS = 4, RACES = 20000 };

static void *race(void *unused)
{
	(void)unused;
	for (int i = 0; i < RACES; i++)
		oncpu_report_done(0);
	return NULL;
}

static void racing_body(void *unused)
{
	pthread_t t[RACERS];

	(void)unused;
	for (int i = 0; i < RACERS; i++)
		pthread_create(&t[i], NULL, race, NULL);
	for (int i = 0; i < RACERS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 200; i++) {
		pid_t p = fork();

		if (!p)
			_exit(0);
		waitpid(p, NULL, 0);
	}
}

static int by_number(const void *a, const void *b)
{
	const struct oncpu_event *x = a, *y = b;

	return x->n < y->n ? -1 : x->n > y->n;
}

static void test_marks_of_many_threads_telescope(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *last;
	int64_t sum = 0;

	run_child(f, racing_body, NULL, false);
	last = events_until_exit(f);
	assert_law(f, last->total_ns - 0);
	qsort(f->events, f->count, sizeof(*f->events), by_number);
	assert_int_equal(f->count, RACERS * RACES + 2);
	for (size_t i = 1; i < f->count; i++) {
		assert_int_equal(f->events[i].n, f->events[i - 1].n + 1);
		sum += (int64_t)(f->events[i].total_ns - f->events[i - 1].total_ns);
	}
	assert_int_equal(sum, f->events[f->count - 1].total_ns);
	assert_int_equal(counter(f, "storage_failed"), 0); /* trap 6 */
}

/* ---- trap 7: baseline ---- */

static void grown_up_body(void *argument)
{
	struct fixture *f = argument;

	burn(150000000); /* before it belongs to anybody */
	enter_cgroup(f->cgroup);
	burn(20000000);
}

static void test_what_ran_before_is_not_charged(void **state)
{
	struct fixture *f = need(state);
	uint64_t before = cpu_stat_ns(f->cgroup);
	struct oncpu_event *last;

	run_child(f, grown_up_body, f, true);
	last = events_until_exit(f);
	assert_in_range(last->total_ns, 20000000, 60000000);
	assert_in_range(last->total_ns + 4000, cpu_stat_ns(f->cgroup) - before,
			cpu_stat_ns(f->cgroup) - before + 8000);
}

/* ---- trap 8: the whole subtree ---- */

static void subtree_body(void *argument)
{
	struct fixture *f = argument;
	char below[700];

	burn(10000000);
	snprintf(below, sizeof(below), "%s/below", f->cgroup);
	if (mkdir(below, 0755))
		_exit(1);
	if (!fork()) {
		enter_cgroup(below);
		burn(30000000);
		_exit(0);
	}
	wait(NULL);
	if (rmdir(below))
		_exit(1);
}

static void test_an_instance_is_its_whole_subtree(void **state)
{
	struct fixture *f = need(state);
	uint64_t before = cpu_stat_ns(f->cgroup);
	struct oncpu_event *last;

	run_child(f, subtree_body, f, false);
	last = events_until_exit(f);
	assert_true(last->total_ns > 40000000);
	assert_in_range(last->total_ns + 4000, cpu_stat_ns(f->cgroup) - before,
			cpu_stat_ns(f->cgroup) - before + 8000);
}

/* ---- fork, vfork, clone into a cgroup, exec by a thread, thread death ---- */

static void *exec_from_a_thread(void *unused)
{
	(void)unused;
	burn(5000000);
	execl("/bin/true", "true", (char *)NULL);
	_exit(1);
}

static void *short_life(void *unused)
{
	burn(100000);
	return unused;
}

static void families_body(void *unused)
{
	pthread_t t;
	pid_t p;

	(void)unused;
	for (volatile int i = 0; i < 50; i++) {
		p = vfork();
		if (!p)
			_exit(0);
		waitpid(p, NULL, 0);
	}
	p = fork();
	if (!p) {
		pthread_create(&t, NULL, exec_from_a_thread, NULL);
		pthread_join(t, NULL);
		_exit(1);
	}
	waitpid(p, NULL, 0);
	for (int i = 0; i < 20; i++) {
		pthread_create(&t, NULL, short_life, NULL);
		pthread_join(t, NULL);
	}
}

static void test_families_hold_the_law(void **state)
{
	struct fixture *f = need(state);
	uint64_t before = cpu_stat_ns(f->cgroup);
	struct oncpu_event *last;

	run_child(f, families_body, NULL, false);
	last = events_until_exit(f);
	assert_in_range(last->total_ns + 4000, cpu_stat_ns(f->cgroup) - before,
			cpu_stat_ns(f->cgroup) - before + 8000);
	assert_int_equal(last->threads, 0);
	assert_int_equal(counter(f, "threads_joined"), counter(f, "threads_closed") +
							       counter(f, "threads_closed_late") +
							       counter(f, "moves") * 0);
}

/* ---- trap 9: a process tree without a cgroup of its own ---- */

static void tree_body(void *unused)
{
	(void)unused;
	burn(10000000);
	oncpu_receive_start("tree", "t-1");
	if (!fork()) {
		burn(20000000);
		_exit(0);
	}
	wait(NULL);
	oncpu_report_done(1);
}

static void test_a_process_that_marks_is_a_tree_of_its_own(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *start, *end;

	f->tree = true;
	run_child(f, tree_body, NULL, true);
	events_until_exit(f);
	start = find_event(f, ONCPU_EV_START, 0);
	end = find_event(f, ONCPU_EV_END, 0);
	assert_string_equal(start->function, "tree");
	assert_true(start->flags & ONCPU_EVF_TREE);
	assert_int_equal(start->cgroup_id, 0);
	assert_in_range(start->total_ns, 10000000, 40000000); /* its whole life so far is init */
	assert_in_range(end->total_ns - start->total_ns, 20000000, 60000000);
	assert_int_equal(end->status, 1);
}

/* ---- ids ---- */

static void ids_body(void *unused)
{
	static char id[80];

	(void)unused;
	memset(id, 'x', 79);
	oncpu_receive_start("tested", id);
	id[64] = 0;
	oncpu_receive_invoke(id);
	id[63] = 0;
	oncpu_receive_invoke(id);
	oncpu_receive_invoke("");
	oncpu_receive_invoke(NULL);
	oncpu_receive_invoke((const char *)"\x01\xff\n");
}

static void test_ids_of_every_kind(void **state)
{
	struct fixture *f = need(state);
	static const uint32_t lengths[] = { 64, 64, 63, 0, 0, 3 };

	run_child(f, ids_body, NULL, false);
	events_until_exit(f);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(f->events[1 + i].id_len, lengths[i]);
	assert_true(f->events[1].flags & ONCPU_EVF_ID_TRUNCATED);
	assert_false(f->events[2].flags & ONCPU_EVF_ID_TRUNCATED);
	assert_memory_equal(f->events[6].id, "\x01\xff\n", 3);
}

/* ---- a full ring loses events, never time ---- */

static void test_pins_are_adopted_with_totals_and_events(void **state)
{
	struct fixture *f = need(state);
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .hidden_check = true,
				      .live_steal = true };
	struct oncpu_event *last;
	bool adopted = false;
	int go[2], status;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (!pid) {
		char c;

		enter_cgroup(f->cgroup);
		oncpu_receive_start("tested", "across");
		burn(10000000);
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		burn(10000000);
		oncpu_report_done(0);
		_exit(0);
	}
	/* the agent goes and comes while the function runs; its programs replace the old ones */
	kern_view_close(&f->view);
	kern_owner_close(&f->owner);
	assert_int_equal(kern_owner_open(&config, &f->owner, &adopted), 0);
	assert_true(adopted);
	assert_int_equal(kern_owner_adopt(f->owner), 0);
	fixture_view(f);
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	last = events_until_exit(f);
	assert_int_equal(f->count, 4);
	assert_true(find_event(f, ONCPU_EV_END, 0)->total_ns -
			    find_event(f, ONCPU_EV_START, 0)->total_ns >=
		    20000000);
	assert_int_equal(last->n, 4);
	close(go[0]);
	close(go[1]);
}

static void test_pins_of_another_layout_are_refused(void **state)
{
	struct fixture *f = need(state);
	struct kern_config config = { .pin_dir = PIN_DIR, .hidden_check = true };
	struct oncpu_control *control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
					     kern_owner_fd(f->owner, KERN_FD_CONTROL), 0);
	struct kern_owner *other;
	bool adopted;

	assert_ptr_not_equal(control, MAP_FAILED);
	control->abi_version = 77;
	assert_int_equal(kern_owner_open(&config, &other, &adopted), -EPROTO);
	assert_non_null(strstr(kern_error(), "oncpu unpin --pin-dir " PIN_DIR));
	control->abi_version = ONCPU_ABI_VERSION;
	munmap(control, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_life, up, down),
		cmocka_unit_test_setup_teardown(test_what_ran_before_is_not_charged, up, down),
		cmocka_unit_test_setup_teardown(test_an_instance_is_its_whole_subtree, up, down),
		cmocka_unit_test_setup_teardown(test_families_hold_the_law, up, down),
		cmocka_unit_test_setup_teardown(test_marks_of_many_threads_telescope, up, down),
		cmocka_unit_test_setup_teardown(test_a_process_that_marks_is_a_tree_of_its_own, up,
						down),
		cmocka_unit_test_setup_teardown(test_ids_of_every_kind, up, down),
		cmocka_unit_test_setup_teardown(test_pins_are_adopted_with_totals_and_events, up,
						down),
		cmocka_unit_test_setup_teardown(test_pins_of_another_layout_are_refused, up, down),
		cmocka_unit_test(test_hidden_switch_is_put_right),
		cmocka_unit_test(test_hidden_switch_left_open_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
