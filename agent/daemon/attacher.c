// SPDX-License-Identifier: GPL-2.0
/*
 * The privileged half. Its whole state is one struct on the stack: the kernel side's owner, and the
 * one object opened last, which the worker names by a handle that is never reused.
 */
#include "daemon/attacher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/attacher_protocol.h"
#include "daemon/notify.h"
#include "daemon/object.h"
#include "daemon/proc.h"

struct attacher {
	const struct attacher_options *options;
	struct kern_owner *owner;
	struct kern_boundary *boundary; /* NULL = not needed yet */
	bool adopted;			/* the pins are an earlier agent's */
	bool ready;
	int socket, signals, ready_fd;
	int object_fd;
	uint64_t handle;
	time_t complained; /* second of the last complaint: a hostile process could fill the log */
};

static void complain(struct attacher *a, const char *what)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == a->complained)
		return;
	a->complained = now.tv_sec;
	log_warning("%s: %s", what, kern_error());
}

static int on_open(struct attacher *a, const struct attacher_request *request,
		   struct attacher_reply *reply, int *fds)
{
	const struct agent_config *config = a->options->config;
	int fd, err;

	if (request->op == ATTACHER_OP_OPEN_MARK)
		err = request->index >= config->mark_count
			      ? -EINVAL
			      : object_open_path(config->marks[request->index].file, &fd);
	else
		err = object_open_mapped(request->pid, request->address, &fd);
	if (err)
		return err;
	cleanup_fd(&a->object_fd);
	a->object_fd = fd;
	reply->handle = ++a->handle;
	reply->descriptors = 1;
	fds[0] = fd;
	return 0;
}

static int on_attach(struct attacher *a, const struct attacher_request *request)
{
	const struct agent_config *config = a->options->config;
	int err;

	if (a->object_fd < 0 || request->handle != a->handle)
		return -ESTALE;
	if (request->op == ATTACHER_OP_ATTACH) {
		if (!object_has_nop(a->object_fd, request->address))
			return -EPERM;
		err = kern_owner_attach_mark(a->owner, a->object_fd, request->address);
		if (err)
			complain(a, "a mark could not be attached");
		return err;
	}
	if (request->index >= config->mark_count)
		return -EINVAL;
	err = kern_owner_attach_symbol(a->owner, a->object_fd, request->address,
				       &config->marks[request->index].how);
	if (err)
		complain(a, "a configured symbol could not be attached");
	return err;
}

/* No holder's boundaries, and no life's: what a gateway may say, whatever the worker says. */
static int on_boundary(struct attacher *a, const struct attacher_request *request,
		       struct attacher_reply *reply)
{
	struct kern_reading reading;
	int err;

	if ((request->index != ONCPU_EV_START && request->index != ONCPU_EV_RESPONSE &&
	     request->index != ONCPU_EV_END) ||
	    request->pid < 0 || request->pid >= ONCPU_STATUS_COUNT ||
	    request->id_len > ONCPU_ID_LEN)
		return -EINVAL;
	if (!a->boundary) {
		err = kern_boundary_open(a->options->config->pin_dir, &a->boundary);
		if (err)
			return err;
	}
	err = kern_boundary_mark(a->boundary, request->address, request->index, request->id,
				 request->id_len, request->pid, 0, &reading);
	if (err)
		return err;
	reply->handle = reading.time_ns;
	reply->value = reading.total_ns;
	return 0;
}

static int on_descriptors(struct attacher *a, struct attacher_reply *reply, int *fds)
{
	for (int i = 0; i < KERN_FD_COUNT; i++) {
		fds[i] = kern_owner_fd(a->owner, (enum kern_fd)i);
		if (fds[i] < 0)
			return -EBADF;
	}
	reply->value = a->adopted;
	reply->descriptors = KERN_FD_COUNT;
	return 0;
}

static int on_ready(struct attacher *a)
{
	int err = kern_owner_take_symbols(a->owner);

	if (err)
		log_warning("the configured symbols of an earlier agent stay attached, to no "
			    "effect: %s",
			    strerror(-err));
	err = notify_supervisor("READY=1");

	a->ready = true;
	if (err < 0)
		log_warning("the supervisor could not be told READY=1 through $NOTIFY_SOCKET: %s",
			    strerror(-err));
	if (a->ready_fd >= 0 && write(a->ready_fd, "\n", 1) != 1)
		log_debug("nobody reads the ready descriptor");
	cleanup_fd(&a->ready_fd);
	return 0;
}

static int serve(struct attacher *a, const struct attacher_request *request,
		 struct attacher_reply *reply, int *fds)
{
	switch (request->op) {
	case ATTACHER_OP_DESCRIPTORS:
		return on_descriptors(a, reply, fds);
	case ATTACHER_OP_OPEN_OBJECT:
	case ATTACHER_OP_OPEN_MARK:
		return on_open(a, request, reply, fds);
	case ATTACHER_OP_ATTACH:
	case ATTACHER_OP_ATTACH_SYMBOL:
		return on_attach(a, request);
	case ATTACHER_OP_KNOW_OBJECT:
		return kern_owner_know_object(a->owner, &request->object);
	case ATTACHER_OP_CONTINUE:
		return proc_continue(request->pid);
	case ATTACHER_OP_NEXT_STOPPED:
		reply->pid = proc_next_stopped(request->pid, &reply->value);
		return 0;
	case ATTACHER_OP_ADOPT:
		return kern_owner_adopt(a->owner);
	case ATTACHER_OP_ADOPT_TREE:
		return request->pid > 1
			       ? kern_owner_adopt_tree(a->owner, request->pid, request->address)
			       : -EINVAL;
	case ATTACHER_OP_BOUNDARY:
		return on_boundary(a, request, reply);
	case ATTACHER_OP_FINISH:
		return kern_owner_finish(a->owner, request->address);
	case ATTACHER_OP_READY:
		return on_ready(a);
	case ATTACHER_OP_STOPPING:
		notify_supervisor("STOPPING=1");
		/* now, while the worker holds the lock: later it could be a successor's */
		unlink(a->options->config->socket);
		return 0;
	case ATTACHER_OP_AUDIT:
		return kern_owner_audit(a->owner, request->handle, request->address, &reply->audit);
	case ATTACHER_OP_PING:
		notify_supervisor("WATCHDOG=1");
		return 0;
	}
	return -EINVAL;
}

