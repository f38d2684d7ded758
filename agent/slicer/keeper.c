// SPDX-License-Identifier: GPL-2.0
/*
 * The keeper's loop.
 *
 * Order at a trigger of a frozen instance: THAW and START are made, then cgroup.freeze is written:
 * what the processes do from the first instruction on is the invocation's. At an end: END, FREEZE,
 * then the write: what freezing itself costs, up to each thread's last switch-out, is the freeze
 * account's, because that stays open until the next THAW.
 */
#include "slicer/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "slicer/protocol.h"
#include "slicer/spawn.h"

#define MS 1000000ull
#define CPU_LOOK_LEAST_NS (1 * MS) /* a limit is enforced within a few of these */
#define LOG_PIPE_BYTES (1 << 20)

enum state { FREE, LIVE, DYING };

struct kept {
	enum state state;
	const struct slicer_function *function;
	struct cage cage;
	uint64_t uid; /* the kernel side's */
	pid_t pid;
	pid_t extensions[FUNCTION_EXTENSIONS];
	uint64_t extension_start_ns[FUNCTION_EXTENSIONS]; /* their CPU when the invocation began */
	unsigned extension_count;
	bool frozen, limited, soft_told;
	bool stopped; /* over its CPU limit: it stands still, within its invocation */
	uint64_t limit_ns, soft_ns, start_total_ns, look_ns;
};

struct keeper {
	const struct keeper_options *options;
	struct kept kept[SLICER_INSTANCES];
	unsigned spawned, highest, limited; /* highest: one past the last index in use */
	int epoll;
	long cpus;
	bool told_to_stop, stop;
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static uint32_t index_of(const struct keeper *k, const struct kept *i)
{
	return (uint32_t)(i - k->kept);
}

/* ---- news ---- */

static void tell(struct keeper *k, struct keeper_news *news, int fd)
{
	if (protocol_send(k->options->socket, news, sizeof(*news), fd))
		k->stop = true; /* the front is gone */
}

__attribute__((format(printf, 4, 5))) static void
tell_failure(struct keeper *k, const struct keeper_request *r, int error, const char *format, ...)
{
	struct keeper_news news = { .op = r->op, .instance = r->instance, .error = error };
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(news.text, sizeof(news.text), format, arguments);
	va_end(arguments);
	log_warning("%s", news.text);
	tell(k, &news, -1);
}

/* CPU that each extension has used so far: the kernel's process clock, a part that is only shown.
 */
static void read_extensions(const struct kept *i, struct keeper_news *news)
{
	struct timespec used;
	clockid_t clock;

	news->extension_count = i->extension_count;
	for (unsigned e = 0; e < i->extension_count; e++)
		if (i->extensions[e] > 0 && !clock_getcpuclockid(i->extensions[e], &clock) &&
		    !clock_gettime(clock, &used))
			news->extension_ns[e] =
				(uint64_t)used.tv_sec * 1000000000ull + (uint64_t)used.tv_nsec;
}

/* ---- boundaries ---- */

static int boundary(struct keeper *k, struct kept *i, uint32_t kind, const struct keeper_request *r,
		    struct keeper_news *news)
{
	struct kern_reading reading = { 0, 0 };
	uint32_t length = r && r->id_len <= ONCPU_ID_LEN ? r->id_len : 0;
	uint64_t peak =
		kind == ONCPU_EV_END || kind == ONCPU_EV_SUSPEND ? cage_peak_bytes(&i->cage) : 0;
	int error = kern_boundary_mark(k->options->boundary, i->uid, kind, r ? r->id : NULL, length,
				       r ? r->status : 0, peak, &reading);

	if (error)
		log_warning("a boundary of instance %u was not made: %s", index_of(k, i),
			    kern_error());
	if (news) {
		news->time_ns = reading.time_ns;
		news->total_ns = reading.total_ns;
		news->peak_bytes = peak;
	}
	return error;
}

/* Each extension's share of the invocation, before its end closes the books. */
static void tell_parts(struct keeper *k, struct kept *i)
{
	struct keeper_news used = { .op = 0 };

	read_extensions(i, &used);
	for (unsigned e = 0; e < i->extension_count; e++) {
		const char *path = i->function->extensions[e], *slash = strrchr(path, '/');
		const char *name = slash ? slash + 1 : path;
		uint64_t ns = used.extension_ns[e] - i->extension_start_ns[e];

		if (used.extension_ns[e] < i->extension_start_ns[e])
			continue; /* it has ended */
		if (kern_boundary_mark(k->options->boundary, i->uid, ONCPU_EV_PART, name,
				       strnlen(name, ONCPU_ID_LEN), 0, ns, NULL))
			log_warning("an extension's share was not told: %s", kern_error());
	}
}

static void freeze(struct keeper *k, struct kept *i)
{
	int error;

	if (i->frozen)
		return;
	boundary(k, i, ONCPU_EV_FREEZE, NULL, NULL);
	error = cage_freeze(&i->cage, true);
	if (error)
		log_warning("%s cannot be frozen: %s", i->cage.path, strerror(-error));
	i->frozen = true;
}

static void unlimit(struct keeper *k, struct kept *i)
{
	if (i->limited)
		k->limited--;
	i->limited = false;
}

/* ---- life ---- */

static void watch_cage(struct keeper *k, struct kept *i)
{
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET, .data.u32 = index_of(k, i) + 2 };

