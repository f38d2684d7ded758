// SPDX-License-Identifier: GPL-2.0
/* The front's loop: sockets, the keeper's news, output, deadlines. */
#include "slicer/front.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "slicer/slots.h"
#include "slicer/telemetry.h"

#define MS 1000000ull
#define MOST_CONNECTIONS 20000
/* libmicrohttpd clears all of it after each request. With the 1.25 MiB that header lines of 1 MiB
 * want, that took 1.3 MiB an idle instance and half of what a caller waits for; so header lines go
 * to 60 KiB, and longer ones are answered 431. Clients send one such line: the cause of an error,
 * its stack mostly. */
#define CONNECTION_MEMORY (128u << 10)
#define STOP_NS (2000 * MS) /* for invocations that run when we are told to stop */

enum source { ON_EXCHANGES = 0, ON_FRONT = 4, ON_KEEPER = 8, ON_SIGNAL = 12 };

uint64_t front_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int64_t front_realtime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void front_ask(struct front *f, struct instance *i, uint32_t op, const char *id, int32_t status,
	       bool freeze)
{
	struct keeper_request r = { .op = op,
				    .instance = i->index,
				    .function = i->function->index,
				    .port = i->port,
				    .status = status,
				    .freeze = freeze };

	/* what was put off comes first: the process was quicker than our own loop */
	if (i->ask_when_written && i->ask_when_written != op)
		instance_on_written(i);
	if (id) {
		r.id_len = (uint32_t)strnlen(id, sizeof(r.id));
		memcpy(r.id, id, r.id_len);
	}
	if (op == KEEPER_START) {
		r.cpu_limit_ns = (uint64_t)i->function->facts->cpu_limit_ns;
		r.cpu_soft_ns = (uint64_t)i->function->facts->cpu_soft_ns;
	}
	if (outbox_send(&f->keeper, &r))
		f->stop = true;
}

/* ---- connections ---- */

static void accept_callers(struct front *f)
{
	int fd = accept4(f->options->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && exchanges_adopt(f->exchanges, fd, NULL))
		log_warning("a caller's connection is refused: there are too many");
}

/* The address is the instance's own: a connection from another cgroup gets nothing. */
bool front_is_own(struct front *f, const struct instance *i, int fd)
{
	uint64_t cgroup = 0;
	int error;

	if (!f->peers_known)
		return true;
	error = peers_cgroup(&f->peers, fd, &cgroup);
	if (error == -ENOTSUP) {
		log_warning("the kernel does not tell whose a connection is: any local process "
			    "that finds an instance's port can speak for it");
		f->peers_known = false;
		return true;
	}
	return !error && cgroup == i->cgroup_id;
}

static void accept_runtime(struct front *f, struct instance *i)
{
	int fd = accept4(i->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (!front_is_own(f, i, fd)) {
		log_warning("somebody else spoke to the Runtime API of an instance of %s: refused",
			    i->function->facts->name);
		close(fd);
		return;
	}
	exchanges_adopt(f->exchanges, fd, slot_tag(i));
}

static void on_exchange(void *user, struct exchange *x)
{
	struct front *f = user;
	struct instance *i;

	if (!exchange_tag(x)) {
		invoke_api(f, x);
		return;
	}
	i = slot_of_tag(f, exchange_tag(x));
	if (i)
		runtime_api(i, x);
	else
		exchange_hang_up(x);
}

static size_t limit_of(void *user, struct exchange *x)
{
	(void)user;
	return exchange_tag(x) && runtime_api_streams(x) ? FRONT_STREAM_MAX : FRONT_BODY_MAX;
}

static void on_piece(void *user, struct exchange *x)
{
	struct instance *i = exchange_tag(x) ? slot_of_tag(user, exchange_tag(x)) : NULL;

	if (i)
		runtime_api_piece(i, x);
}

static void on_exchange_done(void *user, struct exchange *x, bool delivered)
{
	struct front *f = user;
	struct invocation *v;
	struct instance *i;

	if (!exchange_tag(x)) {
		v = exchange_data(x);
		if (v && v->caller == x)
			v->caller = NULL; /* the invocation goes on without him */
		return;
	}
	i = slot_of_tag(f, exchange_tag(x));
	if (i)
		instance_on_gone_exchange(i, x, delivered);
}

/* ---- the keeper ---- */

static void on_keeper(struct front *f)
{
	struct keeper_news news;
	int fd, n;

	while ((n = protocol_receive(f->options->keeper, &news, sizeof(news), &fd)) > 0) {
		struct instance *i =
			news.instance < SLICER_INSTANCES ? f->instances[news.instance] : NULL;

		if (!i) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		instance_on_news(i, &news, fd);
	}
	if (n != -EAGAIN)
		f->stop = true;
}

/* What the keeper's socket has no room for goes out as soon as it has. */
static void run_outbox(struct front *f)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = ON_KEEPER };

	if (f->keeper.count && outbox_flush(&f->keeper))
		f->stop = true;
	if (f->keeper_full == (f->keeper.count != 0))
		return;
	f->keeper_full = !f->keeper_full;
	event.events |= f->keeper_full ? EPOLLOUT : 0u;
	epoll_ctl(f->epoll, EPOLL_CTL_MOD, f->options->keeper, &event);
}

/* ---- time ---- */