/* One request. -EPIPE: the worker is gone. */
static int exchange(struct attacher *a)
{
	struct attacher_reply reply = { .magic = ATTACHER_MAGIC };
	struct attacher_request request;
	int fds[KERN_FD_COUNT], err;
	size_t none;

	err = channel_receive(a->socket, &request, sizeof(request), NULL, 0, &none);
	if (err)
		return err;
	if (request.magic != ATTACHER_MAGIC)
		return -EBADMSG;
	reply.result = serve(a, &request, &reply, fds);
	if (reply.result > 0)
		reply.result = 0;
	if (reply.result < 0)
		reply.descriptors = 0;
	return channel_send(a->socket, &reply, sizeof(reply), fds, reply.descriptors);
}

static void pass_signal_on(struct attacher *a)
{
	struct signalfd_siginfo info;

	if (read(a->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		kill(a->options->worker, (int)info.ssi_signo);
}

static int serve_until_gone(struct attacher *a)
{
	struct pollfd polled[2] = { { .fd = a->socket, .events = POLLIN },
				    { .fd = a->signals, .events = POLLIN } };
	int err = 0;

	while (!err) {
		if (poll(polled, 2, -1) < 0) {
			err = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (polled[1].revents)
			pass_signal_on(a);
		if (polled[0].revents)
			err = exchange(a);
	}
	return err;
}

/* Nobody is left to attach for them: let go of all who wait, and have nobody else stopped. */
static void release_stopped(struct attacher *a)
{
	struct kern_view *view = NULL;
	int fds[KERN_FD_COUNT], pid = 0, count = 0;
	uint64_t site;

	for (; count < KERN_FD_COUNT; count++) {
		fds[count] = dup(kern_owner_fd(a->owner, (enum kern_fd)count));
		if (fds[count] < 0)
			break;
	}
	if (count == KERN_FD_COUNT && kern_view_open(fds, &view) == 0)
		kern_view_heartbeat(view, 0);
	else
		while (count-- > 0)
			close(fds[count]);
	kern_view_close(&view);
	while ((pid = proc_next_stopped(pid, &site)) > 0)
		proc_continue(pid);
}

static int wait_for_worker(const struct attacher *a)
{
	int status;

	while (waitpid(a->options->worker, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	log_error(
		"the worker died of signal %d (%s); the kernel goes on accounting: start the agent "
		"again",
		WTERMSIG(status), strsignal(WTERMSIG(status)));
	return 1;
}

static int open_kernel_side(struct attacher *a)
{
	const struct agent_config *config = a->options->config;
	struct kern_config kern = { .pin_dir = config->pin_dir,
				    .max_instances = config->max_instances,
				    .max_threads = config->max_threads,
				    .ring_bytes = config->ring_bytes,
				    .patterns = config->patterns,
				    .pattern_count = (uint32_t)config->pattern_count,
				    .hidden_check = true,
				    .live_steal = true,
				    .where = config->where,
				    .irq = config->irq };
	int err = kern_parse_without(config->without, &kern.without);

	if (!err)
		err = kern_owner_open(&kern, &a->owner, &a->adopted);
	if (err) {
		log_error("the kernel side cannot be opened: %s", kern_error());
		return err;
	}
	for (unsigned i = 0; kern_without_name(i); i++)
		if (kern_owner_without(a->owner) & kern_without_bit(i))
			log_info("goes without %s: %s", kern_without_name(i), kern_without_loss(i));
	err = kern_owner_adopt(a->owner);
	if (err < 0)
		log_warning(
			"what runs already could not be adopted, it is seen at its next fork: %s",
			kern_error());
	return 0;
}

int attacher_run(const struct attacher_options *options, bool *ret_abortive)
{
	struct attacher a = { .options = options,
			      .socket = options->socket,
			      .ready_fd = options->ready_fd,
			      .object_fd = -EBADF,
			      .complained = -1 };
	sigset_t wanted;
	int err, code;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	a.signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	err = a.signals < 0 ? -errno : open_kernel_side(&a);
	if (!err) {
		err = serve_until_gone(&a);
		release_stopped(&a);
		if (err != -EPIPE)
			log_error("the worker said something that is no request: %s",
				  strerror(-err));
	}
	close(a.socket); /* a worker that still lives sees this and ends */
	code = wait_for_worker(&a);
	cleanup_fd(&a.object_fd);
	cleanup_fd(&a.signals);
	cleanup_fd(&a.ready_fd);
	*ret_abortive = a.owner && !a.adopted && !a.ready;
	kern_boundary_close(&a.boundary);
	kern_owner_close(&a.owner);
	return code ? code : err && err != -EPIPE;
}