	epoll_ctl(k->epoll, EPOLL_CTL_ADD, i->cage.events, &event);
}

static void free_kept(struct keeper *k, struct kept *i)
{
	struct keeper_news news = { .op = KEEPER_GONE, .instance = index_of(k, i) };
	struct kern_reading last;

	if (!kern_boundary_read(k->options->boundary, i->uid, &last)) {
		news.time_ns = last.time_ns;
		news.total_ns = last.total_ns;
	}
	kern_boundary_release(k->options->boundary, i->uid);
	news.peak_bytes = cage_peak_bytes(&i->cage);
	epoll_ctl(k->epoll, EPOLL_CTL_DEL, i->cage.events, NULL);
	if (cage_remove(&i->cage))
		log_warning("the cgroup of instance %u cannot be removed", index_of(k, i));
	unlimit(k, i);
	memset(i, 0, sizeof(*i));
	tell(k, &news, -1);
}

static void end(struct keeper *k, struct kept *i)
{
	int error;

	if (i->state != LIVE)
		return;
	i->state = DYING;
	unlimit(k, i);
	error = cage_kill(&i->cage);
	if (error)
		log_error("%s cannot be killed: %s", i->cage.path, strerror(-error));
	cage_freeze(&i->cage, false); /* it would stay so for the next of that name */
	if (!cage_populated(&i->cage))
		free_kept(k, i);
}

static int open_log(int ret_ends[2])
{
	if (pipe2(ret_ends, O_CLOEXEC))
		return -errno;
	fcntl(ret_ends[0], F_SETFL, O_NONBLOCK);
	fcntl(ret_ends[0], F_SETPIPE_SZ, LOG_PIPE_BYTES);
	return 0;
}

/* Their output is told apart from the function's. */
static int start_extensions(struct keeper *k, struct kept *i, struct spawning *s)
{
	struct keeper_news news = { .op = KEEPER_EXTENSION_LOG, .instance = index_of(k, i) };
	int ends[2], error = open_log(ends);

	if (error)
		return error;
	tell(k, &news, ends[0]);
	close(ends[0]);
	s->log = ends[1];
	for (char *const *e = i->function->extensions; *e && !error; e++) {
		pid_t pid;

		s->extension = *e;
		pid = spawn(s);
		if (pid < 0)
			error = pid;
		else
			i->extensions[i->extension_count++] = pid;
	}
	close(ends[1]);
	return error;
}

static int start_processes(struct keeper *k, struct kept *i, const struct keeper_request *r,
			   int log)
{
	struct spawning s = { .function = i->function,
			      .cage = &i->cage,
			      .port = r->port,
			      .number = k->spawned++,
			      .log = log };
	int error = i->function->extensions[0] ? start_extensions(k, i, &s) : 0;

	if (error)
		return error;
	s.extension = NULL;
	s.log = log;
	i->pid = spawn(&s);
	return i->pid < 0 ? i->pid : 0;
}

static void on_spawn(struct keeper *k, const struct keeper_request *r)
{
	struct keeper_news news = { .op = r->op, .instance = r->instance };
	struct kept *i = &k->kept[r->instance];
	struct kern_sizes sizes = { 0, 0 };
	int ends[2] = { -1, -1 }, error;
	char name[32];

	if (i->state != FREE || r->function >= k->options->function_count) {
		tell_failure(k, r, -EINVAL, "instance %u cannot be started", r->instance);
		return;
	}
	memset(i, 0, sizeof(*i));
	i->function = &k->options->functions[r->function];
	sizes.memory_mb = (uint32_t)i->function->memory_mb;
	sizes.quota_us = (uint32_t)i->function->milli_cpus * 100;
	snprintf(name, sizeof(name), "f%u-i%u", r->function, r->instance);
	error = cage_make(k->options->cages, name, i->function, &i->cage);
	if (error) {
		tell_failure(k, r, error, "no cgroup for an instance of %s: %s", i->function->name,
			     strerror(-error));
		cage_remove(&i->cage);
		return;
	}
	error = kern_boundary_create(k->options->boundary, i->cage.id, i->function->name, &sizes,
				     &i->uid, &news.time_ns);
	if (error) {
		tell_failure(k, r, error, "%s", kern_error());
		cage_remove(&i->cage);
		return;
	}
	i->state = LIVE;
	k->highest = r->instance >= k->highest ? r->instance + 1 : k->highest;
	watch_cage(k, i);
	error = open_log(ends);
	if (!error)
		error = start_processes(k, i, r, ends[1]);
	if (ends[1] >= 0)
		close(ends[1]);
	news.error = error;
	news.pid = i->pid;
	news.cgroup_id = i->cage.id;
	if (error)
		snprintf(news.text, sizeof(news.text), "%s cannot be started: %s",
			 i->function->arguments[0], strerror(-error));
	tell(k, &news, error ? -1 : ends[0]);
	if (ends[0] >= 0)
		close(ends[0]);
	if (error)
		end(k, i);
}