static int run_deadlines(struct front *f)
{
	uint64_t now = front_now(), next = UINT64_MAX;

	for (uint32_t n = 0; n < f->highest; n++) {
		struct instance *i = f->instances[n];

		if (!i)
			continue;
		if (instance_next_deadline(i) <= now)
			instance_on_deadline(i, now);
		i = f->instances[n];
		if (i && instance_next_deadline(i) < next)
			next = instance_next_deadline(i);
	}
	for (unsigned n = 0; n < f->options->function_count; n++) {
		struct function *function = &f->functions[n];

		if (!function->queue || !function->retry_ns)
			continue;
		if (function->retry_ns <= now) {
			function->retry_ns = 0;
			function_dispatch(f, function);
		} else if (function->retry_ns < next) {
			next = function->retry_ns;
		}
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now + MS - 1) / MS);
}

/* Answers and events go into the sockets; then the keeper may thaw who gets them. */
static int run_exchanges(struct front *f)
{
	int more = exchanges_run(f->exchanges);

	if (f->written_asks && more >= 0)
		for (uint32_t n = 0; n < f->highest; n++)
			if (f->instances[n] && f->instances[n]->ask_when_written)
				instance_on_written(f->instances[n]);
	f->written_asks = 0;
	return more;
}

static unsigned working(const struct front *f)
{
	unsigned count = 0;

	for (uint32_t n = 0; n < f->highest; n++)
		count += f->instances[n] &&
			 (f->instances[n]->state == BUSY || f->instances[n]->state == SLEEPING ||
			  f->instances[n]->end_pending || instance_is_told(f->instances[n]));
	return count;
}

/* Extensions that asked for it hear of the end, once their instance is idle. */
static void stop_idle(struct front *f)
{
	for (uint32_t n = 0; n < f->highest; n++)
		if (f->instances[n])
			instance_on_stop(f->instances[n]);
}

/* ---- life ---- */

static int add(struct front *f, int fd, uint64_t source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = source };

	return epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int prepare(struct front *f)
{
	struct exchanges_config config = { .max_connections = MOST_CONNECTIONS,
					   .connection_memory = CONNECTION_MEMORY,
					   .max_body = FRONT_BODY_MAX,
					   .limit = limit_of,
					   .on_piece = on_piece,
					   .user = f,
					   .on_request = on_exchange,
					   .on_done = on_exchange_done };
	int error = exchanges_new(&config, &f->exchanges);

	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!error)
		error = add(f, exchanges_fd(f->exchanges), ON_EXCHANGES);
	if (!error)
		error = add(f, f->options->listen_fd, ON_FRONT);
	if (!error)
		error = add(f, f->options->keeper, ON_KEEPER);
	if (!error)
		error = add(f, f->options->signals, ON_SIGNAL);
	f->peers_known = !peers_open(&f->peers);
	for (unsigned n = 0; n < f->options->function_count && !error; n++) {
		struct function *function = &f->functions[n];

		function->facts = &f->options->functions[n];
		function->index = n;
		function->queue_end = &function->queue;
		function->book.fd = -1;
		if (logbook_open(&function->book, f->options->log_directory, function->facts->name))
			log_warning("the log of %s cannot be kept: %s", function->facts->name,
				    strerror(errno));
	}
	return error;
}

static void tell_ready(const struct front_options *o)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u\n", o->port);

	log_info("callers are answered at port %u", o->port);
	if (o->ready_fd < 0)
		return;
	if (write(o->ready_fd, text, (size_t)n) != n)
		log_debug("nobody reads the ready descriptor");
	close(o->ready_fd);
}

static void on_signal(struct front *f)
{
	struct signalfd_siginfo info;

	while (read(f->options->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD && !f->stopping) {
			f->stopping = true;
			f->stop_ns = front_now() + STOP_NS;
			epoll_ctl(f->epoll, EPOLL_CTL_DEL, f->options->listen_fd, NULL);
		}
}

static void handle(struct front *f, const struct epoll_event *event)
{
	enum slot_event what;
	struct instance *i;

	switch (event->data.u64) {
	case ON_EXCHANGES:
		return; /* run every time round */
	case ON_FRONT:
		accept_callers(f);
		return;
	case ON_KEEPER:
		on_keeper(f);
		return;
	case ON_SIGNAL:
		on_signal(f);
		return;
	default:
		break;
	}
	i = slot_of_event(f, event->data.u64, &what);
	if (i && what == SLOT_LISTENER)
		accept_runtime(f, i);
	else if (i && what >= SLOT_DELIVERY)
		telemetry_on_io(i, what - SLOT_DELIVERY);
	else if (i)
		output_read(i);
}

int front_run(const struct front_options *options)
{
	struct front *f = calloc(1, sizeof(*f));
	struct epoll_event events[128];
	int error = f ? 0 : -ENOMEM, more = 0;

	if (f) {
		f->options = options;
		f->peers.netlink = f->epoll = -1;
		f->keeper.socket = options->keeper;
		error = prepare(f);
	}
	if (error) {
		log_error("the front cannot start: %s", strerror(-error));
		return 1;
	}
	tell_ready(options);
	while (!f->stop) {
		int wait = run_deadlines(f), n;

		if (f->stopping)
			stop_idle(f);
		if (f->stopping && (!working(f) || front_now() >= f->stop_ns))
			break;
		if (f->stopping && (wait < 0 || wait > 20))
			wait = 20;
		if (more || exchanges_pending(f->exchanges))
			wait = 0;
		n = epoll_wait(f->epoll, events, 128, wait);
		for (int e = 0; e < n; e++)
			handle(f, &events[e]);
		more = run_exchanges(f);
		run_outbox(f);
		if (more < 0)
			break;
	}
	exchanges_run(f->exchanges); /* answers that are on their way */
	fflush(stdout);
	return 0;
}
