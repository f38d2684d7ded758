/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The traps of the accounting scheme, by their numbers, on the running kernel: each one closed, and
 * left open, so that what closes it is seen to matter.
 *
 *  1 a reader that retries    tests/unit/test_accounting.c
 *  2 steal                    tests/unit/test_accounting.c
 *  3 a bound of 0             tests/e2e/test_exactness.sh
 *  4 hidden switches          here
 *  5 no lock                  here
 *  6 task storage             here
 *  7 the baseline             here
 *  8 the subtree              here
 *  9 a tree without a cgroup  here
 * 10 ktime is slewed          tests/unit/test_accounting.c
 * 11 strings not in memory    here
 * 12 what 6.1 refuses         here, and on 6.1 itself in `make vmtest`
 * 13 a switch's clock skipped tests/e2e/test_exactness.sh
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kernel_fixture.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */
#include "../bpf/accounting.h"

/* ---- trap 4: hidden switches ---- */

enum { PREEMPTED = 7, TRIES = 40 };

/* With the hook gone nobody sees the function leave its CPU: at the boundary it must be there, or
 * the try is void. */
static void hidden_body(int *go, volatile int *made)
{
	struct rusage before, after;
	char c;

	if (read(go[0], &c, 1) != 1) /* wakes up when the hook is gone: this switch is hidden */
		_exit(1);
	burn(10000000);
	getrusage(RUSAGE_THREAD, &before);
	if (write(go[3], "m", 1) != 1)
		_exit(1);
	while (!*made)
		;
	getrusage(RUSAGE_THREAD, &after);
	_exit(before.ru_nivcsw == after.ru_nivcsw ? 0 : PREEMPTED);
}

static struct oncpu_slot *map_slots(struct fixture *f)
{
	void *slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			   bpf_map__fd(f->owner->skel->maps.slots), 0);

	assert_ptr_not_equal(slots, MAP_FAILED);
	return slots;
}

static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state;
}

/* Until the process sleeps and the hook has seen it leave its CPU. */
static void wait_asleep(struct oncpu_slot *slot, pid_t pid)
{
	while (state_of(pid) != 'S' || READ_ONCE_OF(slot->instance))
		;
}

/* What detaches is the last pin of the link; the program goes some time after it. Until a switch on
 * CPU 1 no longer writes to its slot. */
static void wait_hook_gone(struct oncpu_slot *slot)
{
	const uint32_t never = 0x5a5a5a5a;
	uint32_t switches = READ_ONCE_OF(slot->switches);

	do {
		READ_ONCE_OF(slot->switches) = never;
		pin_to(1);
		pin_to(0);
	} while (READ_ONCE_OF(slot->switches) != never);
	slot->switches = switches;
}

/* The boundary is made from outside while the instance runs on a CPU whose slot knows nothing of
 * it. False if the function was preempted. */
static bool hidden_switch(struct fixture *f, struct oncpu_event *e)
{
	struct oncpu_slot *slots = map_slots(f);
	int *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kern_boundary *b;
	int go[4], status;
	char c;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(go + 2), 0);
	assert_int_equal(kern_boundary_open(PIN_DIR, &b), 0);
	pid = fork();
	if (!pid) {
		pin_to(1);
		setpriority(PRIO_PROCESS, 0, -20); /* a busy host shall not preempt it */
		enter_cgroup(f->cgroup);
		hidden_body(go, made);
	}
	pin_to(0);
	while (!next_event(f, e))
		sched_yield();
	assert_int_equal(e->kind, ONCPU_EV_INIT);
	wait_asleep(&slots[1], pid);
	assert_int_equal(unlink(PIN_DIR "/link_switch"), 0);
	wait_hook_gone(&slots[1]);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(read(go[2], &c, 1), 1);
	assert_int_equal(kern_boundary_make(b, e->uid, ONCPU_EV_START, "h", 1, 0), 0);
	*made = 1;
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_true(!WEXITSTATUS(status) || WEXITSTATUS(status) == PREEMPTED);
	while (!next_event(f, e))
		sched_yield();
	assert_int_equal(e->kind, ONCPU_EV_START);
	kern_boundary_close(&b);
	munmap(slots, 4096);
	munmap(made, 4096);
	for (int i = 0; i < 4; i++)
		close(go[i]);
	return !WEXITSTATUS(status);
}