static void on_start(struct keeper *k, struct kept *i, const struct keeper_request *r,
		     struct keeper_news *news)
{
	struct keeper_news used = { .op = 0 };

	if (i->frozen)
		boundary(k, i, ONCPU_EV_THAW, NULL, NULL);
	news->error = boundary(k, i, ONCPU_EV_START, r, news);
	if ((i->frozen || i->stopped) && cage_freeze(&i->cage, false))
		log_error("%s cannot be thawed", i->cage.path);
	i->frozen = i->stopped = false;
	read_extensions(i, &used);
	memcpy(i->extension_start_ns, used.extension_ns, sizeof(i->extension_start_ns));
	i->limit_ns = r->cpu_limit_ns;
	i->soft_ns = r->cpu_soft_ns;
	i->soft_told = false;
	i->start_total_ns = news->total_ns;
	unlimit(k, i);
	if (i->limit_ns || i->soft_ns) {
		i->limited = true;
		i->look_ns = 0;
		k->limited++;
	}
}

static void on_request(struct keeper *k, const struct keeper_request *r)
{
	struct keeper_news news = { .op = r->op, .instance = r->instance };
	struct kept *i;

	if (r->instance >= SLICER_INSTANCES) {
		tell_failure(k, r, -EINVAL, "there is no instance %u", r->instance);
		return;
	}
	if (r->op == KEEPER_SPAWN) {
		on_spawn(k, r);
		return;
	}
	i = &k->kept[r->instance];
	if (i->state != LIVE)
		return; /* it has ended since: GONE tells */
	memcpy(news.id, r->id, sizeof(news.id));
	news.id_len = r->id_len;
	switch (r->op) {
	case KEEPER_READY:
		news.error = boundary(k, i, ONCPU_EV_READY, NULL, &news);
		break;
	case KEEPER_START:
		on_start(k, i, r, &news);
		break;
	case KEEPER_RESPONSE:
		news.error = boundary(k, i, ONCPU_EV_RESPONSE, r, &news);
		break;
	case KEEPER_END:
		tell_parts(k, i);
		news.error = boundary(k, i, ONCPU_EV_END, r, &news);
		unlimit(k, i);
		/* its end was on its way when it was stopped; one that timed out is killed next */
		if (i->stopped && !r->freeze && r->status != ONCPU_STATUS_TIMEOUT) {
			cage_freeze(&i->cage, false);
			i->stopped = false;
		}
		break;
	case KEEPER_SUSPEND:
		tell_parts(k, i);
		news.error = boundary(k, i, ONCPU_EV_SUSPEND, r, &news);
		unlimit(k, i);
		break;
	case KEEPER_THAW:
		if (i->frozen) {
			boundary(k, i, ONCPU_EV_THAW, NULL, &news);
			cage_freeze(&i->cage, false);
		}
		i->frozen = false;
		return;
	case KEEPER_FREEZE:
		freeze(k, i);
		return;
	case KEEPER_KILL:
		end(k, i);
		return;
	default:
		return;
	}
	if (r->freeze || r->op == KEEPER_SUSPEND)
		freeze(k, i);
	tell(k, &news, -1);
}

/* ---- what happens by itself ---- */

static void on_child(struct keeper *k, pid_t pid, int status)
{
	for (unsigned n = 0; n < k->highest; n++) {
		struct keeper_news news = { .op = KEEPER_EXITED, .instance = n, .status = status };
		struct kept *i = &k->kept[n];

		if (i->state != LIVE)
			continue;
		for (unsigned e = 0; e < i->extension_count; e++)
			if (i->extensions[e] == pid) {
				i->extensions[e] = 0; /* the number may be somebody else's soon */
				news.op = KEEPER_EXTENSION_EXITED;
				tell(k, &news, -1);
				return;
			}
		if (i->pid != pid)
			continue;
		tell(k, &news, -1);
		end(k, i); /* whatever it left behind goes with it */
		return;
	}
}

