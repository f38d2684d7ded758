// SPDX-License-Identifier: GPL-2.0
/*
 * The worker's loop. It owns the view of the kernel side, the pipeline to the ledger, the marks and
 * the server; they meet only here.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "api/access.h"
#include "api/routes.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/agent.h"
#include "daemon/attacher_protocol.h"
#include "daemon/audit.h"
#include "daemon/gateway.h"
#include "daemon/limits.h"
#include "daemon/marks.h"
#include "daemon/pipeline.h"
#include "base/privileges.h"
#include "http/server.h"

#define MS 1000000ull
#define BATCH_EVERY_NS (10 * MS) /* a transaction costs a sync: gather events for this long */
#define LOOK_EVERY_NS (250 * MS) /* the ring wakes us; this is for gaps, and if it does not */
#define HEARTBEAT_EVERY_NS (200 * MS)
#define PING_EVERY_NS (2000 * MS)
#define SWEEP_EVERY_NS (30000 * MS)
#define RETAIN_EVERY_NS (60000 * MS)

enum source { ON_EVENTS, ON_REQUESTS, ON_SIGNAL, ON_HTTP, ON_ATTACHER, SOURCES };

enum { UNIX, TCP, DOORS };

struct worker {
	const struct worker_options *options;
	const struct agent_config *config;
	int epoll, signals;
	struct kern_view *view;
	struct pipeline *pipeline;
	struct marks *marks;
	struct audit *audit;
	struct limits limits;
	struct api *api;
	struct access_door doors[DOORS];
	struct http_server *http[DOORS]; /* TCP's may be NULL */
	char boot_id[RECORD_BOOT_LEN];
	uint64_t started_ns;
	int64_t realtime_offset_ns; /* as the records have it */
	/* when each is due next, CLOCK_MONOTONIC */
	uint64_t step_ns, marks_ns, http_ns, heartbeat_ns, ping_ns, sweep_ns, retain_ns;
	uint64_t last_step_ns;
	struct pipeline_state state; /* as last told through the API */
	struct audit_counters audited;
	bool stop;
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static int tell(struct worker *w, enum attacher_op op)
{
	struct attacher_request request = { .op = op };
	struct attacher_reply reply;

	return attacher_ask(w->options->socket, &request, &reply, NULL, 0);
}

/* ---- what the API asks ---- */

static int on_sync(void *user)
{
	struct worker *w = user;
	int err = pipeline_drain(w->pipeline, monotonic_ns(), realtime_ns());

	if (!err && limits_finish(&w->limits) > 0)
		err = pipeline_drain(w->pipeline, monotonic_ns(), realtime_ns());
	return err;
}

static void on_each_instance(void *user, void (*visit)(void *, const struct instance_view *),
			     void *visit_user)
{
	const struct worker *w = user;
	const struct correlator *correlator = pipeline_correlator(w->pipeline);

	if (correlator)
		correlator_each(correlator, visit, visit_user);
}

static void add_http(struct http_counters *sum, const struct http_counters *c)
{
	sum->requests += c->requests;
	sum->refused += c->refused;
	sum->streams += c->streams;
	sum->streams_cut += c->streams_cut;
	sum->connections += c->connections;
}

static void measure_process(pid_t pid, int64_t *ret_cpu_ns, uint64_t *ret_resident_bytes)
{
	char path[32];
	_cleanup_file_ FILE *file = NULL;
	struct timespec used;
	clockid_t clock;
	unsigned long long pages;

	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0)
		*ret_cpu_ns = used.tv_sec * 1000000000ll + used.tv_nsec;
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%*s %llu", &pages) == 1)
		*ret_resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void on_health(void *user, struct api_health *ret_health)
{
	struct worker *w = user;
	const struct correlator *correlator = pipeline_correlator(w->pipeline);
	const struct marks_counters *marks = marks_counters(w->marks);

	pipeline_state(w->pipeline, &w->state);
	audit_state(w->audit, w->pipeline, &w->audited);
	*ret_health = (struct api_health){
		.version = ONCPU_VERSION,
		.pid = w->options->agent_pid,
		.uptime_ns = (int64_t)(monotonic_ns() - w->started_ns),
		.realtime_offset_ns = w->realtime_offset_ns,
		.host = w->config->host,
		.boot_id = w->boot_id,
		.ledger_directory = w->config->state_dir,
		.ring_position = w->state.position,
		.ring_committed = w->state.committed,
		.commits = w->state.commits,
		.failed_commits = w->state.failed_commits,
		.last_commit_realtime_ns = w->state.last_commit_realtime_ns,
		.degraded = w->state.reason,
		.mark_requests = marks->requests,
		.mark_objects = marks->objects,
		.mark_sites = marks->sites,
		.mark_failures = marks->failures,
		.audit_readings = w->audited.readings,
		.audit_at_rest = w->audited.at_rest,
		.audit_mismatches = w->audited.mismatches,
		.audit_unreadable = w->audited.unreadable,
		.audit_difference_ns = w->audited.difference_ns,
		.audit_worst_ns = w->audited.worst_ns,
		.audit_last = w->audited.last,
	};
	kern_view_ring(w->view, &ret_health->ring_used_bytes, &ret_health->ring_bytes);
	if (correlator)
		ret_health->correlator = *correlator_counters(correlator);
	for (int i = 0; i < DOORS; i++)
		if (w->http[i])
			add_http(&ret_health->http, http_server_counters(w->http[i]));
	measure_process(getpid(), &ret_health->process[API_PROCESS_WORKER].cpu_ns,
			&ret_health->process[API_PROCESS_WORKER].resident_bytes);
	measure_process(w->options->agent_pid, &ret_health->process[API_PROCESS_ATTACHER].cpu_ns,
			&ret_health->process[API_PROCESS_ATTACHER].resident_bytes);
}

static int on_boundary(void *user, const struct api_boundary *boundary,
		       struct api_boundary_done *ret_done, char error[API_BOUNDARY_ERROR_LEN])
{
	const struct worker *w = user;