/* What the boundary said, in a try in which only the hidden switch was hidden. */
static struct oncpu_event hidden_switch_with(void **state, struct kern_config config)
{
	struct oncpu_event e = {};
	struct fixture f;
	cpu_set_t all;
	bool valid = false;

	(void)need(state);
	assert_true(sysconf(_SC_NPROCESSORS_ONLN) > 1);
	sched_getaffinity(0, sizeof(all), &all);
	setpriority(PRIO_PROCESS, 0, -20); /* so that the function need not wait for us long */
	for (int i = 0; i < TRIES && !valid; i++) {
		fixture_up(&f, config);
		valid = hidden_switch(&f, &e);
		fixture_down(&f);
	}
	setpriority(PRIO_PROCESS, 0, 0);
	sched_setaffinity(0, sizeof(all), &all);
	assert_true(valid);
	return e;
}

static void assert_put_right(const struct oncpu_event *e)
{
	assert_true(e->total_ns + e->bound_ns >= 10000000);
	assert_true(e->flags & ONCPU_EVF_STALE);
}

/* Likewise, by switches of the CPU that we are on. */
static void wait_hook_gone_here(struct oncpu_slot *slot)
{
	const uint32_t never = 0x5a5a5a5a;

	do {
		READ_ONCE_OF(slot->switches) = never;
		nanosleep(&(struct timespec){ .tv_nsec = 1 }, NULL);
	} while (READ_ONCE_OF(slot->switches) != never);
}

enum { HALF_CHARGED_NS = 7000000 };

/* Who has left its CPU, whose hook is stopped between its writes: the CPU's total has the slice
 * already, and the thread's own mark does not. What a boundary says then, and what it said before.
 * False if the function was not on its CPU when the hook went. */
static bool left_unseen(struct fixture *f, struct kern_reading *before, struct kern_reading *after)
{
	struct oncpu_slot *slots = map_slots(f);
	const struct bpf_map *map = f->owner->skel->maps.totals;
	size_t bytes = sizeof(struct oncpu_total) * bpf_map__max_entries(map);
	struct oncpu_total *totals =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	int *go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kern_boundary *b;
	struct oncpu_event e;
	uint32_t index;
	bool valid;
	pid_t pid;

	assert_ptr_not_equal(totals, MAP_FAILED);
	assert_int_equal(kern_boundary_open(PIN_DIR, &b), 0);
	pid = fork();
	if (!pid) {
		pin_to(1);
		setpriority(PRIO_PROCESS, 0, -20);
		enter_cgroup(f->cgroup);
		burn(5000000);
		*(volatile int *)go = 1;
		while (*(volatile int *)go != 2)
			;
		pause();
	}
	pin_to(0);
	while (!next_event(f, &e))
		sched_yield();
	while (*(volatile int *)go != 1)
		sched_yield();
	index = e.uid & ((1u << ONCPU_INSTANCE_BITS) - 1);
	assert_int_equal(unlink(PIN_DIR "/link_switch"), 0);
	wait_hook_gone_here(&slots[0]);
	valid = slots[1].instance == index + 1;
	*go = 2;
	while (state_of(pid) != 'S')
		;
	assert_int_equal(kern_boundary_read(b, e.uid, before), 0);
	totals[f->owner->control->max_instances + index].charged_ns += HALF_CHARGED_NS;
	assert_int_equal(kern_boundary_read(b, e.uid, after), 0);
	if (valid)
		assert_law(f, before->total_ns);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	kern_boundary_close(&b);
	munmap(totals, bytes);
	munmap(slots, 4096);
	munmap(go, 4096);
	return valid;
}

static void test_trap_4_who_left_unseen_is_counted_once(void **state)
{
	struct kern_reading before, after;
	struct fixture f;
	bool valid = false;
	cpu_set_t all;

	(void)need(state);
	sched_getaffinity(0, sizeof(all), &all);
	for (int i = 0; i < TRIES && !valid; i++) {
		fixture_up(&f, (struct kern_config){ DEFAULTS });
		valid = left_unseen(&f, &before, &after);
		fixture_down(&f);
	}
	sched_setaffinity(0, sizeof(all), &all);
	assert_true(valid);
	assert_int_equal(after.total_ns, before.total_ns);
}

static void test_trap_4_a_hidden_switch_is_put_right(void **state)
{
	struct oncpu_event e = hidden_switch_with(state, (struct kern_config){ DEFAULTS });

	assert_put_right(&e);
}

