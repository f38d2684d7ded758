/* SPDX-License-Identifier: GPL-2.0 */
/* The peers: other tools, run as a user would, one at a time. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cost.h"

enum { PEER_SETTLES_MS = 500, PEER_ENDS_MS = 5000 };

static pid_t peer; /* the one that runs, 0 = none */

/* Does the peer hold an attachment? None says so in a way that all would share. */
static bool peer_attached(void)
{
	char path[64], name[400], to[128];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", peer);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		n = readlink(name, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = 0;
		found |= strstr(to, "perf_event") || strstr(to, "bpf_link") ||
			 strstr(to, "bpf-link") || strstr(to, "raw-tracepoint");
	}
	if (d)
		closedir(d);
	return found;
}

static bool peer_ended(void)
{
	return waitpid(peer, NULL, WNOHANG) == peer;
}

bool peer_up(const char *command)
{
	int seen = 0;

	peer = spawn();
	if (!peer) {
		int null = open("/dev/null", O_RDWR);

		setpgid(0, 0);
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		/* a peer that outlived us would hold what we inherited: a lock, for one */
		close_range(3, ~0u, 0);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	for (int ms = 0; ms < PEER_STARTS_MS && seen < 3; ms += 50) {
		if (peer_ended()) {
			peer = 0;
			return false;
		}
		seen = peer_attached() ? seen + 1 : 0;
		pause_ms(50);
	}
	pause_ms(PEER_SETTLES_MS);
	return seen >= 3;
}

void peer_down(void)
{
	if (!peer)
		return;
	kill(-peer, SIGINT);
	for (int ms = 0; ms < PEER_ENDS_MS && !peer_ended(); ms += 10) {
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
		if (ms + 10 >= PEER_ENDS_MS)
			kill(-peer, SIGKILL);
	}
	waitpid(peer, NULL, 0);
	peer = 0;
}

bool installed(const char *program)
{
	char path[300],
		directories[] = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
	char *at = directories, *directory;

	while ((directory = strsep(&at, ":"))) {
		snprintf(path, sizeof(path), "%s/%s", directory, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}
