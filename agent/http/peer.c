// SPDX-License-Identifier: GPL-2.0
/* Who asks: the kernel's word on the other end of a unix socket. */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static int connection_fd(struct http_request *request)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -EBADF;
}

int http_peer(struct http_request *request, struct http_peer *ret_peer)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	int fd = connection_fd(request);
	struct ucred peer;

	/* a TCP socket has an answer too: pid 0 and uid -1 */
	if (getsockname(fd, (struct sockaddr *)&address, &length) || address.ss_family != AF_UNIX)
		return -ENOTSUP;
	length = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return -errno;
	*ret_peer = (struct http_peer){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
	return 0;
}

bool http_peer_in_group(struct http_request *request, gid_t gid)
{
	int fd = connection_fd(request);
	struct http_peer peer;
	socklen_t length = 0;
	bool found = false;
	gid_t *groups;

	if (http_peer(request, &peer))
		return false;
	if (peer.gid == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0 || errno != ERANGE)
		return false;
	groups = malloc(length);
	if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) == 0)
		for (size_t i = 0; i < length / sizeof(*groups); i++)
			found |= groups[i] == gid;
	free(groups);
	return found;
}
