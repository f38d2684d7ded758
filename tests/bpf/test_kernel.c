/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel side on the running kernel: lives of instances and threads, what is counted of them,
 * pins and upgrades. The traps of the accounting scheme are in test_traps.c.
 */
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_fixture.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

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
	assert_in_range(counter(f, "events"), 4, 40); /* somebody else may mark, too */
	start = find_event(f, ONCPU_EV_START, 0);
	end = find_event(f, ONCPU_EV_END, 0);
	assert_string_equal(f->events[0].function, "tested");
	assert_int_equal(f->events[0].total_ns, 0);
	assert_int_equal(start->id_len, 4);
	assert_memory_equal(start->id, "id-1", 4);
	assert_true(start->total_ns >= 5000000);
	/* exact, unless somebody was just woken who is to take the CPU: then by the clock's age */
	assert_in_range(start->bound_ns, 0, at_most(100000));
	assert_in_range(end->total_ns - start->total_ns, 20000000, at_most(21000000));
	assert_law(f, exit_event->total_ns);
}

/* ---- fork, vfork, exec, exec by a thread, thread death ---- */

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
	for (volatile int by_thread = 0; by_thread < 2; by_thread++) {
		p = fork();
		if (!p) {
			if (!by_thread)
				exec_from_a_thread(NULL);
			pthread_create(&t, NULL, exec_from_a_thread, NULL);
			pthread_join(t, NULL);
			_exit(1);
		}
		waitpid(p, NULL, 0);
	}
	for (int i = 0; i < 20; i++) {
		pthread_create(&t, NULL, short_life, NULL);
		pthread_join(t, NULL);
	}
}

static void test_families_hold_the_law(void **state)
{
	struct fixture *f = need(state);
	struct oncpu_event *last;

	run_child(f, families_body, NULL, false);
	last = events_until_exit(f);
	assert_law(f, last->total_ns);
	assert_int_equal(last->threads, 0);
	/* the first thread moved in; each one of the others was born here, and each one is closed
	 */
	assert_int_equal(counter(f, "threads_joined"), 1 + 50 + 2 + 1 + 20);
	assert_int_equal(counter(f, "threads_closed") + counter(f, "threads_closed_late"),
			 counter(f, "threads_joined"));
}

static void test_clone_into_a_cgroup_counts_from_the_first_slice(void **state)
{
	struct fixture *f = need(state);
	int cgroup = open(f->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t)cgroup };
	struct oncpu_event *last;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	assert_true(pid >= 0);
	if (!pid) {
		burn(10000000);
		_exit(0);
	}
	close(cgroup);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	last = events_until_exit(f);
	assert_true(last->total_ns >= 10000000);
	assert_law(f, last->total_ns);
	assert_int_equal(counter(f, "moves"), 0); /* it was never anywhere else */
}

/* ---- what a function sees of itself, around its marks ---- */

struct seen {
	uint64_t cpu_ns, run_delay_ns, voluntary, involuntary;
};

/* Shared with the child: just before and just after the start mark, and the end mark. */
struct seen_around {
	struct seen at[4];
	volatile int begun;
};

static void look(struct seen *s)
{
	unsigned long long run, delay = 0;
	struct rusage u;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");

	if (!f || fscanf(f, "%llu %llu", &run, &delay) != 2)
		_exit(98);
	fclose(f);
	getrusage(RUSAGE_THREAD, &u);
	*s = (struct seen){ clock_ns(CLOCK_THREAD_CPUTIME_ID), delay, (uint64_t)u.ru_nvcsw,
			    (uint64_t)u.ru_nivcsw };
}

