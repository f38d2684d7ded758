// SPDX-License-Identifier: GPL-2.0
/* See peer.h. */
#include "slicer/peer.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int peers_open(struct peers *peers)
{
	struct timeval patience = { .tv_sec = 1 };

	peers->sequence = 0;
	peers->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (peers->netlink < 0)
		return -errno;
	setsockopt(peers->netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return 0;
}

void peers_close(struct peers *peers)
{
	if (peers->netlink >= 0)
		close(peers->netlink);
	peers->netlink = -1;
}

static int ask(struct peers *peers, const struct sockaddr_in *theirs,
	       const struct sockaddr_in *ours)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} m = {
		.header = { .nlmsg_len = sizeof(m),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST,
			    .nlmsg_seq = ++peers->sequence },
		.request = { .sdiag_family = AF_INET,
			     .sdiag_protocol = IPPROTO_TCP,
			     .idiag_states = ~0u,
			     .id = { .idiag_sport = theirs->sin_port,
				     .idiag_dport = ours->sin_port,
				     .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};

	m.request.id.idiag_src[0] = theirs->sin_addr.s_addr;
	m.request.id.idiag_dst[0] = ours->sin_addr.s_addr;
	return send(peers->netlink, &m, sizeof(m), 0) == sizeof(m) ? 0 : -errno;
}

static int find_cgroup(const struct nlmsghdr *h, uint64_t *ret_cgroup_id)
{
	const struct inet_diag_msg *d = NLMSG_DATA(h);
	int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*d));

	for (const struct rtattr *a = (const struct rtattr *)(d + 1); RTA_OK(a, left);
	     a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) >= sizeof(uint64_t)) {
			memcpy(ret_cgroup_id, RTA_DATA(a), sizeof(uint64_t));
			return 0;
		}
	return -ENOTSUP;
}

int peers_cgroup(struct peers *peers, int fd, uint64_t *ret_cgroup_id)
{
	struct sockaddr_in theirs = { 0 }, ours = { 0 };
	socklen_t length = sizeof(theirs);
	_Alignas(struct nlmsghdr) char answer[2048];
	const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
	int error;

	if (getpeername(fd, (struct sockaddr *)&theirs, &length) ||
	    getsockname(fd, (struct sockaddr *)&ours, &length))
		return -errno;
	error = ask(peers, &theirs, &ours);
	while (!error) {
		ssize_t n = recv(peers->netlink, answer, sizeof(answer), 0);

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (!NLMSG_OK(h, (unsigned)n))
			return -EPROTO;
		if (h->nlmsg_seq != peers->sequence)
			continue; /* an answer that we did not wait for */
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		return find_cgroup(h, ret_cgroup_id);
	}
	return error;
}
