/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fork and the iterator come upon the same child: it is taken in once. A child that was taken in
 * twice would be two threads of its instance, of which one never ends.
 */
#include "kernel_fixture.h"
#include "slow_fork.skel.h"

static void forker_body(int go, int done)
{
	char x;
	pid_t pid;

	if (read(go, &x, 1) != 1)
		_exit(1);
	pid = fork();
	if (!pid) {
		burn(2000000);
		_exit(0);
	}
	_exit(waitpid(pid, NULL, 0) != pid || write(done, "x", 1) != 1);
}

struct walk {
	struct kern_owner *owner;
	pid_t pid;
	uint64_t uid;
};

/* The iterator, from the process on down. */
static void *walk(void *argument)
{
	struct walk *w = argument;

	return (void *)(intptr_t)kern_owner_adopt_tree(w->owner, w->pid, w->uid);
}

static void test_a_child_that_the_iterator_finds_first_is_taken_in_once(void **state)
{
	struct slow_fork_bpf *slow;
	int go[2], done[2], status;
	struct fixture f;
	struct oncpu_event init;
	pthread_t walker;
	struct walk w;
	uint64_t joined;
	void *error;
	char x = 'x';
	pid_t pid;

	need(state);
	slow = slow_fork_bpf__open_and_load(); /* attached first, called first */
	assert_non_null(slow);
	assert_int_equal(slow_fork_bpf__attach(slow), 0);
	fixture_up(&f, (struct kern_config){ DEFAULTS });
	assert_int_equal(pipe(go) | pipe(done), 0);
	pid = fork();
	if (!pid) {
		enter_cgroup(f.cgroup);
		forker_body(go[0], done[1]);
	}
	slow->bss->forker = pid;
	assert_int_equal(write(go[1], &x, 1), 1);
	while (!__atomic_load_n(&slow->bss->there, __ATOMIC_ACQUIRE))
		sched_yield();
	joined = counter(&f, "threads_joined");
	assert_int_equal(next_event(&f, &init), 1);
	w = (struct walk){ f.owner, pid, init.uid };
	/* beside it: when it has looked it waits for each CPU to switch */
	assert_int_equal(pthread_create(&walker, NULL, walk, &w), 0);
	while (counter(&f, "threads_joined") == joined)
		sched_yield();
	assert_int_equal(slow->bss->there, 1); /* still held, or this shows nothing */
	__atomic_store_n(&slow->bss->go, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(walker, &error), 0);
	assert_null(error);
	assert_int_equal(read(done[0], &x, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_law(&f, events_until_exit(&f)->total_ns);
	slow_fork_bpf__destroy(slow);
	fixture_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_that_the_iterator_finds_first_is_taken_in_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