static struct seen_around *share_seen(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

/* What the two events differ by lies between what the function saw inside and outside its marks. */
static void assert_between(const struct seen_around *a, size_t field, uint64_t counted,
			   uint64_t bound)
{
	uint64_t at[4];

	for (int i = 0; i < 4; i++)
		memcpy(&at[i], (const char *)&a->at[i] + field, sizeof(at[i]));
	if (counted + bound < at[2] - at[1] || counted > at[3] - at[0] + bound)
		fail_msg("field at %zu: %llu (±%llu) is not in %llu … %llu", field,
			 (unsigned long long)counted, (unsigned long long)bound,
			 (unsigned long long)(at[2] - at[1]), (unsigned long long)(at[3] - at[0]));
}

static void assert_as_seen(struct fixture *f, const struct seen_around *a)
{
	struct oncpu_event *start = find_event(f, ONCPU_EV_START, 0);
	struct oncpu_event *end = find_event(f, ONCPU_EV_END, 0);

	assert_between(a, offsetof(struct seen, cpu_ns), end->total_ns - start->total_ns,
		       start->bound_ns + end->bound_ns);
	assert_between(a, offsetof(struct seen, run_delay_ns),
		       end->run_delay_ns - start->run_delay_ns, 0);
	assert_between(a, offsetof(struct seen, voluntary), end->voluntary - start->voluntary, 0);
	assert_between(a, offsetof(struct seen, involuntary), end->involuntary - start->involuntary,
		       0);
}

static void busy_and_asleep_body(void *argument)
{
	struct seen_around *a = argument;

	pin_to(1);
	look(&a->at[0]);
	oncpu_receive_start("tested", "seen");
	look(&a->at[1]);
	for (int i = 0; i < 20; i++) {
		burn(2000000);
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	look(&a->at[2]);
	oncpu_report_done(0);
	look(&a->at[3]);
}

/* Beside a hog on the same CPU, so that it waits for the CPU and is preempted. */
static void test_run_queue_wait_and_switches_are_the_kernels(void **state)
{
	struct fixture *f = need(state);
	struct seen_around *a = share_seen();
	pid_t hog = fork();

	if (!hog) {
		pin_to(1);
		for (;;)
			;
	}
	run_child(f, busy_and_asleep_body, a, false);
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	events_until_exit(f);
	assert_as_seen(f, a);
	assert_true(a->at[2].run_delay_ns > a->at[1].run_delay_ns);
	assert_true(a->at[2].voluntary >= a->at[1].voluntary + 20);
	assert_true(a->at[2].involuntary > a->at[1].involuntary);
	munmap(a, sizeof(*a));
}

/* ---- migration ---- */

static void migrated_body(void *argument)
{
	struct seen_around *a = argument;

	look(&a->at[0]);
	oncpu_receive_start("tested", "migrated");
	look(&a->at[1]);
	a->begun = 1;
	burn(100000000);
	look(&a->at[2]);
	oncpu_report_done(0);
	look(&a->at[3]);
	a->begun = 2;
}

static void test_migration_in_mid_slice(void **state)
{
	struct fixture *f = need(state);
	struct seen_around *a = share_seen();
	cpu_set_t set;
	int status, moves = 0;
	pid_t pid = fork();

	if (!pid) {
		enter_cgroup(f->cgroup);
		migrated_body(a);
		_exit(0);
	}
	while (a->begun != 2) {
		CPU_ZERO(&set);
		CPU_SET(moves % 2, &set);
		if (a->begun == 1 && !sched_setaffinity(pid, sizeof(set), &set))
			moves++;
		sched_yield();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_law(f, events_until_exit(f)->total_ns);
	assert_as_seen(f, a);
	assert_true(moves > 10);
	munmap(a, sizeof(*a));
}

/* ---- a move between cgroups ---- */

static void test_a_move_in_mid_slice_splits_as_the_kernels_books(void **state)
{
	struct fixture *f = need(state), second = *f;
	uint64_t totals[2] = { 0 }, moving_ns;
	struct oncpu_event e;
	int64_t late;
	char line[800];
	int go[2], status, fd;
	struct stat st;
	pid_t pid;

	snprintf(second.cgroup, sizeof(second.cgroup), "%s/oncpu-test-2", f->root);
	rmdir(second.cgroup);
	assert_int_equal(mkdir(second.cgroup, 0755), 0);
	assert_int_equal(stat(second.cgroup, &st), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (!pid) {
		enter_cgroup(f->cgroup);
		burn(10000000);
		if (write(go[1], "x", 1) != 1) /* moved in the middle of what follows */
			_exit(1);
		burn(50000000);
		_exit(0);
	}
	assert_int_equal(read(go[0], line, 1), 1);
	snprintf(line, sizeof(line), "%s/cgroup.procs", second.cgroup);
	fd = open(line, O_WRONLY | O_CLOEXEC);
	moving_ns = clock_ns(CLOCK_MONOTONIC);
	assert_true(dprintf(fd, "%d", pid) > 0);
	moving_ns = clock_ns(CLOCK_MONOTONIC) - moving_ns;
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	while (!totals[0] || !totals[1]) {
		if (kern_view_read(f->view, &e, 1) != 1)
			sched_yield();
		else if (e.kind == ONCPU_EV_EXIT &&
			 (e.cgroup_id == f->cgroup_id || e.cgroup_id == st.st_ino))
			totals[e.cgroup_id == st.st_ino] = e.total_ns;
	}
	/* together exact; the kernel moves it in the middle of the write, and tells so later in it
	 */
	late = (int64_t)(totals[0] - cpu_stat_ns(f->cgroup));
	assert_true(late > -4000 && late < (int64_t)moving_ns + 4000);
	assert_law(&second, totals[1] + (uint64_t)late);
	assert_true(totals[0] >= 10000000 && totals[0] + totals[1] > 60000000);
	assert_int_equal(rmdir(second.cgroup), 0);
	close(go[0]);
	close(go[1]);
}

/* ---- threads that run already when the hooks are attached ---- */

static void *burn_until_told(void *stop)
{
	while (!*(volatile int *)stop)
		;
	return NULL;
}

static void test_threads_that_run_at_attach_count_from_then_on(void **state)
{
	struct fixture *f = need(state);
	struct seen_around *a = share_seen();
	uint64_t before, after;
	struct oncpu_event *last;
	pthread_t thread;
	int status;
	pid_t pid;

	fixture_detach(f);
	kern_unpin(PIN_DIR);
	pid = fork();
	if (!pid) {
		enter_cgroup(f->cgroup);
		pthread_create(&thread, NULL, burn_until_told, (void *)&a->begun);
		burn_until_told((void *)&a->begun);
		pthread_join(thread, NULL);
		oncpu_receive_start("tested", "after");
		oncpu_report_done(0);
		_exit(0);
	}
	while (cpu_stat_ns(f->cgroup) < 20000000)
		sched_yield();
	before = cpu_stat_ns(f->cgroup); /* behind by up to a tick a CPU, never ahead */
	assert_false(fixture_attach(f, (struct kern_config){ DEFAULTS }));
	after = cpu_stat_ns(f->cgroup);
	a->begun = 1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	last = events_until_exit(f);
	assert_true(last->total_ns <= cpu_stat_ns(f->cgroup) - before + 4000);
	assert_true(last->total_ns + 4000 + 2 * 10000000 >= cpu_stat_ns(f->cgroup) - after);
	assert_true(f->events[0].flags & ONCPU_EVF_ADOPTED);
	/* who joins a thread is told before its last switch */
	assert_in_range(find_event(f, ONCPU_EV_START, 0)->threads, 1, 2);
	munmap(a, sizeof(*a));
}

/* ---- the number of threads, and no room for them ---- */

static void five_threads_body(void *unused)
{
	pthread_t threads[4];
	int stop = 0;

	(void)unused;
	oncpu_receive_start("tested", "1");
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, burn_until_told, &stop);
	oncpu_response();
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void test_threads_are_counted(void **state)
{
	struct fixture *f = need(state);

	run_child(f, five_threads_body, NULL, false);
	assert_int_equal(events_until_exit(f)->threads, 0);
	assert_int_equal(find_event(f, ONCPU_EV_START, 0)->threads, 1);
	assert_int_equal(find_event(f, ONCPU_EV_RESPONSE, 0)->threads, 5);
}

static void test_threads_without_room_are_flagged(void **state)
{
	struct fixture f;

	(void)need(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .max_threads = 4 });
	run_child(&f, five_threads_body, NULL, false);
	events_until_exit(&f);
	assert_int_equal(find_event(&f, ONCPU_EV_START, 0)->flags & ONCPU_EVF_UNTRACKED, 0);
	assert_true(find_event(&f, ONCPU_EV_RESPONSE, 0)->flags & ONCPU_EVF_UNTRACKED);
	assert_int_equal(find_event(&f, ONCPU_EV_RESPONSE, 0)->threads, 3);
	assert_int_equal(counter(&f, "threads_full"), 2);
	fixture_down(&f);
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

static void many_marks_body(struct seen_around *a)
{
	for (int i = 0; i < 1000; i++) {
		burn(10000);
		oncpu_report_done(0);
	}
	a->begun = 1;
	while (a->begun == 1)
		sched_yield();
	oncpu_report_done(1);
	_exit(0);
}

static void test_a_full_ring_loses_events_and_no_time(void **state)
{
	struct seen_around *a = share_seen();
	struct oncpu_event e, *last;
	struct fixture f;
	uint64_t kept = 0, events;
	pid_t pid;

	(void)need(state);
	fixture_up(&f, (struct kern_config){ DEFAULTS, .ring_bytes = 65536 });
	pid = fork();
	if (!pid) {
		enter_cgroup(f.cgroup);
		many_marks_body(a);
	}
	while (a->begun != 1)
		sched_yield();
	while (next_event(&f, &e))
		assert_int_equal(e.n, ++kept); /* the first ones are there, without a gap */
	assert_in_range(kept, 100, 65536 / (ONCPU_EVENT_BRIEF + 8));
	assert_int_equal(counter(&f, "events_lost") + kept, 1000 + 1);
	events = counter(&f, "events");
	assert_true(events >= kept);
	kern_view_commit(f.view, kern_view_position(f.view)); /* room again */
	assert_int_equal(counter(&f, "events"), events);      /* freed ones are counted, too */
	a->begun = 2;
	waitpid(pid, NULL, 0);
	last = events_until_exit(&f);
	assert_int_equal(f.count, 2);
	assert_int_equal(f.events[0].n, 1000 + 2); /* its number shows the gap */
	assert_true(f.events[0].total_ns - e.total_ns > (1000 - kept) * 10000);
	assert_law(&f, last->total_ns);
	fixture_down(&f);
	munmap(a, sizeof(*a));
}

/* ---- pins: adopted, upgraded, refused ---- */

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

enum { UPGRADES = 6, MARKERS = 2, MAX_MARKS = 1 << 21 };

/* Somebody else's runtime; never inlined, so that there is a symbol. */
__attribute__((noinline, noipa)) void their_invoke(const char *id);
void their_invoke(const char *id)
{
	__asm__ volatile("" : : "r"(id) : "memory");
}

static struct seen_around *told; /* at[0].voluntary: symbols hit */

static void *mark_until_told(void *unused)
{
	char id[24];

	while (!told->begun) {
		burn(8000);
		oncpu_report_done(0);
		snprintf(id, sizeof(id), "%llu",
			 (unsigned long long)__sync_add_and_fetch(&told->at[0].voluntary, 1));
		their_invoke(id);
	}
	return unused;
}

static void upgraded_body(void)
{
	pthread_t threads[MARKERS];

	for (int i = 0; i < MARKERS; i++)
		pthread_create(&threads[i], NULL, mark_until_told, NULL);
	for (int i = 0; i < MARKERS; i++)
		pthread_join(threads[i], NULL);
	told->at[0].involuntary = oncpu_mark_number; /* how many there were */
	_exit(0);
}

enum { MARK = 1, SYMBOL = 2 };

/* Each mark and each symbol's hit of the instance once, by its number; true at the EXIT. */
static bool tick_off(struct fixture *f, uint8_t *seen, struct oncpu_event *e)
{
	while (next_event(f, e)) {
		uint8_t what = e->kind == ONCPU_EV_END ? MARK : SYMBOL;
		uint64_t number = what == MARK ? e->mark_number : strtoull(e->id, NULL, 10);

		if (e->kind == ONCPU_EV_EXIT)
			return true;
		if (e->kind == ONCPU_EV_INIT)
			continue;
		assert_in_range(number, 1, MAX_MARKS - 1);
		if (seen[number] & what)
			fail_msg("%s %llu was seen twice", what == MARK ? "mark" : "symbol",
				 (unsigned long long)number);
		seen[number] |= what;
	}
	kern_view_commit(f->view, kern_view_position(f->view));
	return false;
}

static void attach_their_invoke(struct fixture *f)
{
	struct kern_symbol symbol = { ONCPU_EV_INVOKE, 0, -1, -1, "" };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t offset;

	assert_int_equal(elf_symbol(fd, "their_invoke", &offset), 0);
	assert_int_equal(kern_owner_attach_symbol(f->owner, fd, offset, &symbol), 0);
	assert_int_equal(kern_owner_take_symbols(f->owner), 0);
	close(fd);
}

static void assert_each_seen(const uint8_t *seen, uint64_t count, uint8_t what)
{
	assert_true(count > 5000);
	for (uint64_t i = 1; i <= count; i++)
		if (!(seen[i] & what))
			fail_msg("%s %llu of %llu was lost", what == MARK ? "mark" : "symbol",
				 (unsigned long long)i, (unsigned long long)count);
}

/* What the kernel side has of the instances, where their EXIT does not come. */
static void say_instances(struct fixture *f)
{
	const struct bpf_map *map = f->owner->skel->maps.instances;
	struct oncpu_instance in;

	for (uint32_t i = 0; i < f->owner->control->max_instances; i++)
		if (!bpf_map_lookup_elem(bpf_map__fd(map), &i, &in) && in.state)
			print_message("instance %u: state %u, flags %x, threads %d, events %llu, "
				      "lost %llu\n",
				      i, in.state, in.flags, in.threads,
				      (unsigned long long)in.events, (unsigned long long)in.lost);
	for (unsigned i = 0; i < kern_counter_count(); i++)
		print_message("%s %llu\n", kern_counter_name(i),
			      (unsigned long long)kern_view_counter(f->view, i));
}

/* The same on every CPU. */
static bool handed_over(struct fixture *f)
{
	const struct bpf_map *map = f->owner->skel->maps.slots;
	struct oncpu_slot first = { 0 }, slot;

	for (uint32_t c = 0; c < f->owner->cpus; c++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &c, &slot), 0);
		if (!c)
			first = slot;
		assert_int_equal(slot.handed_over, first.handed_over);
	}
	return first.handed_over;
}

/* The marks' stubs stay, and one map update puts the new program behind them; at symbols the new
 * programs stand beside the old ones until one write puts them in charge. The switch is handed over
 * to an agent with another configuration, and back to the stub by one with the first one's. */
static void test_an_upgrade_under_load_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = need(state);
	uint8_t *seen = calloc(MAX_MARKS, 1);
	struct oncpu_event e;
	int status;
	pid_t pid;

	told = share_seen();
	attach_their_invoke(f);
	pid = fork();
	if (!pid) {
		enter_cgroup(f->cgroup);
		upgraded_body();
	}
	for (int i = 0; i < UPGRADES; i++) {
		tick_off(f, seen, &e);
		fixture_detach(f);
		assert_true(
			fixture_attach(f, (struct kern_config){ DEFAULTS, .where = i % 3 == 1 }));
		assert_int_equal(handed_over(f), i % 3 == 1);
		attach_their_invoke(f);
	}
	told->begun = 1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (uint64_t end = clock_ns(CLOCK_MONOTONIC) + at_most(60000000000u);
	     !tick_off(f, seen, &e);) {
		if (clock_ns(CLOCK_MONOTONIC) > end) {
			say_instances(f);
			fail_msg("no EXIT");
		}
		sched_yield();
	}
	assert_each_seen(seen, told->at[0].involuntary, MARK);
	assert_each_seen(seen, told->at[0].voluntary, SYMBOL);
	/* with INIT and EXIT */
	assert_int_equal(e.n, told->at[0].involuntary + told->at[0].voluntary + 2);
	assert_law(f, e.total_ns);
	assert_int_equal(counter(f, "no_program"), 0);
	free(seen);
	munmap(told, sizeof(*told));
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
		cmocka_unit_test_setup_teardown(test_families_hold_the_law, up, down),
		cmocka_unit_test_setup_teardown(
			test_clone_into_a_cgroup_counts_from_the_first_slice, up, down),
		cmocka_unit_test_setup_teardown(test_run_queue_wait_and_switches_are_the_kernels,
						up, down),
		cmocka_unit_test_setup_teardown(test_migration_in_mid_slice, up, down),
		cmocka_unit_test_setup_teardown(
			test_a_move_in_mid_slice_splits_as_the_kernels_books, up, down),
		cmocka_unit_test_setup_teardown(test_threads_that_run_at_attach_count_from_then_on,
						up, down),
		cmocka_unit_test_setup_teardown(test_threads_are_counted, up, down),
		cmocka_unit_test(test_threads_without_room_are_flagged),
		cmocka_unit_test_setup_teardown(test_ids_of_every_kind, up, down),
		cmocka_unit_test(test_a_full_ring_loses_events_and_no_time),
		cmocka_unit_test_setup_teardown(test_pins_are_adopted_with_totals_and_events, up,
						down),
		cmocka_unit_test_setup_teardown(
			test_an_upgrade_under_load_loses_and_doubles_nothing, up, down),
		cmocka_unit_test_setup_teardown(test_pins_of_another_layout_are_refused, up, down),
	};

	cmocka_set_test_filter(getenv("TEST_FILTER")); /* one of them, where time is dear */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
