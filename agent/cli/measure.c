/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oncpu measure: one run of a program, its whole process tree, is one invocation.
 *
 * The tree gets a cgroup of its own, which the program is born into, so that no nanosecond is
 * missed or added; the boundaries go through the pinned program, so they are exact whatever the
 * agent does.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/cgroup.h"
#include "cli/format.h"
#include "daemon/agent.h"
#include "daemon/config.h"
#include "kern/kern.h"

enum { SETTLE_MS = 1000 }; /* of a host that is busy: some µs are the rule */

struct measurement {
	struct place place;
	const char *function, *id;
	char derived_id[ONCPU_ID_LEN], pin_dir[256];
	bool json, no_wait;
	char **program;
	struct cgroup cgroup;
	struct kern_boundary *boundary;
	uint64_t uid, cpu_stat_ns;
	pid_t agent; /* our own, 0 = one was running */
	int status;  /* of wait */
};

/* ---- the agent ---- */

static int ignore(void *user, const char *line, size_t length)
{
	(void)user;
	(void)line;
	(void)length;
	return 0;
}

static int start_agent(struct measurement *m)
{
	struct agent_options o = { .state_dir = m->place.state_dir,
				   .socket = m->place.socket,
				   .pin_dir = m->pin_dir,
				   .unpin = true,
				   .log_level = "warning" };
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		return command_fail("cannot make a pipe: %s", strerror(errno));
	m->agent = fork();
	if (!m->agent) {
		close(ready[0]);
		setpgid(0, 0); /* a Ctrl-C is the program's, not the agent's */
		o.ready_fd = ready[1];
		exit(agent_run(&o));
	}
	close(ready[1]);
	if (m->agent < 0 || read(ready[0], &byte, 1) != 1) {
		close(ready[0]);
		return command_fail("no agent runs, and none could be started (see above)");
	}
	close(ready[0]);
	return 0;
}

static int need_agent(struct measurement *m)
{
	int error = client_lines(m->place.socket, "/v1/health", ignore, NULL);

	if (m->place.pin_dir)
		snprintf(m->pin_dir, sizeof(m->pin_dir), "%s", m->place.pin_dir);
	else
		config_pin_dir(m->place.state_dir, m->pin_dir, sizeof(m->pin_dir));
	if (error == -ECONNREFUSED && start_agent(m))
		return 1;
	if (kern_boundary_open(m->pin_dir, &m->boundary))
		return command_fail("%s", kern_error());
	return 0;
}

static void stop_agent(struct measurement *m)
{
	if (m->agent <= 0)
		return;
	kill(m->agent, SIGTERM);
	waitpid(m->agent, NULL, 0);
}

/* ---- the program ---- */

static void run_program(const struct measurement *m, const sigset_t *mask)
{
	int code;

	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(m->program[0], m->program);
	code = errno == ENOENT ? 127 : 126;
	fprintf(stderr, "oncpu: cannot run %s: %s\n", m->program[0], strerror(errno));
	_exit(code);
}

/* Born inside the cgroup: clone3 does it in one step; where it is refused, the child enters first.
 */
static pid_t spawn(struct measurement *m, const sigset_t *mask)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t)m->cgroup.fd };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (!pid)
		run_program(m, mask);
	if (pid >= 0)
		return pid;
	pid = fork();
	if (!pid) {
		if (cgroup_enter(&m->cgroup))
			_exit(126);
		run_program(m, mask);
	}
	return pid;
}

/* To the program while it runs. Later nobody is left who would pass them on to the rest. */
static void forward_signals(struct measurement *m, int signals, pid_t pid, bool ended)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		if (ended)
			cgroup_kill(&m->cgroup);
		else
			kill(pid, (int)info.ssi_signo);
	}
}

