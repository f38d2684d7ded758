/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is taken out of slices: interrupts, on a loopback UDP flood whose soft interrupts are
 * steered to the CPU of a function that has nothing to do with it; and the hypervisor's steal.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <bpf/libbpf.h>

#include "kernel_fixture.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

enum { WORK_NS = 30000000, ROUNDS = 5, BUSY = 200 };

static int up_with_irq(void **state)
{
	static struct fixture f;

	if (!can_run())
		return 0;
	fixture_up(&f, (struct kern_config){ DEFAULTS, .irq = true });
	*state = &f;
	return 0;
}

/* ---- the neighbour: a network of its own, packets from CPU 0, delivered where it is told ---- */

static void lo_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r))
		_exit(3);
	close(fd);
}

/* Receive packet steering: the CPU that runs the soft interrupt. */
static void steer_to(int cpu)
{
	int fd = open("/mnt/class/net/lo/queues/rx-0/rps_cpus", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%x", 1 << cpu) < 0)
		_exit(77); /* a kernel without CONFIG_RPS */
	close(fd);
}

/* Reads '0' or '1', the CPU; answers, and sends until the next one. */
static void neighbour(int in, int out)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int receiver, sender;
	char cpu, packet[64] = "";

	pin_to(0);
	setpriority(PRIO_PROCESS, 0, -20); /* on a busy host, too */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/mnt", "sysfs", 0, NULL))
		_exit(2);
	lo_up();
	receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(receiver, (struct sockaddr *)&to, sizeof(to)) ||
	    connect(sender, (struct sockaddr *)&to, sizeof(to)))
		_exit(4);
	fcntl(in, F_SETFL, O_NONBLOCK);
	for (;;) {
		ssize_t n = read(in, &cpu, 1);

		if (n == 0)
			_exit(0);
		if (n == 1) {
			steer_to(cpu - '0');
			if (write(out, &cpu, 1) != 1)
				_exit(5);
		}
		for (int i = 0; i < 16; i++)
			(void)!send(sender, packet, sizeof(packet), 0);
		nanosleep(&(struct timespec){ .tv_nsec = 100000 },
			  NULL); /* or nobody else would run */
	}
}

/* ---- the innocent: computes, when told ---- */

static void innocent(int in, int out)
{
	char c;

	pin_to(1);
	while (read(in, &c, 1) == 1) {
		oncpu_receive_invoke(NULL);
		burn(WORK_NS);
		oncpu_report_done(0);
		if (write(out, &c, 1) != 1)
			_exit(5);
	}
	_exit(0);
}

struct worker {
	int to[2], from[2];
	pid_t pid;
};

static void start(struct worker *w, void (*body)(int, int), const char *cgroup)
{
	assert_int_equal(pipe2(w->to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(w->from, O_CLOEXEC), 0);
	w->pid = fork();
	if (!w->pid) {
		close(w->to[1]);
		close(w->from[0]);
		if (cgroup)
			enter_cgroup(cgroup);
		body(w->to[0], w->from[1]);
	}
	close(w->to[0]);
	close(w->from[1]);
}

static bool tell(struct worker *w, char what)
{
	char c;

	return write(w->to[1], &what, 1) == 1 && read(w->from[0], &c, 1) == 1 && c == what;
}

static int end(struct worker *w)
{
	int status;

	close(w->to[1]);
	close(w->from[0]);
	waitpid(w->pid, &status, 0);
	return status;
}

/* Ticks that a CPU has spent in interrupts of both kinds, by the kernel's own sampling. */
static int64_t interrupt_ticks(int cpu)
{
	unsigned long long irq = 0, softirq = 0;
	char line[256], name[16];
	FILE *file = fopen("/proc/stat", "re");

	snprintf(name, sizeof(name), "cpu%d ", cpu);
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%*u %*u %*u %*u %*u %llu %llu", &irq,
			       &softirq);
	if (file)
		fclose(file);
	return (int64_t)(irq + softirq);
}

static int64_t permille(uint64_t part, uint64_t whole)
{
	return (int64_t)(part * 1000 / whole);
}

/* Of the time of its `which`th invocation, what interrupts took, in per mille. */
static int64_t taken_from(struct fixture *f, size_t which)
{
	struct oncpu_event *start = find_event(f, ONCPU_EV_INVOKE, which);
	struct oncpu_event *end = find_event(f, ONCPU_EV_END, which);

	assert_true(start->flags & ONCPU_EVF_IRQ && end->flags & ONCPU_EVF_IRQ);
	assert_true(end->irq_ns >= start->irq_ns);
	assert_true(end->irq_ns - start->irq_ns < end->total_ns - start->total_ns);
	return permille(end->irq_ns - start->irq_ns, end->total_ns - start->total_ns);
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t median(int64_t values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), by_size);
	return values[ROUNDS / 2];
}

/* The neighbour sends all the time: only who is interrupted for it changes, to and fro, for a host
 * has interrupts of its own that come and go. */