static void on_signal(struct keeper *k)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(k->options->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD) { /* the front ends first: it lets callers finish */
			k->stop = k->told_to_stop;
			k->told_to_stop = true;
			kill(k->options->front, SIGTERM);
			continue;
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == k->options->front)
				k->stop = true;
			else
				on_child(k, pid, status);
		}
	}
}

static void on_cage(struct keeper *k, struct kept *i)
{
	if (i->state == DYING && !cage_populated(&i->cage))
		free_kept(k, i);
}

/* The time of the next look: when every CPU would be needed to reach the next limit, or soon. */
static uint64_t look(struct keeper *k, struct kept *i, uint64_t now)
{
	struct keeper_news news = { .instance = index_of(k, i) };
	struct kern_reading reading;
	uint64_t used, next;

	if (kern_boundary_read(k->options->boundary, i->uid, &reading))
		return now + CPU_LOOK_LEAST_NS;
	used = reading.total_ns > i->start_total_ns ? reading.total_ns - i->start_total_ns : 0;
	news.time_ns = reading.time_ns;
	news.total_ns = reading.total_ns;
	if (i->soft_ns && !i->soft_told && used >= i->soft_ns) {
		i->soft_told = true;
		news.op = KEEPER_CPU_SOFT;
		tell(k, &news, -1);
	}
	if (i->limit_ns && used >= i->limit_ns) {
		/* It stands still from here on, whoever is busy elsewhere. No boundary: what that
		 * costs is its own. The front's next word thaws or ends it. */
		cage_freeze(&i->cage, true);
		i->stopped = true;
		news.op = KEEPER_CPU_HARD;
		unlimit(k, i);
		tell(k, &news, -1);
		return now;
	}
	next = i->soft_ns && !i->soft_told ? i->soft_ns : i->limit_ns;
	if (!next) {
		unlimit(k, i);
		return now;
	}
	next = (next - used) / (uint64_t)k->cpus;
	return now + (next > CPU_LOOK_LEAST_NS ? next : CPU_LOOK_LEAST_NS);
}

/* Looks at those whose time has come; ms until the next, −1 = none. */
static int look_at_limits(struct keeper *k)
{
	uint64_t now = monotonic_ns(), next = UINT64_MAX;

	for (unsigned n = 0; n < k->highest && k->limited; n++) {
		struct kept *i = &k->kept[n];

		if (i->state != LIVE || !i->limited)
			continue;
		if (now >= i->look_ns)
			i->look_ns = look(k, i, now);
		if (i->limited && i->look_ns < next)
			next = i->look_ns;
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now + MS - 1) / MS);
}

static void end_all(struct keeper *k)
{
	for (unsigned n = 0; n < k->highest; n++)
		end(k, &k->kept[n]);
	for (int tries = 0; tries < 3000; tries++) { /* a kill takes about a millisecond */
		unsigned left = 0;

		for (unsigned n = 0; n < k->highest; n++) {
			on_cage(k, &k->kept[n]);
			left += k->kept[n].state != FREE;
		}
		if (!left)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = MS }, NULL);
	}
	log_error("some processes could not be ended in time (the next start will try again)");
}

static void on_socket(struct keeper *k)
{
	struct keeper_request request;
	int fd, n;

	while ((n = protocol_receive(k->options->socket, &request, sizeof(request), &fd)) > 0) {
		if (fd >= 0)
			close(fd); /* none is expected */
		on_request(k, &request);
	}
	if (n != -EAGAIN)
		k->stop = true;
}

int keeper_run(const struct keeper_options *options)
{
	struct keeper *k = calloc(1, sizeof(*k));
	struct epoll_event events[64], socket = { .events = EPOLLIN, .data.u32 = 0 },
				       signals = { .events = EPOLLIN, .data.u32 = 1 };

	if (!k)
		return 1;
	k->options = options;
	k->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll < 0 || epoll_ctl(k->epoll, EPOLL_CTL_ADD, options->socket, &socket) ||
	    epoll_ctl(k->epoll, EPOLL_CTL_ADD, options->signals, &signals)) {
		log_error("the keeper has no event loop: %s", strerror(errno));
		free(k);
		return 1;
	}
	while (!k->stop) {
		int n = epoll_wait(k->epoll, events, 64, look_at_limits(k));

		for (int e = 0; e < n && !k->stop; e++) {
			uint32_t what = events[e].data.u32;

			if (what == 0)
				on_socket(k);
			else if (what == 1)
				on_signal(k);
			else
				on_cage(k, &k->kept[what - 2]);
		}
	}
	end_all(k);
	close(k->epoll);
	free(k);
	return 0;
}