	return gateway_report(w->options->socket, w->view, boundary, ret_done, error);
}

static bool on_counter(void *user, unsigned i, const char **ret_name, const char **ret_help,
		       uint64_t *ret_value)
{
	const struct worker *w = user;

	if (i >= kern_counter_count())
		return false;
	*ret_name = kern_counter_name(i);
	*ret_help = kern_counter_help(i);
	*ret_value = kern_view_counter(w->view, i);
	return true;
}

/* ---- what the pipeline tells ---- */

static void on_put_invocation(void *user, const struct invocation_record *record)
{
	const struct worker *w = user;

	if (w->api)
		api_observe_invocation(w->api, record);
}

static void on_put_instance(void *user, const struct instance_record *record)
{
	const struct worker *w = user;

	if (w->api)
		api_observe_instance(w->api, record);
}

static void on_settled(void *user, bool stored)
{
	const struct worker *w = user;

	if (w->api)
		api_settled(w->api, stored);
}

/* ---- starting ---- */

static int on_facts(void *user, const char *function, struct function_facts *ret_facts)
{
	return config_facts(user, function, ret_facts);
}

static int read_boot_id(char boot_id[RECORD_BOOT_LEN])
{
	_cleanup_file_ FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	size_t n = 0;
	int c;

	while (file && n < RECORD_BOOT_LEN - 1 && (c = fgetc(file)) != EOF && c != '\n')
		if (c != '-')
			boot_id[n++] = (char)c;
	boot_id[n] = '\0';
	if (n == RECORD_BOOT_LEN - 1)
		return 0;
	log_error("the boot id cannot be read from /proc/sys/kernel/random/boot_id");
	return -EIO;
}

static int become_unprivileged(struct worker *w)
{
	const struct agent_config *config = w->config;
	int err = privileges_drop(w->options->uid, w->options->gid);

	if (err) {
		log_error("privileges cannot be given up (user %s): %s", config->user,
			  strerror(-err));
		return err;
	}
	if (access(config->state_dir, R_OK | W_OK | X_OK) == 0)
		return 0;
	err = -errno;
	log_error("user %s cannot reach the state directory %s: %s (let others search the "
		  "directories above it, or choose another with --state-dir)",
		  config->user, config->state_dir, strerror(-err));
	return err;
}

static int open_view(struct worker *w, bool *ret_adopted)
{
	struct attacher_request request = { .op = ATTACHER_OP_DESCRIPTORS };
	struct attacher_reply reply;
	int fds[KERN_FD_COUNT];
	int err = attacher_ask(w->options->socket, &request, &reply, fds, KERN_FD_COUNT);

	if (err)
		return err; /* the attacher has said why */
	err = kern_view_open(fds, &w->view);
	if (err) {
		log_error("the kernel side cannot be read: %s", kern_error());
		for (int i = 0; i < KERN_FD_COUNT; i++)
			close(fds[i]);
		return err;
	}
	w->limits = (struct limits){ .view = w->view, .socket = w->options->socket };
	*ret_adopted = reply.value != 0;
	return 0;
}

static int open_pipeline(struct worker *w)
{
	const struct agent_config *config = w->config;
	struct pipeline_config pipeline = {
		.ledger = { .directory = config->state_dir,
			    .retain_seconds = config->retention_seconds,
			    .retain_bytes = config->retention_bytes,
			    .policies = w->options->policies,
			    .seal = config->seal,
			    .seal_key = w->options->seal_key },
		.policies = w->options->policies,
		.facts = on_facts,
		.facts_user = (void *)config,
		.on_invocation = on_put_invocation,
		.on_instance = on_put_instance,
		.on_settled = on_settled,
		.watch_user = w,
		.view = w->view,
		.before_exit = audit_at_exit,
	};
	struct correlator_config *c = &pipeline.correlator;
	int err = audit_new(w->options->socket, config->audit_ns, &w->audit);

	pipeline.before_exit_user = w->audit;
	if (!err)
		err = read_boot_id(w->boot_id);

	if (err)
		return err;
	memcpy(c->host, config->host, sizeof(c->host));
	memcpy(c->boot_id, w->boot_id, sizeof(c->boot_id));
	c->realtime_offset_ns = w->realtime_offset_ns = realtime_ns() - (int64_t)monotonic_ns();
	c->reorder_ns = config->reorder_ms * MS;
	c->max_instances = config->max_instances;
	return pipeline_open(&pipeline, &w->pipeline);
}

static int open_marks(struct worker *w)
{
	char error[CONFIG_ERROR_LEN];
	int err = marks_new(w->options->socket, w->view, &w->marks);

	if (err)
		return err;
	err = marks_attach_configured(w->marks, w->config, error);
	if (err) {
		log_error("%s", error);
		return err;
	}
	/* from here on processes are stopped for us: be quick to let them go on */
	kern_view_heartbeat(w->view, monotonic_ns());
	err = marks_handle(w->marks, monotonic_ns());
	return err < 0 ? err : marks_sweep(w->marks);
}

static int open_door(struct worker *w, int door, int fd)
{
	struct http_config http = { .user = w->api,
				    .admit = access_admit,
				    .admit_user = &w->doors[door],
				    .max_connections = 256,
				    .max_streams = 16,
				    .max_live = 32,
				    .max_body = 4096,
				    .idle_seconds = 30,
				    .connection_memory = 32u << 10 };
	int err;

	http.routes = api_routes(&http.route_count);
	err = http_server_new(&http, fd, &w->http[door]);
	if (err)
		log_error("the API cannot be served: %s", strerror(-err));
	return err;
}

static int open_http(struct worker *w)
{
	struct api_config api = { .ledger_directory = w->config->state_dir,
				  .policies = w->options->policies,
				  .user = w,
				  .sync = on_sync,
				  .each_instance = on_each_instance,
				  .health = on_health,
				  .boundary = on_boundary,
				  .counter = on_counter };
	int err = api_new(&api, &w->api);

	for (size_t i = 0; !err && i < w->config->function_count; i++)
		api_expect_function(w->api, w->config->functions[i].name);
	w->doors[UNIX] = (struct access_door){ .token = "", .group = w->options->socket_group };
	w->doors[TCP] = (struct access_door){ .tcp = true,
					      .loopback = w->options->loopback,
					      .token = w->options->token,
					      .group = (gid_t)-1 };
	if (!err)
		err = open_door(w, UNIX, w->options->listen_fd);
	return err || w->options->tcp_fd < 0 ? err : open_door(w, TCP, w->options->tcp_fd);
}

static int watch(struct worker *w, int fd, enum source source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = source };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_loop(struct worker *w)
{
	sigset_t wanted;
	int err;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	w->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->signals < 0 || w->epoll < 0)
		return -errno;
	err = watch(w, w->signals, ON_SIGNAL, EPOLLIN);
	if (!err)
		err = watch(w, w->options->socket, ON_ATTACHER, EPOLLIN | EPOLLRDHUP);
	if (!err)
		err = watch(w, kern_view_events_fd(w->view), ON_EVENTS, EPOLLIN | EPOLLET);
	if (!err)
		err = watch(w, kern_view_requests_fd(w->view), ON_REQUESTS, EPOLLIN | EPOLLET);
	for (int i = 0; !err && i < DOORS; i++)
		if (w->http[i])
			err = watch(w, http_server_fd(w->http[i]), ON_HTTP, EPOLLIN);
	return err;
}

