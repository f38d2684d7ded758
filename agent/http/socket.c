// SPDX-License-Identifier: GPL-2.0
/* The listening sockets. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define SOCKET_BACKLOG 128

/* A socket file that nobody listens on may go; anything else stays. */
static int remove_stale(const struct sockaddr_un *address)
{
	_cleanup_fd_ int fd = -EBADF;
	struct stat status;

	if (lstat(address->sun_path, &status))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EADDRINUSE;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
}

int http_socket_open(const char *path, uid_t uid, gid_t gid, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = -EBADF;
	mode_t before;
	int err, bound;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	err = remove_stale(&address);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	before = umask(0117); /* 0660 from its first moment on */
	bound = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(before);
	if (bound)
		return bound;
	if (lchown(path, uid, gid) || listen(fd, SOCKET_BACKLOG)) {
		err = -errno;
		unlink(path);
		return err;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

/* "ADDRESS:PORT", an IPv6 address in brackets. */
static int parse_address(const char *text, struct sockaddr_storage *ret_address,
			 socklen_t *ret_size)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
	struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
	const char *colon = strrchr(text, ':');
	char address[INET6_ADDRSTRLEN + 2];
	size_t n = colon ? (size_t)(colon - text) : sizeof(address);
	uint64_t port;

	if (n >= sizeof(address) || parse_uint64(colon + 1, 0, 65535, &port))
		return -EINVAL;
	memcpy(address, text, n);
	address[n] = '\0';
	memset(ret_address, 0, sizeof(*ret_address));
	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		address[n - 1] = '\0';
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		*ret_size = sizeof(*six);
		return inet_pton(AF_INET6, address + 1, &six->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)port);
	*ret_size = sizeof(*four);
	return inet_pton(AF_INET, address, &four->sin_addr) == 1 ? 0 : -EINVAL;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;

	return address->ss_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&six->sin6_addr)
					      : ntohl(four->sin_addr.s_addr) >> 24 == 127;
}

int http_tcp_open(const char *address, int *ret_fd, bool *ret_loopback)
{
	struct sockaddr_storage where;
	_cleanup_fd_ int fd = -EBADF;
	int one = 1, err;
	socklen_t size;

	err = parse_address(address, &where, &size);
	if (err)
		return err;
	fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&where, size) || listen(fd, SOCKET_BACKLOG))
		return -errno;
	*ret_loopback = is_loopback(&where);
	*ret_fd = take_fd(&fd);
	return 0;
}
