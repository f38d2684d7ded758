// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest function: answers every event with {"hello":true}; {"sleep":MS} after a while. To
 * {"suspend":true} it answers {"suspended":true}, and whatever the next event is with that event.
 *
 * hello            a Lambda runtime: polls the Runtime API at AWS_LAMBDA_RUNTIME_API
 * hello PORT       the same without a platform: an HTTP server of its own, for comparison; 0 = any
 * port, which it prints
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "oncpu/runtime.h"

#define ANSWER "{\"hello\":true}"
#define SUSPENDED "{\"suspended\":true}"

static char buffer[8 << 20];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		data += n;
		size -= (size_t)n;
	}
}

/* One whole message with its Content-Length; 0 = the other end is gone. */
static size_t receive(int fd)
{
	size_t used = 0, whole = 0;

	while (!whole || used < whole) {
		ssize_t n = recv(fd, buffer + used, sizeof(buffer) - 1 - used, 0);
		char *end, *length;

		if (n <= 0)
			return 0;
		used += (size_t)n;
		buffer[used] = '\0';
		end = strstr(buffer, "\r\n\r\n");
		if (whole || !end)
			continue;
		length = strcasestr(buffer, "content-length:");
		whole = (size_t)(end + 4 - buffer) +
			(length && length < end ? strtoul(length + 15, NULL, 10) : 0);
	}
	return used;
}

static int poll_runtime_api(const char *api)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	static char event[4096];
	char host[64], path[sizeof(event) + 256], id[64];
	long length;
	const char *colon = strchr(api, ':'), *at;
	int fd = socket(AF_INET, SOCK_STREAM, 0), n;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - api), api);
	to.sin_port = htons((unsigned short)atoi(colon + 1));
	inet_pton(AF_INET, host, &to.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	for (;;) {
		static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
					   "Host: runtime\r\n\r\n";

		send_all(fd, next, sizeof(next) - 1);
		if (!receive(fd))
			return 0;
		at = strcasestr(buffer, "lambda-runtime-aws-request-id:");
		if (!at || sscanf(at + 30, " %63[^\r]", id) != 1)
			die("no request id");
		at = strstr(buffer, "{\"sleep\":");
		if (at)
			usleep((useconds_t)atoi(at + 9) * 1000);
		snprintf(event, sizeof(event), "%s", ANSWER);
		if (strstr(buffer, "{\"suspend\":")) {
			length = oncpu_suspend(api, SUSPENDED, sizeof(SUSPENDED) - 1, event,
					       sizeof(event) - 1);
			if (length < 0 || (size_t)length >= sizeof(event))
				die("suspend");
			event[length] = '\0';
		}
		n = snprintf(path, sizeof(path),
			     "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\n"
			     "Host: runtime\r\nContent-Type: application/json\r\n"
			     "Content-Length: %zu\r\n\r\n%s",
			     id, strlen(event), event);
		send_all(fd, path, (size_t)n);
		if (!receive(fd))
			return 0;
	}
}

static _Noreturn void serve(unsigned short port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, n;
	socklen_t length = sizeof(at);
	char answer[256];

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 16))
		die("listen");
	if (getsockname(fd, (struct sockaddr *)&at, &length))
		die("getsockname");
	if (!port) {
		printf("%u\n", ntohs(at.sin_port));
		fflush(stdout);
	}
	n = snprintf(answer, sizeof(answer),
		     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n" ANSWER,
		     sizeof(ANSWER) - 1);
	for (;;) {
		int caller = accept(fd, NULL, NULL);

		while (caller >= 0 && receive(caller))
			send_all(caller, answer, (size_t)n);
		close(caller);
	}
}

int main(int argc, char **argv)
{
	const char *api = getenv("AWS_LAMBDA_RUNTIME_API");

	if (argc > 1)
		serve((unsigned short)atoi(argv[1]));
	return api ? poll_runtime_api(api) : 2;
}
