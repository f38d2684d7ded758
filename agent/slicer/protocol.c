// SPDX-License-Identifier: GPL-2.0
/* See protocol.h. */
#include "slicer/protocol.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int protocol_send(int socket, const void *message, unsigned size, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { (void *)(uintptr_t)message, size };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct pollfd writable = { .fd = socket, .events = POLLOUT };
	struct cmsghdr *c;

	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	while (sendmsg(socket, &m, MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN)
			poll(&writable, 1, -1); /* the other end reads without waiting for us */
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int protocol_receive(int socket, void *message, unsigned size, int *ret_fd)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { message, size };
	struct msghdr m = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c;

	*ret_fd = -1;
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	if (n && (unsigned)n != size) {
		if (*ret_fd >= 0)
			close(*ret_fd);
		*ret_fd = -1;
		return -EPROTO;
	}
	return (int)n;
}
