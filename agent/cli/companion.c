// SPDX-License-Identifier: GPL-2.0
/* See companion.h. */
#include "cli/companion.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/agent.h"
#include "daemon/config.h"

enum { ENDING_MS = 100, TRIES = 10 };

static int ignore(void *user, const char *line, size_t length)
{
	(void)user, (void)line, (void)length;
	return 0;
}

static int start(struct companion *c, const struct place *place)
{
	struct agent_options o = { .state_dir = place->state_dir,
				   .socket = place->socket,
				   .pin_dir = c->pin_dir,
				   .unpin = true,
				   .log_level = "warning" };
	pid_t command = getpid();
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		return command_fail("cannot make a pipe: %s", strerror(errno));
	c->pid = fork();
	if (!c->pid) {
		close(ready[0]);
		setpgid(0, 0); /* a Ctrl-C is the command's, not the agent's */
		/* killed with the command, so that nobody stays behind: what it had not stored yet
		 * is pinned, and the next agent's */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != command)
			_exit(1);
		o.ready_fd = ready[1];
		exit(agent_run(&o));
	}
	close(ready[1]);
	if (c->pid < 0 || read(ready[0], &byte, 1) != 1) {
		close(ready[0]);
		return command_fail("no agent runs, and none could be started (see above)");
	}
	close(ready[0]);
	return 0;
}

/* One that has just been killed may still have answered: a supervisor starts us again at once. Its
 * end is that of its connections, within a few milliseconds. */
static bool is_ending(const char *socket_path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd end = { .fd = fd, .events = POLLRDHUP };

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return true;
	return poll(&end, 1, ENDING_MS) != 0;
}

static int look_for_agent(const char *socket_path)
{
	int error = 0;

	for (int tries = 0; tries < TRIES; tries++) {
		error = client_lines(socket_path, "/v1/health", ignore, NULL);
		if (error == -ECONNREFUSED || (!error && !is_ending(socket_path)))
			return error;
	}
	return error;
}

int companion_find(struct companion *c, const struct place *place)
{
	int error = look_for_agent(place->socket);

	c->pid = 0;
	if (place->pin_dir)
		snprintf(c->pin_dir, sizeof(c->pin_dir), "%s", place->pin_dir);
	else
		config_pin_dir(place->state_dir, c->pin_dir, sizeof(c->pin_dir));
	return error == -ECONNREFUSED ? start(c, place) : 0;
}

void companion_stop(struct companion *c)
{
	if (c->pid <= 0)
		return;
	kill(c->pid, SIGTERM);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
}