/* Forwards signals; ends when the program has, and (unless --no-wait) its whole tree. */
static void wait_for_tree(struct measurement *m, pid_t pid, int signals)
{
	struct pollfd fds[2] = { { .fd = signals, .events = POLLIN },
				 { .fd = m->cgroup.events, .events = POLLPRI } };
	bool ended = false, told = false;

	for (;;) {
		/* in each round, for a change not read is told again and again */
		bool populated = cgroup_populated(&m->cgroup);

		if (ended && (m->no_wait || !populated))
			return;
		if (!poll(fds, 2, ended ? 1000 : -1) && !told) {
			fprintf(stderr,
				"oncpu: %s has ended; waiting for the rest of its tree "
				"(--no-wait would not)\n",
				m->program[0]);
			told = true;
		}
		forward_signals(m, signals, pid, ended);
		if (!ended && waitpid(pid, &m->status, WNOHANG) == pid)
			ended = true;
	}
}

static int run(struct measurement *m)
{
	sigset_t caught, before;
	int signals, error, status;
	pid_t pid;

	sigemptyset(&caught);
	for (size_t i = 0; i < 5; i++)
		sigaddset(&caught, (const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD }[i]);
	sigprocmask(SIG_BLOCK, &caught, &before);
	signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	error = kern_boundary_create(m->boundary, m->cgroup.id, m->function, NULL, &m->uid, NULL);
	if (!error)
		error = kern_boundary_make(m->boundary, m->uid, ONCPU_EV_START, m->id,
					   strlen(m->id), 0);
	if (error)
		return command_fail("%s", kern_error());
	pid = spawn(m, &before);
	if (pid < 0)
		return command_fail("cannot start %s: %s", m->program[0], strerror(errno));
	wait_for_tree(m, pid, signals);
	close(signals);
	if (!m->no_wait)
		(void)kern_boundary_settle(m->boundary, m->uid, SETTLE_MS);
	status = WIFSIGNALED(m->status)	  ? ONCPU_STATUS_CRASHED
		 : WEXITSTATUS(m->status) ? ONCPU_STATUS_ERROR
					  : ONCPU_STATUS_OK;
	error = kern_boundary_make(m->boundary, m->uid, ONCPU_EV_END, m->id, strlen(m->id), status);
	m->cpu_stat_ns = cgroup_cpu_ns(&m->cgroup);
	if (kern_boundary_release(m->boundary, m->uid) || error)
		return command_fail("%s", kern_error());
	return 0;
}

/* ---- the report ---- */

static int64_t number(const json_t *o, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(o, name));
}

static void line(const char *name, int64_t ns, const char *note)
{
	char cell[CELL_MAX];

	format_ns(ns, cell);
	fprintf(stderr, "%-16s %12s  %14" PRId64 " ns%s\n", name, cell, ns, note);
}

