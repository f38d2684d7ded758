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
#include <zlib.h>

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

/* gzip of "packed beforehand" */
static const unsigned char packed[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
					0x2b, 0x48, 0x4c, 0xce, 0x4e, 0x4d, 0x51, 0x48, 0x4a, 0x4d,
					0xcb, 0x2f, 0x4a, 0xcd, 0x48, 0xcc, 0x4b, 0x01, 0x00, 0x99,
					0x45, 0x42, 0xad, 0x11, 0x00, 0x00, 0x00 };

static int on_packed(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_gzipped(request, "text/plain", packed, sizeof(packed));
}

static int on_torn(void *user, struct http_request *request)
{
	int err = http_reply_gzipped(request, "text/plain", packed, sizeof(packed) - 5);

	(void)user;
	return err == -EIO ? http_reply(request, 200, "text/plain", "refused", 7) : -ENOMEM;
}

static int produce_problem(void *user, struct http_stream *stream)
{
	(void)user;
	http_stream_problem(stream, 404, "no such %s", "thing");
	return 0;
}

static int produce_nothing(void *user, struct http_stream *stream)
{
	(void)stream;
	return user ? -EIO : 0;
}

static int produce_headed(void *user, struct http_stream *stream)
{
	(void)user;
	http_stream_header(stream, "X-Next", "there\r\nX-Forged: 1");
	return http_stream_write(stream, "headed", 6);
}

static int on_problem(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_stream(request, "text/plain", produce_problem, on_destroy, NULL);
}

static int on_empty(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_stream(request, "text/plain", produce_nothing, on_destroy, NULL);
}

static int on_failed(void *user, struct http_request *request)
{
	return http_reply_stream(request, "text/plain", produce_nothing, on_destroy, user);
}

static int on_headed(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_stream(request, "text/plain", produce_headed, on_destroy, NULL);
}

static int on_rest(void *user, struct http_request *request)
{
	const char *rest = http_path_rest(request);

	(void)user;
	return http_reply(request, 200, "text/plain", rest, strlen(rest));
}

static int on_post(void *user, struct http_request *request)
{
	size_t size;
	const char *body = http_body(request, &size);

	(void)user;
	assert_int_equal(strlen(body), size);
	return http_reply(request, 200, "text/plain", body, size);
}

static int on_peer(void *user, struct http_request *request)
{
	struct http_peer peer = { 0 };
	char text[128];
	int n, err = http_peer(request, &peer);

	(void)user;
	n = snprintf(text, sizeof(text), "%d %d %d %d", err, peer.pid == getpid(),
		     peer.uid == getuid(), http_peer_in_group(request, getgid()));
	return http_reply(request, 200, "text/plain", text, (size_t)n);
}

/* Says one thing, then nothing until its client is gone. */
static int produce_live(void *user, struct http_stream *stream)
{
	struct pollfd gone = { .fd = http_stream_fd(stream) };

	(void)user;
	http_stream_write(stream, "here", 4);
	atomic_store(&producer_error, poll(&gone, 1, 20000) == 1 && gone.revents & POLLERR ? 1 : 2);
	return 0;
}

static int on_live(void *user, struct http_request *request)
{
	(void)user;
	return http_reply_live(request, "text/plain", produce_live, on_destroy, NULL);
}

static int admit(void *user, struct http_request *request, const char *wanted)
{
	(void)user;
	return strcmp(wanted, "/forbidden") ? 0 : http_reply_problem(request, 403, "not you");
}

static const struct http_route routes[] = {
	{ "GET", "/problem", on_problem }, { "GET", "/empty", on_empty },
	{ "GET", "/failed", on_failed },   { "GET", "/headed", on_headed },
	{ "GET", "/under/*", on_rest },	   { "POST", "/post", on_post },
	{ "GET", "/peer", on_peer },	   { "GET", "/live", on_live },
	{ "GET", "/forbidden", on_hello }, { "GET", "/hello", on_hello },
	{ "GET", "/long", on_long },	   { "GET", "/broken", on_broken },
	{ "GET", "/packed", on_packed },   { "GET", "/torn", on_torn },
};

