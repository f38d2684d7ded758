// SPDX-License-Identifier: GPL-2.0
/* The listening unix socket. */
#include "http/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

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