static void test_trap_4_left_open_misses_the_slice(void **state)
{
	struct oncpu_event e =
		hidden_switch_with(state, (struct kern_config){ .live_steal = true });

	assert_true(e.total_ns + (getenv("ONCPU_EMULATED") ? 0 : e.bound_ns) < 9000000);
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

/* The signed sum of all differences, and what a reader would get that clamps negative ones. */
static int64_t sum_of_differences(const struct fixture *f, bool clamped)
{
	int64_t sum = 0;

	for (size_t i = 1; i < f->count; i++) {
		int64_t d = (int64_t)(f->events[i].total_ns - f->events[i - 1].total_ns);

		sum += clamped && d < 0 ? 0 : d;
	}
	return sum;
}

static void test_trap_5_marks_of_many_threads_telescope(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *last;
	int64_t open = 0;

	for (int i = 0; i < 10 && !open; i++) {
		uint64_t before = cpu_stat_ns(f->cgroup), total;

		run_child(f, racing_body, NULL, false);
		last = events_until_exit(f);
		total = last->total_ns;
		assert_in_range(total + 4000, cpu_stat_ns(f->cgroup) - before,
				cpu_stat_ns(f->cgroup) - before + 8000);
		qsort(f->events, f->count, sizeof(*f->events), by_number);
		assert_int_equal(f->count, RACERS * RACES + 2);
		for (size_t k = 1; k < f->count; k++)
			assert_int_equal(f->events[k].n, f->events[k - 1].n + 1);
		assert_int_equal(sum_of_differences(f, false), total);
		open = sum_of_differences(f, true) - (int64_t)total;
	}
	assert_true(open > 0); /* left open: what crossed is counted twice */
	assert_int_equal(counter(f, "storage_failed"), 0);
}

/* ---- a function with a child in a cgroup below, for several traps ---- */

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

/* ---- trap 6: task storage ---- */

/* Calls of bpf_task_storage_get that would create, or may: r4 is its flags. */
static int creating_calls(struct fixture *f, const char *program)
{
	struct bpf_program *p = bpf_object__find_program_by_name(f->owner->skel->obj, program);
	const struct bpf_insn *insns;
	int found = 0;

	assert_non_null(p);
	insns = bpf_program__insns(p);
	for (size_t i = 0; i < bpf_program__insn_cnt(p); i++) {
		size_t k = i;

		if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg ||
		    insns[i].imm != BPF_FUNC_task_storage_get)
			continue;
		while (k > 0 && insns[k].dst_reg != BPF_REG_4)
			k--;
		found += (insns[k].code & 0xf0) != BPF_MOV || insns[k].imm;
	}
	return found;
}

/* A tracepoint may come in while a helper holds the storage of the same task: creating there
 * fails. */
static void test_trap_6_storage_is_created_where_no_helper_can_be_cut_in(void **state)
{
	static const char *const lookups[] = { "on_switch", "on_migrate", "on_wakeup_new",
					       "on_exec", "on_free" };
	struct fixture *f = need(state);

	assert_true(creating_calls(f, "on_fork") > 0);
	assert_true(creating_calls(f, "adopt") > 0);
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++)
		assert_int_equal(creating_calls(f, lookups[i]), 0);
}

/* The table by tid spares the switch a helper; where it does not reach, the storage stands in. */
static void test_trap_6_tids_beyond_the_table_are_found_by_storage(void **state)
{
	struct fixture f;

	(void)need(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .pid_max = 1 });
	run_child(&f, subtree_body, &f, false);
	assert_law(&f, events_until_exit(&f)->total_ns);
	fixture_down(&f);
}

/* ---- trap 7: baseline ---- */

static void grown_up_body(void *argument)
{
	struct fixture *f = argument;

	burn(150000000); /* before it belongs to anybody */
	enter_cgroup(f->cgroup);
	burn(20000000);
}

static void test_trap_7_what_ran_before_is_not_charged(void **state)
{
	struct fixture *f = need(state);

	run_child(f, grown_up_body, f, true);
	assert_law(f, events_until_exit(f)->total_ns);
}

static void test_trap_7_left_open_charges_it(void **state)
{
	struct fixture f;

	(void)need(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .open_trap = 7 });
	run_child(&f, grown_up_body, &f, true);
	assert_true(events_until_exit(&f)->total_ns > cpu_stat_ns(f.cgroup) + 149000000);
	fixture_down(&f);
}

