// SPDX-License-Identifier: GPL-2.0
/* The server over a real unix socket; client and loop take turns in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server.h"

#define LONG_BLOCKS 2000 /* of 4 KiB: more than any buffer on the way */

static char path[64];
static struct http_server *server;
static atomic_int destroyed, producer_error;

static int on_hello(void *user, struct http_request *request)
{
	size_t length = 0;
	const char *name = http_query(request, "name", &length);
	char text[64];
	int n = snprintf(text, sizeof(text), "hello %.*s", (int)length, name ? name : "");

	assert_string_equal(user, "user");
	return http_reply(request, 200, "text/plain", text, (size_t)n);
}

static int produce_long(void *user, struct http_stream *stream)
{
	char block[4096];
	int err = 0;

	(void)user;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < LONG_BLOCKS && !err; i++)
		err = http_stream_write(stream, block, sizeof(block));
	atomic_store(&producer_error, err);
	return err;
}

static int produce_broken(void *user, struct http_stream *stream)
{
	(void)user;
	http_stream_write(stream, "half", 4);
	return -EIO;
}

static void on_destroy(void *user)
{
	(void)user;
	atomic_fetch_add(&destroyed, 1);
}

static int on_long(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_stream(request, "text/plain", produce_long, on_destroy, NULL);
}

static int on_broken(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_stream(request, "text/plain", produce_broken, on_destroy, NULL);
}

static const struct http_route routes[] = {
	{ "GET", "/hello", on_hello },
	{ "GET", "/long", on_long },
	{ "GET", "/broken", on_broken },
};

static int setup(void **state)
{
	struct http_config config = { .routes = routes,
				      .route_count = 3,
				      .user = "user",
				      .max_connections = 16,
				      .max_streams = 2,
				      .idle_seconds = 10,
				      .connection_memory = 16384 };
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/oncpu-http-%d.sock", getpid());
	destroyed = 0;
	producer_error = 0;
	assert_int_equal(http_socket_open(path, getuid(), getgid(), &fd), 0);
	assert_int_equal(http_server_new(&config, fd, &server), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_server_free(&server);
	assert_null(server);
	unlink(path);
	return 0;
}

static int client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void turn(int ms)
{
	struct pollfd polled = { .fd = http_server_fd(server), .events = POLLIN };

	poll(&polled, 1, ms);
	while (http_server_run(server) > 0)
		;
}

/* Sends, and reads to the end or until `enough` bytes came. The bytes read; text is their head. */
static size_t ask(int fd, const char *request, char *text, size_t size, size_t enough)
{
	char block[8192];
	size_t total = 0, held = 0;
	ssize_t n;

	assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	for (int idle = 0; idle < 300;) {
		turn(10);
		n = read(fd, block, sizeof(block));
		if (n == 0)
			break;
		if (n < 0) {
			idle++;
			continue;
		}
		idle = 0;
		if (held + (size_t)n < size) {
			memcpy(text + held, block, (size_t)n);
			held += (size_t)n;
		}
		total += (size_t)n;
		if (enough && total >= enough)
			break;
	}
	text[held] = '\0';
	return total;
}

static void expect(const char *request, const char *status, const char *part)
{
	char text[8192];
	int fd = client();

	ask(fd, request, text, sizeof(text), 0);
	close(fd);
	if (strncmp(text, status, strlen(status)) != 0 || !strstr(text, part))
		fail_msg("for %s wanted %s and %s, got %s", request, status, part, text);
}

#define END "Host: x\r\nConnection: close\r\n\r\n"

static void test_http_answers(void **state)
{
	(void)state;
	expect("GET /hello?name=a%20b HTTP/1.1\r\n" END, "HTTP/1.1 200", "hello a b");
	expect("GET /nothing HTTP/1.1\r\n" END, "HTTP/1.1 404", "application/problem+json");
	expect("POST /hello HTTP/1.1\r\nContent-Length: 0\r\n" END, "HTTP/1.1 405", "Allow: GET");
	expect("HEAD /hello HTTP/1.1\r\n" END, "HTTP/1.1 200", "Content-Length: 6");
}

static void test_http_refuses_smuggling(void **state)
{
	(void)state;
	expect("GET /hello HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" END
	       "0\r\n\r\n",
	       "HTTP/1.1 400", "together with");
	expect("GET /hello HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n" END, "HTTP/1.1 400",
	       "other than chunked");
	expect("GET /hello HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n" END,
	       "HTTP/1.1 400", "more than one");
}

static void test_http_streams_whole(void **state)
{
	char text[256];
	int fd = client();
	size_t n = ask(fd, "GET /long HTTP/1.1\r\n" END, text, sizeof(text), 0);

	(void)state;
	assert_true(n > LONG_BLOCKS * 4096ul);
	assert_int_equal(atomic_load(&destroyed), 1);
	assert_int_equal(atomic_load(&producer_error), 0);
	close(fd);
}

static void test_http_client_leaves_stream(void **state)
{
	char text[256];
	int fd = client();

	(void)state;
	ask(fd, "GET /long HTTP/1.1\r\n" END, text, sizeof(text), 10000);
	close(fd);
	for (int i = 0; i < 500 && !atomic_load(&destroyed); i++)
		turn(10);
	assert_int_equal(atomic_load(&destroyed), 1);
	assert_int_equal(atomic_load(&producer_error), -EPIPE);
}

static void test_http_stops_amid_stream(void **state)
{
	char text[256];
	int fd = client();

	(void)state;
	ask(fd, "GET /long HTTP/1.1\r\n" END, text, sizeof(text), 10000);
	http_server_free(&server); /* the client reads no more, and it must not hang */
	assert_int_equal(atomic_load(&destroyed), 1);
	close(fd);
}

static void test_http_bounds_streams(void **state)
{
	char text[2048];
	int fd[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		fd[i] = client();
		ask(fd[i], "GET /long HTTP/1.1\r\n" END, text, sizeof(text), 200);
	}
	assert_memory_equal(text, "HTTP/1.1 503", 12);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

static void test_http_broken_stream_is_seen(void **state)
{
	char text[2048];
	int fd = client();

	(void)state;
	ask(fd, "GET /broken HTTP/1.1\r\n" END, text, sizeof(text), 0);
	assert_null(strstr(text, "\r\n0\r\n")); /* no last chunk: not whole */
	assert_int_equal(http_server_counters(server)->streams_cut, 1);
	close(fd);
}

static void test_http_socket_file(void **state)
{
	struct stat status;
	int fd;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0660);
	/* somebody answers there */
	assert_int_equal(http_socket_open(path, getuid(), getgid(), &fd), -EADDRINUSE);
	http_server_free(&server);
	/* nobody does any more */
	assert_int_equal(http_socket_open(path, getuid(), getgid(), &fd), 0);
	close(fd);
	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(http_socket_open(path, getuid(), getgid(), &fd), -EADDRINUSE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the worker does; a client here may hang up */
	const struct CMUnitTest tests[] = {
		T(test_http_answers),
		T(test_http_refuses_smuggling),
		T(test_http_streams_whole),
		T(test_http_client_leaves_stream),
		T(test_http_stops_amid_stream),
		T(test_http_bounds_streams),
		T(test_http_broken_stream_is_seen),
		T(test_http_socket_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