static int start(struct worker *w)
{
	bool adopted = false;
	int err = become_unprivileged(w);

	if (!err)
		err = open_view(w, &adopted);
	if (!err)
		err = open_pipeline(w);
	if (!err)
		err = open_marks(w);
	if (!err)
		err = open_http(w);
	if (!err)
		err = open_loop(w);
	if (err)
		return err;
	log_info("ready: %s the kernel side in %s, ledger in %s, API on %s%s%s",
		 adopted ? "took over" : "loaded", w->config->pin_dir, w->config->state_dir,
		 w->config->socket, w->http[TCP] ? " and " : "", w->config->listen);
	return tell(w, ATTACHER_OP_READY);
}

/* ---- running ---- */

static void reload(struct worker *w)
{
	_cleanup_free_ struct agent_config *fresh = malloc(sizeof(*fresh));
	char error[CONFIG_ERROR_LEN];

	w->retain_ns = 0;
	if (!fresh || !w->config->config_path[0])
		return;
	config_defaults(fresh);
	if (config_read(fresh, w->config->config_path, error)) {
		log_error("not reloaded: %s", error);
		return;
	}
	log_set_level(fresh->log_level);
	log_info("log level and retention looked at; other changes take a restart");
}

static void on_signal(struct worker *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload(w);
		else
			w->stop = true;
	}
}

