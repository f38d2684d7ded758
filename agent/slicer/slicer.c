// SPDX-License-Identifier: GPL-2.0
/* See slicer.h. */
#include "slicer/slicer.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/privileges.h"
#include "slicer/front.h"
#include "slicer/keeper.h"

/* When the front's user is a function's, too: that one could signal it. From the range that systemd
 * gives to dynamic users. */
#define SPARE_ID 61184

struct slicer {
	const struct slicer_options *options;
	struct cages cages;
	struct kern_boundary *boundary;
	uid_t uid;
	gid_t gid;
	char logs[LOGBOOK_PATH];
	int listen, channel[2], signals, log_directory;
};

static int open_listener(const char *where, int *ret_fd, unsigned *ret_port)
{
	struct addrinfo hints = { .ai_family = AF_INET,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE },
			*found = NULL;
	const char *colon = strrchr(where, ':');
	struct sockaddr_in bound;
	socklen_t length = sizeof(bound);
	char host[256];
	int fd = -1, one = 1, code;

	if (!colon || !colon[1] || (size_t)(colon - where) >= sizeof(host)) {
		log_error("--listen %s is not ADDRESS:PORT", where);
		return -EINVAL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	code = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found);
	if (code) {
		log_error("--listen %s: %s", where, gai_strerror(code));
		return -EINVAL;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	code = fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1024) ||
			       getsockname(fd, (struct sockaddr *)&bound, &length)
		       ? -errno
		       : 0;
	freeaddrinfo(found);
	if (code) {
		log_error("%s cannot be listened on: %s (choose another with --listen)", where,
			  strerror(-code));
		if (fd >= 0)
			close(fd);
		return code;
	}
	*ret_fd = fd;
	*ret_port = ntohs(bound.sin_port);
	return 0;
}

static int find_front_user(struct slicer *s)
{
	const char *name = s->options->front_user ? s->options->front_user : "nobody";
	const struct passwd *user = getpwnam(name);

	if (!user || !user->pw_uid || !user->pw_gid) {
		log_error("there is no user %s without privileges for the front", name);
		return -ENOENT;
	}
	s->uid = user->pw_uid;
	s->gid = user->pw_gid;
	for (unsigned n = 0; n < s->options->function_count; n++)
		if (s->options->functions[n].uid == s->uid)
			s->uid = s->gid = SPARE_ID;
	return 0;
}

static int make_log_directory(struct slicer *s)
{
	int fd;

	snprintf(s->logs, sizeof(s->logs), "%s/logs", s->options->state_dir);
	if (mkdir(s->options->state_dir, 0755) && errno != EEXIST)
		return -errno;
	if (mkdir(s->logs, 0755) && errno != EEXIST)
		return -errno;
	fd = open(s->logs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	s->log_directory = fd;
	return fchown(fd, s->uid, s->gid) ? -errno : 0;
}

/* The front opens its logs itself, without rights: what an earlier run of another user left is
 * given over to it. */
static void give_logs(const struct slicer *s)
{
	char path[LOGBOOK_PATH];

	for (unsigned n = 0; n < s->options->function_count; n++)
		if (!logbook_path(s->logs, s->options->functions[n].name, path, sizeof(path)) &&
		    lchown(path, s->uid, s->gid) && errno != ENOENT)
			log_warning("%s cannot be given to the front: %s", path, strerror(errno));
}

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int prepare(struct slicer *s, unsigned *ret_port)
{
	unsigned cleared = 0;
	sigset_t wanted;
	int error;

	raise_files();
	error = find_front_user(s);
	if (!error && (error = make_log_directory(s)))
		log_error("the logs cannot be kept in %s/logs: %s", s->options->state_dir,
			  strerror(-error));
	if (error)
		return error;
	give_logs(s);
	error = open_listener(s->options->listen, &s->listen, ret_port);
	if (error)
		return error;
	error = cages_open(&s->cages, &cleared);
	if (error) {
		log_error("no cgroups for the functions: %s (oncpu doctor tells more)",
			  strerror(-error));
		return error;
	}
	if (cleared)
		log_warning("%u run(s) of a slicer that died were ended", cleared);
	for (int c = 0; c < CAGE_CONTROLLERS; c++)
		if (cages_cannot(&s->cages, (enum cage_controller)c))
			log_warning("no %s controller here: such limits are not enforced",
				    cages_cannot(&s->cages, (enum cage_controller)c));
	error = kern_boundary_open(s->options->pin_dir, &s->boundary);
	if (error) {
		log_error("%s", kern_error());
		return error;
	}
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s->channel)) {
		error = -errno;
		log_error("no channel between the slicer's halves: %s", strerror(errno));
	}
	return error;
}

static int run_front(struct slicer *s, unsigned port)
{
	struct front_options front = { .functions = s->options->functions,
				       .function_count = s->options->function_count,
				       .listen_fd = s->listen,
				       .port = port,
				       .ready_fd = s->options->ready_fd,
				       .keeper = s->channel[1],
				       .signals = s->signals,
				       .log_directory = s->log_directory,
				       .strict = s->options->strict,
				       .telemetry = s->options->telemetry,
				       .quiet = s->options->quiet };
	int error;

	close(s->channel[0]);
	close(s->cages.lock);
	kern_boundary_close(&s->boundary);
	error = privileges_drop(s->uid, s->gid);
	if (error) {
		log_error("the front cannot give up its privileges: %s", strerror(-error));
		return 1;
	}
	return front_run(&front);
}

static int run_keeper(struct slicer *s, pid_t front)
{
	struct keeper_options keeper = { .functions = s->options->functions,
					 .function_count = s->options->function_count,
					 .cages = &s->cages,
					 .boundary = s->boundary,
					 .socket = s->channel[0],
					 .front = front,
					 .signals = s->signals };
	int code, status = 0;

	close(s->channel[1]);
	code = keeper_run(&keeper);
	close(s->channel[0]); /* the front ends, if it has not */
	waitpid(front, &status, 0);
	return code;
}

int slicer_run(const struct slicer_options *options)
{
	struct slicer s = { .options = options,
			    .listen = -1,
			    .channel = { -1, -1 },
			    .signals = -1,
			    .log_directory = -1,
			    .cages = { .lock = -1 } };
	unsigned port = 0;
	pid_t front;
	int code = 1;

	if (prepare(&s, &port))
		goto out;
	front = fork();
	if (!front)
		_exit(run_front(&s, port));
	if (front < 0) {
		log_error("no second process: %s", strerror(errno));
		goto out;
	}
	close(s.listen);
	close(s.log_directory);
	s.listen = s.log_directory = -1;
	if (options->ready_fd >= 0)
		close(options->ready_fd);
	code = run_keeper(&s, front);
out:
	cages_close(&s.cages);
	kern_boundary_close(&s.boundary);
	if (s.listen >= 0)
		close(s.listen);
	if (s.log_directory >= 0)
		close(s.log_directory);
	return code;
}