static void test_a_neighbours_packets_are_told_from_a_functions_own_work(void **state)
{
	int64_t quiet[ROUNDS], steered[ROUNDS], sampled = 0, wall = 0, less, more;
	struct fixture *f = need(state);
	struct worker flood, function;

	start(&flood, neighbour, NULL);
	if (!tell(&flood, '0')) {
		if (WEXITSTATUS(end(&flood)) == 77) {
			print_message("skipped: no receive packet steering (CONFIG_RPS)\n");
			skip();
		}
		fail_msg("the neighbour has no network of its own");
	}
	start(&function, innocent, f->cgroup);
	for (int i = 0; i < ROUNDS; i++) {
		assert_true(tell(&flood, '0'));
		assert_true(tell(&function, 'w'));
		assert_true(tell(&flood, '1'));
		sampled -= interrupt_ticks(1);
		assert_true(tell(&function, 'w'));
		sampled += interrupt_ticks(1);
	}
	assert_int_equal(end(&function), 0);
	assert_int_equal(end(&flood), 0);
	events_until_exit(f);
	for (size_t i = 0; i < ROUNDS; i++) {
		quiet[i] = taken_from(f, 2 * i);
		steered[i] = taken_from(f, 2 * i + 1);
		wall += (int64_t)(find_event(f, ONCPU_EV_END, 2 * i + 1)->time_ns -
				  find_event(f, ONCPU_EV_INVOKE, 2 * i + 1)->time_ns);
	}
	less = median(quiet);
	more = median(steered);
	/* The ticks are shown, and no more: one that is due in a soft interrupt's way comes in it.
	 */
	sampled = sampled * 1000000000 / sysconf(_SC_CLK_TCK);
	print_message("# of the same work interrupts take %lld per mille, %lld where the packets "
		      "go to its CPU; the kernel's ticks say %lld\n",
		      (long long)less, (long long)more,
		      (long long)permille((uint64_t)sampled, (uint64_t)wall));
	assert_true(more > less + 10);
}

/* ---- off ---- */

static void test_interrupts_that_are_not_measured_have_no_hook(void **state)
{
	struct fixture *f = need(state);

	assert_int_equal(access(PIN_DIR "/link_softirq_entry", F_OK), 0);
	fixture_detach(f);
	assert_true(fixture_attach(f, (struct kern_config){ DEFAULTS }));
	assert_int_equal(access(PIN_DIR "/link_softirq_entry", F_OK), -1);
	assert_int_equal(access(PIN_DIR "/link_irq_entry", F_OK), -1);
	assert_true(bpf_program__fd(f->owner->skel->progs.on_softirq_entry) < 0);
}

/* ---- steal: a busy thread's time is on-CPU, waiting, or the hypervisor's ---- */

static void busy(void *unused)
{
	(void)unused;
	pin_to(1);
	for (int i = 0; i < BUSY; i++) {
		oncpu_receive_invoke(NULL);
		burn(3000000);
		oncpu_report_done(0);
	}
}

static void test_what_is_stolen_is_shown_and_is_in_no_bill(void **state)
{
	struct fixture *f = need(state);
	int64_t stolen = 0, wall = 0;
	int undisturbed = 0, unexplained = 0;

	run_child(f, busy, NULL, false);
	events_until_exit(f);
	if (!(find_event(f, ONCPU_EV_INVOKE, 0)->flags & ONCPU_EVF_STEAL)) {
		print_message("skipped: the scheduler does not book steal here\n");
		skip();
	}
	for (size_t i = 0; i < BUSY; i++) {
		struct oncpu_event *start = find_event(f, ONCPU_EV_INVOKE, i);
		struct oncpu_event *end = find_event(f, ONCPU_EV_END, i);
		int64_t whole = (int64_t)(end->time_ns - start->time_ns);
		int64_t steal = (int64_t)(end->steal_ns - start->steal_ns);
		int64_t switches = (int64_t)(end->voluntary + end->involuntary - start->voluntary -
					     start->involuntary);
		int64_t rest = whole - (int64_t)(end->total_ns - start->total_ns) -
			       (int64_t)(end->run_delay_ns - start->run_delay_ns) - steal;

		if ((start->flags | end->flags) & ONCPU_EVF_STALE)
			continue; /* when that slice began, and with what, nobody saw */
		assert_true(steal >= 0);
		stolen += steal;
		wall += whole;
		if (switches)
			continue; /* each one has some µs that are nobody's */
		undisturbed++;
		if (llabs(rest) <= 20000 + steal / 10)
			continue;
		unexplained++;
		print_message("# of %lld ns, %lld stolen, %lld are not explained\n",
			      (long long)whole, (long long)steal, (long long)rest);
	}
	/* A few may be: the CPU can be taken away in the middle of a boundary. */
	assert_true(undisturbed > 10);
	assert_true(unexplained <= undisturbed / 10);
	print_message("# of %lld ms the hypervisor took %lld µs\n", (long long)wall / 1000000,
		      (long long)stolen / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_neighbours_packets_are_told_from_a_functions_own_work, up_with_irq,
			down),
		cmocka_unit_test_setup_teardown(test_interrupts_that_are_not_measured_have_no_hook,
						up_with_irq, down),
		cmocka_unit_test_setup_teardown(test_what_is_stolen_is_shown_and_is_in_no_bill, up,
						down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