static bool due(uint64_t *deadline, uint64_t now, uint64_t every)
{
	if (now < *deadline)
		return false;
	*deadline = now + every;
	return true;
}

static void close_http(struct worker *w)
{
	if (w->api)
		api_stop(w->api);
	for (int i = 0; i < DOORS; i++)
		http_server_free(&w->http[i]);
}

static void step(struct worker *w, uint64_t now)
{
	int count = pipeline_step(w->pipeline, now, realtime_ns());

	w->last_step_ns = now;
	w->step_ns = now + (count > 0 ? BATCH_EVERY_NS : LOOK_EVERY_NS);
	if (count == PIPELINE_BATCH)
		w->step_ns = now;
}

/* What is due by the clock. -EPIPE: the attacher is gone. */
static int on_time(struct worker *w, uint64_t now)
{
	int err = 0;

	if (due(&w->heartbeat_ns, now, HEARTBEAT_EVERY_NS))
		kern_view_heartbeat(w->view, now);
	if (due(&w->marks_ns, now, LOOK_EVERY_NS)) {
		err = marks_handle(w->marks, now);
		if (err > 0)
			w->marks_ns = now + BATCH_EVERY_NS;
	}
	if (now >= w->step_ns)
		step(w, now);
	if (due(&w->http_ns, now, LOOK_EVERY_NS))
		for (int i = 0; i < DOORS; i++)
			if (w->http[i] && http_server_run(w->http[i]) > 0)
				w->http_ns = now;
	if (err >= 0)
		err = audit_run(w->audit, w->pipeline, now, realtime_ns());
	if (err >= 0)
		err = limits_run(&w->limits, now);
	if (err >= 0 && due(&w->ping_ns, now, PING_EVERY_NS))
		err = tell(w, ATTACHER_OP_PING);
	if (err >= 0 && due(&w->sweep_ns, now, SWEEP_EVERY_NS))
		err = marks_sweep(w->marks);
	if (due(&w->retain_ns, now, RETAIN_EVERY_NS) &&
	    pipeline_retain(w->pipeline, realtime_ns()) < 0)
		log_warning("old ledger segments cannot be removed: %s", ledger_error());
	return err < 0 ? err : 0;
}

