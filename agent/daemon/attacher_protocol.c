// SPDX-License-Identifier: GPL-2.0
/* Fixed-size messages with descriptors over a SOCK_SEQPACKET pair. No state. */
#include "daemon/attacher_protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int) * KERN_FD_COUNT)];
};

int channel_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count)
{
	struct iovec part = { (void *)message, size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	if (fd_count > KERN_FD_COUNT)
		return -EINVAL;
	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * fd_count);
	}
	do
		n = sendmsg(socket, &header, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)n == size ? 0 : -EIO;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

static size_t take_descriptors(struct msghdr *header, int fds[KERN_FD_COUNT])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(header);
	size_t count;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (count > KERN_FD_COUNT)
		count = KERN_FD_COUNT; /* the kernel gave no more: the space is that large */
	memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	return count;
}

int channel_receive(int socket, void *message, size_t size, int *fds, size_t max_fds,
		    size_t *ret_fd_count)
{
	int got[KERN_FD_COUNT];
	union control control;
	struct iovec part = { message, size };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	size_t count;
	ssize_t n;

	do
		n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	count = take_descriptors(&header, got);
	if ((size_t)n != size || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || count > max_fds) {
		close_all(got, count);
		return -EBADMSG;
	}
	if (count > 0)
		memcpy(fds, got, count * sizeof(int));
	*ret_fd_count = count;
	return 0;
}

int attacher_ask(int socket, const struct attacher_request *request,
		 struct attacher_reply *ret_reply, int *fds, size_t fd_count)
{
	struct attacher_request sent = *request;
	struct attacher_reply reply;
	size_t count = 0;
	int err;

	sent.magic = ATTACHER_MAGIC;
	err = channel_send(socket, &sent, sizeof(sent), NULL, 0);
	if (!err)
		err = channel_receive(socket, &reply, sizeof(reply), fds, fd_count, &count);
	if (err)
		return err;
	if (reply.magic != ATTACHER_MAGIC || reply.result > 0 || reply.descriptors != count ||
	    count != (reply.result ? 0 : fd_count)) {
		close_all(fds, count);
		return -EBADMSG;
	}
	if (reply.result)
		return reply.result;
	*ret_reply = reply;
	return 0;
}