/* ---- trap 8: the whole subtree ---- */

static void test_trap_8_an_instance_is_its_whole_subtree(void **state)
{
	struct fixture *f = need(state);

	run_child(f, subtree_body, f, false);
	assert_law(f, events_until_exit(f)->total_ns);
}

static void test_trap_8_left_open_misses_what_is_below(void **state)
{
	struct fixture f;

	(void)need(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .open_trap = 8 });
	run_child(&f, subtree_body, &f, false);
	assert_true(events_until_exit(&f)->total_ns + 29000000 < cpu_stat_ns(f.cgroup));
	fixture_down(&f);
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

static void test_trap_9_a_process_that_marks_is_a_tree_of_its_own(void **state)
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
	assert_in_range(start->total_ns, 10000000,
			at_most(40000000)); /* its whole life so far is init */
	assert_in_range(end->total_ns - start->total_ns, 20000000, at_most(60000000));
	assert_int_equal(end->status, 1);
}

/* A process that has a thread and a child already when it first marks. The instance is its first
 * thread's until the others are adopted. */
static void *burn_when_told(void *argument)
{
	char c;

	if (read(*(int *)argument, &c, 1) == 1)
		burn(20000000);
	return NULL;
}

static void grown_tree_body(void *argument)
{
	int *told = argument; /* 0: adopted, go on; 2: to the thread; 4: to the child */
	pthread_t thread;
	char c;

	pthread_create(&thread, NULL, burn_when_told, &told[2]);
	if (!fork()) {
		burn_when_told(&told[4]);
		_exit(0);
	}
	oncpu_receive_start("tree", "grown");
	if (read(told[0], &c, 1) != 1 || write(told[3], "x", 1) != 1 || write(told[5], "x", 1) != 1)
		_exit(1);
	pthread_join(thread, NULL);
	wait(NULL);
	oncpu_report_done(0);
}

static struct oncpu_event *grown_tree(struct fixture *f, bool adopt)
{
	struct kern_request request;
	int told[6], status;
	pid_t pid;