/* The parts of the wall time, if the agent watches them. */
static void report_where(const json_t *where)
{
	static const char *const parts[][2] = {
		{ "running_ns", "wall: running" },     { "run_queue_ns", "wall: run queue" },
		{ "throttled_ns", "wall: throttled" }, { "blocked_io_ns", "wall: I/O" },
		{ "idle_ns", "wall: idle" },	       { "frozen_ns", "wall: frozen" },
	};

	for (size_t i = 0; json_is_object(where) && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (number(where, parts[i][0]))
			line(parts[i][1], number(where, parts[i][0]), "");
}

static int report(void *user, const char *json, size_t length)
{
	struct measurement *m = user;
	json_t *o = json_loadb(json, length, 0, NULL), *billed, *policy;
	const json_t *switches = json_object_get(o, "context_switches");
	char cell[CELL_MAX], note[64];
	const char *name;

	if (m->json) {
		fprintf(stderr, "%s\n", json);
		json_decref(o);
		return 0;
	}
	fprintf(stderr, "\n");
	line("wall", number(o, "wall_ns"), "");
	snprintf(note, sizeof(note), "  ± %" PRId64, number(o, "cpu_error_bound_ns"));
	line("on-CPU", number(o, "cpu_ns"), note);
	line("cpu.stat", (int64_t)m->cpu_stat_ns, "  the kernel's own books, in whole µs");
	line("run queue", number(o, "run_queue_ns"), "  all threads' waits together");
	report_where(json_object_get(o, "where"));
	fprintf(stderr, "%-16s %12" PRId64 "  voluntary, %" PRId64 " involuntary\n", "switches",
		number(switches, "voluntary"), number(switches, "involuntary"));
	billed = json_object_get(o, "billed");
	json_object_foreach(billed, name, policy)
	{
		json_t *ms = json_object_get(policy, "billed_ms");
		int64_t ns = ms ? json_integer_value(ms) * 1000000 : number(policy, "billed_ns");

		format_ns(ns, cell);
		fprintf(stderr, "billed %-24s %s\n", name, cell);
	}
	json_decref(o);
	return 0;
}

static int show(struct measurement *m)
{
	struct selection s = { .function = m->function, .id = m->id, .last = 1 };

	return source_invocations(&m->place, &s, report, m) ? 1 : 0;
}

/* ---- the command ---- */

static int parse(struct measurement *m, int argc, char **argv)
{
	struct timespec now;
	int c;

	place_defaults(&m->place);
	while ((c = command_next(&measure_command, argc, argv)) != -1) {
		switch (c) {
		case 'f':
			m->function = optarg;
			break;
		case 'i':
			m->id = optarg;
			break;
		case 'j':
			m->json = true;
			break;
		case 'w':
			m->no_wait = true;
			break;
		case 's':
			m->place.state_dir = optarg;
			break;
		case 'S':
			m->place.socket = optarg;
			break;
		case 'p':
			m->place.pin_dir = optarg;
			break;
		default:
			return command_misused("measure", argc, argv);
		}
	}
	m->program = argv + optind;
	if (!m->function || !m->function[0])
		return command_fail("measure needs --function NAME"), 2;
	if (strlen(m->function) >= ONCPU_NAME_LEN)
		return command_fail("--function: at most %u bytes", ONCPU_NAME_LEN - 1), 2;
	if (m->id && (strlen(m->id) > ONCPU_ID_LEN || !m->id[0]))
		return command_fail("--id: 1 to %u bytes", ONCPU_ID_LEN), 2;
	if (optind >= argc)
		return command_fail("measure needs a program: … -- PROGRAM [ARGUMENT...]"), 2;
	if (!m->id) {
		clock_gettime(CLOCK_BOOTTIME, &now);
		snprintf(m->derived_id, sizeof(m->derived_id), "measure-%lld%09ld",
			 (long long)now.tv_sec, now.tv_nsec);
		m->id = m->derived_id;
	}
	return 0;
}

static int command_measure(int argc, char **argv)
{
	struct measurement m = { .cgroup = { .fd = -1, .events = -1 } };
	int code = parse(&m, argc, argv);

	if (code)
		return code;
	if (geteuid())
		return command_fail(
			"measure needs root, for eBPF and for the cgroup (run it with sudo)");
	code = need_agent(&m);
	if (!code && (code = cgroup_make(&m.cgroup, "measure")))
		command_fail("cannot make a cgroup: %s (oncpu doctor tells more)", strerror(-code));
	if (!code)
		code = run(&m);
	cgroup_remove(&m.cgroup);
	if (!code)
		code = show(&m);
	kern_boundary_close(&m.boundary);
	stop_agent(&m);
	if (code)
		return 1;
	return WIFSIGNALED(m.status) ? 128 + WTERMSIG(m.status) : WEXITSTATUS(m.status);
}

static const struct command_option options[] = {
	{ "function", 'f', "NAME", "the function's name in the record; must be given" },
	{ "id", 'i', "ID", "the invocation's id (one that is derived from the clock)" },
	OPTION_JSON("print the record instead of the table"),
	{ "no-wait", 'w', NULL, "end when PROGRAM does, not when its whole tree does" },
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTION_PIN_DIR,
	OPTIONS_END,
};
const struct command measure_command = {
	.name = "measure",
	.summary = "run a program: its whole process tree is one invocation",
	.options = options,
	.synopsis = "--function NAME [OPTION...] -- PROGRAM [ARGUMENT...]",
	.rest_is_program = true,
	.description =
		"Like time(1), exact and with a record in the ledger. Ends when the last process "
		"of the tree does. Uses the running agent, or brings its own. Needs root.",
	.exits = "Exits with PROGRAM's status, or with 128 and the number of the signal that ended "
		 "it.",
	.examples = "  sudo oncpu measure --function thumb --id job-7 -- convert in.png out.jpg",
	.section = 1,
	.run = command_measure,
};
