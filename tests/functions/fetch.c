/* SPDX-License-Identifier: GPL-2.0 */
/* A function that mostly waits: asks a server that takes 30 ms to answer, and reads the answer. */
#include <sys/socket.h>
#include <unistd.h>

#include "triggers.h"

/* The server is no part of the function: a process of its own, outside the function's books where
 * the host put it outside (it is started before the first mark, so it is part of init where not).
 */
static int server(void)
{
	char request[64], answer[4096] = "";
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -1;
	if (fork()) {
		close(ends[1]);
		return ends[0];
	}
	close(ends[0]);
	while (read(ends[1], request, sizeof(request)) > 0) {
		poll(NULL, 0, 30); /* its own work */
		if (write(ends[1], answer, sizeof(answer)) < 0)
			break;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct triggers t;
	char answer[4096];
	int fd = server(), status;

	triggers_from(&t, argc, argv, "fetch");
	if (fd < 0)
		return 1;
	while (triggers_next(&t)) {
		status = write(fd, t.id, sizeof(t.id) - 16) > 0 ? 0 : 1;
		for (ssize_t got = 0, n; got < (ssize_t)sizeof(answer) && !status; got += n)
			if ((n = read(fd, answer, sizeof(answer))) <= 0)
				status = 1;
		oncpu_report_done(status);
	}
	return 0;
}