static int wait_ms(const struct worker *w, uint64_t now)
{
	const uint64_t deadlines[] = { w->step_ns, w->marks_ns, w->http_ns, w->heartbeat_ns,
				       w->ping_ns };
	uint64_t first = deadlines[0];

	for (size_t i = 1; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
		if (deadlines[i] < first)
			first = deadlines[i];
	return first <= now ? 0 : (int)((first - now + MS - 1) / MS);
}

static int on_event(struct worker *w, enum source source, uint64_t now)
{
	switch (source) {
	case ON_EVENTS:
		/* at once after a quiet time, gathered otherwise */
		if (w->step_ns > w->last_step_ns + BATCH_EVERY_NS)
			w->step_ns = w->last_step_ns + BATCH_EVERY_NS;
		return 0;
	case ON_REQUESTS:
		w->marks_ns = now;
		return 0;
	case ON_SIGNAL:
		on_signal(w);
		return 0;
	case ON_HTTP:
		w->http_ns = now;
		return 0;
	default: /* between exchanges the attacher has nothing to say but its end */
		return -EPIPE;
	}
}

static int run(struct worker *w)
{
	struct epoll_event events[SOURCES];
	int err = 0;

	w->sweep_ns = monotonic_ns() + SWEEP_EVERY_NS;
	while (!err && !w->stop) {
		uint64_t now = monotonic_ns();
		int n = epoll_wait(w->epoll, events, SOURCES, wait_ms(w, now));

		now = monotonic_ns();
		for (int i = 0; i < n && !err; i++)
			err = on_event(w, (enum source)events[i].data.u32, now);
		if (!err)
			err = on_time(w, now);
	}
	return err;
}

/* ---- stopping ---- */

/* Ends in order: nobody is stopped for us any more, all that happened is stored. */
static int stop(struct worker *w)
{
	uint64_t reorder_ns = w->config->reorder_ms * MS;
	int err;

	limits_finish(&w->limits);
	tell(w, ATTACHER_OP_STOPPING);
	close_http(w);
	kern_view_heartbeat(w->view, 0);
	for (int i = 0; i < 64 && marks_handle(w->marks, monotonic_ns()) > 0; i++)
		;
	err = pipeline_drain(w->pipeline, monotonic_ns(), realtime_ns());
	/* What an event's gap waits for comes within the reorder time or never. */
	if (!err) {
		nanosleep(&(struct timespec){ .tv_sec = (time_t)(reorder_ns / 1000000000u),
					      .tv_nsec = (long)(reorder_ns % 1000000000u) },
			  NULL);
		err = pipeline_drain(w->pipeline, monotonic_ns(), realtime_ns());
	}
	if (!err && w->options->unpin)
		err = pipeline_finish(w->pipeline, monotonic_ns(), realtime_ns());
	if (err)
		log_error("stopped with events not yet stored: they stay in the kernel's ring (%s) "
			  "for "
			  "the next start",
			  w->config->pin_dir);
	return err;
}

int worker_run(const struct worker_options *options)
{
	struct worker w = { .options = options,
			    .config = options->config,
			    .epoll = -EBADF,
			    .signals = -EBADF,
			    .started_ns = monotonic_ns() };
	bool started;
	int err;

	signal(SIGPIPE, SIG_IGN);
	err = start(&w);
	started = err == 0;
	if (started)
		err = run(&w);
	if (started && !err) {
		err = stop(&w);
	} else if (started) {
		kern_view_heartbeat(w.view, 0); /* nobody could continue who is stopped now */
		log_error(
			"the attacher is gone (%s); the kernel goes on accounting: start the agent "
			"again",
			strerror(-err));
	}
	close_http(&w);
	api_free(&w.api);
	if (w.marks)
		marks_free(&w.marks);
	pipeline_close(&w.pipeline);
	audit_free(&w.audit);
	kern_view_close(&w.view);
	cleanup_fd(&w.signals);
	cleanup_fd(&w.epoll);
	close(options->socket);
	return err != 0;
}