static int setup(void **state)
{
	struct http_config config = { .routes = routes,
				      .route_count = sizeof(routes) / sizeof(routes[0]),
				      .user = "user",
				      .admit = admit,
				      .max_live = 2,
				      .max_body = 1000,
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

static void test_http_streams_say_more_first(void **state)
{
	(void)state;
	expect("GET /problem HTTP/1.1\r\n" END, "HTTP/1.1 404", "no such thing");
	expect("GET /failed HTTP/1.1\r\n" END, "HTTP/1.1 500", "application/problem+json");
	expect("GET /empty HTTP/1.1\r\n" END, "HTTP/1.1 200", "text/plain");
	expect("GET /empty HTTP/1.1\r\nAccept-Encoding: gzip\r\n" END, "HTTP/1.1 200",
	       "text/plain");
	expect("GET /headed HTTP/1.1\r\n" END, "HTTP/1.1 200", "X-Next: there  X-Forged: 1\r\n");
	expect("HEAD /headed HTTP/1.1\r\n" END, "HTTP/1.1 200", "X-Next: there");
	for (int i = 0; i < 500 && atomic_load(&destroyed) < 6; i++)
		turn(10);
	assert_int_equal(atomic_load(&destroyed), 6);
}

static void test_http_routes(void **state)
{
	(void)state;
	expect("GET /under/a/b%20c HTTP/1.1\r\n" END, "HTTP/1.1 200", "\r\n\r\na/b c");
	expect("GET /under/ HTTP/1.1\r\n" END, "HTTP/1.1 200", "Content-Length: 0");
	expect("GET /under HTTP/1.1\r\n" END, "HTTP/1.1 404", "nothing at /under");
	expect("GET /forbidden HTTP/1.1\r\n" END, "HTTP/1.1 403", "not you");
	expect("GET /peer HTTP/1.1\r\n" END, "HTTP/1.1 200", "0 1 1 1");
}

static void test_http_bodies(void **state)
{
	char request[2048], body[1002];

	(void)state;
	expect("POST /post HTTP/1.1\r\nContent-Length: 4\r\n" END "abcd", "HTTP/1.1 200",
	       "\r\n\r\nabcd");
	expect("POST /post HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
	       "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
	       "HTTP/1.1 200", "\r\n\r\nabcd");
	memset(body, 'x', sizeof(body));
	body[1001] = '\0';
	snprintf(request, sizeof(request),
		 "POST /post HTTP/1.1\r\nContent-Length: 1001\r\n" END "%s", body);
	expect(request, "HTTP/1.1 413", "at most 1000 bytes");
	snprintf(request, sizeof(request),
		 "POST /post HTTP/1.1\r\nContent-Length: 1000\r\n" END "%s", body + 1);
	expect(request, "HTTP/1.1 200", body + 1);
}

/* What zlib makes of the answer's body; `text` is cut at its headers' end. */
static size_t unpack(const char *answer, size_t size, char *text, size_t room)
{
	const char *body = memmem(answer, size, "\r\n\r\n", 4);
	z_stream z = { .next_out = (unsigned char *)text, .avail_out = (unsigned)room };

	assert_non_null(body);
	assert_non_null(memmem(answer, (size_t)(body - answer), "Content-Encoding: gzip", 22));
	z.next_in = (unsigned char *)body + 4;
	z.avail_in = (unsigned)(size - (size_t)(body + 4 - answer));
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	return z.total_out;
}

static void test_http_gzip(void **state)
{
	static char text[1 << 16], plain[LONG_BLOCKS * 4096 + 1];
	int fd = client();
	size_t n = ask(fd, "GET /long HTTP/1.0\r\nAccept-Encoding: deflate, gzip;q=0.5\r\n\r\n",
		       text, sizeof(text), 0);

	(void)state;
	close(fd);
	assert_true(n < LONG_BLOCKS * 4096ul / 50);
	assert_int_equal(unpack(text, n, plain, sizeof(plain)), LONG_BLOCKS * 4096);
	for (size_t i = 0; i < LONG_BLOCKS * 4096; i++)
		if (plain[i] != 'x')
			fail_msg("byte %zu is %c", i, plain[i]);
	expect("GET /hello HTTP/1.1\r\nAccept-Encoding: gzip\r\n" END, "HTTP/1.1 200",
	       "\r\n\r\nhello "); /* too short to be worth it */
}

static void test_http_packed_beforehand(void **state)
{
	char text[1024], plain[64];
	int fd = client();
	size_t n = ask(fd, "GET /packed HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n", text,
		       sizeof(text), 0);

	(void)state;
	close(fd);
	assert_int_equal(unpack(text, n, plain, sizeof(plain)), 17);
	assert_memory_equal(plain, "packed beforehand", 17);
	expect("GET /packed HTTP/1.1\r\nAccept-Encoding: gzip;q=0\r\n" END, "HTTP/1.1 200",
	       "\r\n\r\npacked beforehand");
	expect("GET /torn HTTP/1.1\r\n" END, "HTTP/1.1 200", "\r\n\r\nrefused");
}

static void test_http_takes_gzip(void **state)
{
	static const char *const yes[] = { "gzip",
					   "GZIP",
					   "deflate,gzip",
					   "br , gzip;q=0.001",
					   "*",
					   "gzip;q=1.0, *;q=0",
					   "*;q=0,gzip",
					   "gzip; q=1" };
	static const char *const no[] = { "",	   "identity", "gzip;q=0", "gzip;q=0.000",
					  "xgzip", "gzipped",  "*;q=0",	   "gzip;q=0, *",
					  "br",	   ",,," };

	(void)state;
	assert_false(http_takes_gzip(NULL));
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!http_takes_gzip(yes[i]))
			fail_msg("no: %s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (http_takes_gzip(no[i]))
			fail_msg("yes: %s", no[i]);
}

/* Nobody writes, so only the hang-up can tell it. */
static void test_http_live_hangup(void **state)
{
	char text[1024];
	int fd = client();

	(void)state;
	ask(fd, "GET /live HTTP/1.1\r\n" END, text, sizeof(text), 150);
	while (!strstr(text, "here"))
		ask(fd, "", text, sizeof(text), 1);
	close(fd);
	for (int i = 0; i < 500 && !atomic_load(&destroyed); i++)
		turn(10);
	assert_int_equal(atomic_load(&destroyed), 1);
	assert_int_equal(atomic_load(&producer_error), 1);
}

/* One that keeps its socket and never reads: the server's end closes it. */
static void test_http_live_bounded(void **state)
{
	char text[2048];
	int fd[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		fd[i] = client();
		ask(fd[i], "GET /live HTTP/1.1\r\n" END, text, sizeof(text), 100);
	}
	assert_memory_equal(text, "HTTP/1.1 503", 12);
	assert_non_null(strstr(text, "Retry-After: 1"));
	http_server_free(&server);
	assert_int_equal(atomic_load(&destroyed), 3);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

static void test_http_tcp(void **state)
{
	static const char *const wrong[] = { "",	   "127.0.0.1",	      "localhost:80",
					     "127.0.0.1:", "127.0.0.1:65536", "[::1]",
					     "[::1:80",	   "::1:80",	      "127.0.0.1:80x" };
	bool loopback = false;
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (http_tcp_open(wrong[i], &fd, &loopback) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
	assert_int_equal(http_tcp_open("127.0.0.1:0", &fd, &loopback), 0);
	assert_true(loopback);
	close(fd);
	assert_int_equal(http_tcp_open("0.0.0.0:0", &fd, &loopback), 0);
	assert_false(loopback);
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
		T(test_http_streams_say_more_first),
		T(test_http_routes),
		T(test_http_bodies),
		T(test_http_gzip),
		T(test_http_packed_beforehand),
		T(test_http_takes_gzip),
		T(test_http_live_hangup),
		T(test_http_live_bounded),
		T(test_http_tcp),
		T(test_http_socket_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
