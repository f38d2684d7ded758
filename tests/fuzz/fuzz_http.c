// SPDX-License-Identifier: GPL-2.0
/* Anything at all on the agent's socket: the server answers or hangs up, and serves the next. */
#include <sys/socket.h>
#include <sys/un.h>

#include "http/server.h"
#include "tests/fuzz/fuzz.h"

static char path[64];
static struct http_server *server;

static int on_parameter(void *user, const char *name, const char *value, size_t length)
{
	(void)user;
	PROMISE(name && (value || !length));
	return length == 3;
}

static int on_any(void *user, struct http_request *request)
{
	size_t length;

	(void)user;
	http_query(request, "id", &length);
	if (http_query_each(request, on_parameter, NULL))
		return http_reply_problem(request, 400, "%s", "three");
	http_add_header(request, "Oncpu-Test", "yes");
	return http_reply(request, 200, "text/plain", "hello", 5);
}

static int on_body(void *user, struct http_request *request)
{
	size_t size;
	const char *body = http_body(request, &size);

	(void)user;
	PROMISE(size <= 256 && body[size] == '\0');
	http_takes_gzip(http_header(request, "Accept-Encoding"));
	return http_reply(request, 200, "text/plain", body, size);
}

static const struct http_route routes[] = { { "GET", "/a", on_any },
					    { "GET", "/b*", on_any },
					    { "POST", "/c", on_body } };

static void start(void)
{
	struct http_config config = { .routes = routes,
				      .route_count = 3,
				      .max_body = 256,
				      .max_connections = 8,
				      .max_streams = 2,
				      .idle_seconds = 5,
				      .connection_memory = 16 << 10 };
	int fd;

	snprintf(path, sizeof(path), "/tmp/oncpu-fuzz-http.%d", (int)getpid());
	PROMISE(http_socket_open(path, getuid(), getgid(), &fd) == 0);
	PROMISE(http_server_new(&config, fd, &server) == 0);
}

static int connect_to(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	PROMISE(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

static void run(void)
{
	for (int i = 0; i < 64 && http_server_run(server) > 0; i++)
		;
}

/* A whole, good request is answered whatever came before on another connection. */
static void next_is_served(void)
{
	static const char ask[] = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	char answer[16] = "";
	int fd = connect_to();
	ssize_t n = -1;

	PROMISE(write(fd, ask, sizeof(ask) - 1) == sizeof(ask) - 1);
	for (int i = 0; i < 100 && n < 0; i++) {
		run();
		n = recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
	}
	PROMISE(n > 12 && !memcmp(answer, "HTTP/1.1 200", 12));
	close(fd);
	run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char answer[4096];
	size_t half;
	int fd;

	if (!server)
		start();
	if (size > 60000)
		return 0;
	fd = connect_to();
	half = size > 1 ? data[0] % size : size;
	if (send(fd, data, half, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)half) {
		run();
		send(fd, data + half, size - half, MSG_DONTWAIT | MSG_NOSIGNAL);
		run();
	}
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	close(fd);
	run();
	next_is_served();
	return 0;
}
