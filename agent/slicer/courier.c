// SPDX-License-Identifier: GPL-2.0
/* See courier.h. */
#include "slicer/courier.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ANSWER_MOST (64u << 10)

static int dial(unsigned port)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		return -errno;
	return take_fd(&fd);
}

int courier_start(struct courier *c, char *body, size_t size)
{
	int n = snprintf(c->head, sizeof(c->head),
			 "POST %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			 c->path[0] ? c->path : "/", c->host, c->port, size);

	if (c->fd >= 0)
		close(c->fd); /* the end of the last answer, which nobody needs */
	c->fd = -1;
	free(c->body);
	c->body = body;
	c->body_size = size;
	c->sent = c->got = 0;
	c->connected = c->answered = false;
	if (n < 0 || (size_t)n >= sizeof(c->head))
		return -ENAMETOOLONG;
	c->head_size = (size_t)n;
	n = dial(c->port);
	c->fd = n < 0 ? -1 : n;
	return n < 0 ? n : 0;
}

static enum courier_step fail(struct courier *c)
{
	close(c->fd);
	c->fd = -1;
	return COURIER_FAILED;
}

static enum courier_step send_more(struct courier *c)
{
	size_t all = c->head_size + c->body_size, in_head, in_body;

	while (c->sent < all) {
		struct msghdr m = { .msg_iovlen = 2 };
		struct iovec parts[2];
		ssize_t n;

		in_head = c->sent < c->head_size ? c->sent : c->head_size;
		in_body = c->sent - in_head;
		parts[0] = (struct iovec){ c->head + in_head, c->head_size - in_head };
		parts[1] = (struct iovec){ c->body + in_body, c->body_size - in_body };
		m.msg_iov = parts;
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? COURIER_GOES_ON : fail(c);
		c->sent += (size_t)n;
	}
	return COURIER_GOES_ON;
}

/* "HTTP/1.1 200": twelve bytes, and the rest is nobody's business. */
static enum courier_step receive(struct courier *c)
{
	ssize_t n = recv(c->fd, c->answer + c->got, 12 - c->got, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return COURIER_GOES_ON;
	if (n <= 0)
		return fail(c);
	c->got += (size_t)n;
	if (c->got < 12)
		return COURIER_GOES_ON;
	if (memcmp(c->answer, "HTTP/1.", 7) != 0 || c->answer[9] != '2')
		return fail(c);
	c->answered = true;
	free(c->body);
	c->body = NULL;
	c->body_size = 0;
	return COURIER_DONE;
}

static enum courier_step drain(struct courier *c)
{
	char rest[4096];
	ssize_t n;

	while ((n = recv(c->fd, rest, sizeof(rest), MSG_DONTWAIT)) > 0 && c->got < ANSWER_MOST)
		c->got += (size_t)n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return COURIER_GOES_ON;
	close(c->fd);
	c->fd = -1;
	return COURIER_GOES_ON;
}

bool courier_is_busy(const struct courier *c)
{
	return c->fd >= 0 && !c->answered;
}

enum courier_step courier_go_on(struct courier *c)
{
	socklen_t length = sizeof(int);
	enum courier_step step;
	int error = 0;

	if (!c->connected) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length) || error)
			return fail(c);
		c->connected = true;
		return COURIER_CONNECTED;
	}
	if (c->answered)
		return drain(c);
	step = send_more(c);
	return step == COURIER_GOES_ON ? receive(c) : step;
}

uint32_t courier_wants(const struct courier *c)
{
	bool sends = !c->connected || (!c->answered && c->sent < c->head_size + c->body_size);

	return EPOLLIN | (sends ? EPOLLOUT : 0u);
}

char *courier_stop(struct courier *c, size_t *ret_size)
{
	char *body = c->body;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	*ret_size = c->body_size;
	c->body = NULL;
	c->body_size = 0;
	return body;
}