	f->tree = true;
	for (int i = 0; i < 6; i += 2)
		assert_int_equal(pipe(told + i), 0);
	pid = fork();
	if (!pid) {
		grown_tree_body(told);
		_exit(0);
	}
	while (!kern_view_next_request(f->view, &request) || request.tgid != (uint32_t)pid)
		sched_yield();
	assert_true(request.tree);
	assert_int_equal(request.threads, 2);
	if (adopt)
		assert_int_equal(kern_owner_adopt_tree(f->owner, pid, request.uid), 0);
	assert_int_equal(write(told[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 6; i++)
		close(told[i]);
	events_until_exit(f);
	return find_event(f, ONCPU_EV_END, 0);
}

static void test_trap_9_what_a_tree_has_already_is_adopted_and_flagged(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *end = grown_tree(f, true), *start = find_event(f, ONCPU_EV_START, 0);

	assert_in_range(end->total_ns - start->total_ns, 40000000, at_most(60000000));
	assert_true(end->flags & ONCPU_EVF_ADOPTED);
	assert_int_equal(end->cgroup_id, 0); /* no cpu.stat of its own: the law is not claimed */
}

static void test_trap_9_left_open_misses_them(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *end = grown_tree(f, false);

	assert_true(end->total_ns - find_event(f, ONCPU_EV_START, 0)->total_ns < 20000000);
}

/* ---- trap 11: a string on a page that is not in memory ---- */

/* Read by the probe at it only; never inlined, so that there is a symbol. */
__attribute__((noinline, noipa)) void their_invoke(const char *id);
void their_invoke(const char *id)
{
	__asm__ volatile("" : : "r"(id) : "memory");
}

/* A page of a file that nobody has touched through this mapping. */
static const char *untouched(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);
	void *page;

	if (write(fd, text, strlen(text) + 1) < 0)
		_exit(1);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return page;
}

static void strings_body(void *unused)
{
	(void)unused;
	oncpu_receive_start("tested", untouched("by the hello"));
	oncpu_receive_invoke(untouched("by the mark"));
	/* left open: the nop without the header's touch before it */
	oncpu_mark_receive_invoke(NULL, untouched("by nobody"), 3, 0, ONCPU_EV_INVOKE);
	their_invoke(untouched("by the symbol"));
}

static void assert_id(const struct oncpu_event *e, const char *id)
{
	assert_int_equal(e->id_len, strlen(id));
	assert_memory_equal(e->id, id, strlen(id));
	assert_false(e->flags & ONCPU_EVF_ID_UNREADABLE);
}

static void test_trap_11_strings_not_in_memory_are_read(void **state)
{
	struct kern_symbol symbol = { ONCPU_EV_INVOKE, 0, -1, -1, "" };
	struct fixture *f = need(state);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t offset;

	assert_int_equal(elf_symbol(fd, "their_invoke", &offset), 0);
	assert_int_equal(kern_owner_attach_symbol(f->owner, fd, offset, &symbol), 0);
	close(fd);
	run_child(f, strings_body, NULL, false);
	events_until_exit(f);
	assert_id(find_event(f, ONCPU_EV_START, 0), "by the hello");
	assert_id(find_event(f, ONCPU_EV_INVOKE, 0), "by the mark");
	assert_int_equal(find_event(f, ONCPU_EV_INVOKE, 1)->id_len, 0);
	assert_true(find_event(f, ONCPU_EV_INVOKE, 1)->flags & ONCPU_EVF_ID_UNREADABLE);
	assert_id(find_event(f, ONCPU_EV_INVOKE, 2), "by the symbol");
}

/* ---- trap 12: what Linux 6.1 has not ---- */

/* Of the kernel's symbols the object asks for one, and goes without where it is not there. */
static void test_trap_12_no_kernel_symbol_is_needed(void **state)
{
	struct btf *btf = btf__parse("build/oncpu.bpf.o", NULL);
	int32_t id = btf ? btf__find_by_name_kind(btf, ".ksyms", BTF_KIND_DATASEC) : -1;
	const struct btf_type *section = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	(void)state;
	assert_non_null(section);
	for (uint32_t i = 0; i < btf_vlen(section); i++) {
		uint32_t type = btf_var_secinfos(section)[i].type;
		const struct btf_type *t = btf__type_by_id(btf, type);

		assert_string_equal(btf__name_by_offset(btf, t->name_off), "bpf_rdonly_cast");
	}
	btf__free(btf);
}

static void test_trap_12_without_direct_reads_the_books_are_the_same(void **state)
{
	struct oncpu_event e;
	struct fixture f;

	(void)need(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .no_direct_reads = true });
	run_child(&f, subtree_body, &f, false);
	assert_law(&f, events_until_exit(&f)->total_ns);
	fixture_down(&f);
	e = hidden_switch_with(state, (struct kern_config){ DEFAULTS, .no_direct_reads = true });
	assert_put_right(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trap_4_a_hidden_switch_is_put_right),
		cmocka_unit_test(test_trap_4_left_open_misses_the_slice),
		cmocka_unit_test(test_trap_4_who_left_unseen_is_counted_once),
		cmocka_unit_test_setup_teardown(test_trap_5_marks_of_many_threads_telescope, up,
						down),
		cmocka_unit_test_setup_teardown(
			test_trap_6_storage_is_created_where_no_helper_can_be_cut_in, up, down),
		cmocka_unit_test(test_trap_6_tids_beyond_the_table_are_found_by_storage),
		cmocka_unit_test_setup_teardown(test_trap_7_what_ran_before_is_not_charged, up,
						down),
		cmocka_unit_test(test_trap_7_left_open_charges_it),
		cmocka_unit_test_setup_teardown(test_trap_8_an_instance_is_its_whole_subtree, up,
						down),
		cmocka_unit_test(test_trap_8_left_open_misses_what_is_below),
		cmocka_unit_test_setup_teardown(
			test_trap_9_a_process_that_marks_is_a_tree_of_its_own, up, down),
		cmocka_unit_test_setup_teardown(
			test_trap_9_what_a_tree_has_already_is_adopted_and_flagged, up, down),
		cmocka_unit_test_setup_teardown(test_trap_9_left_open_misses_them, up, down),
		cmocka_unit_test_setup_teardown(test_trap_11_strings_not_in_memory_are_read, up,
						down),
		cmocka_unit_test(test_trap_12_no_kernel_symbol_is_needed),
		cmocka_unit_test(test_trap_12_without_direct_reads_the_books_are_the_same),
	};

	cmocka_set_test_filter(getenv("TEST_FILTER")); /* one of them, where time is dear */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
