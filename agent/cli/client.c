/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest client that the agent's socket needs: one GET, an answer of lines. Reads what the
 * agent may send (Content-Length, chunked, or until the end), holds one line at a time.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"

enum { LINE_MAX_BYTES = 1 << 18 }; /* all policies are one line */

void client_query(char *path, size_t size, const char *name, const char *value, size_t length)
{
	size_t used = strlen(path);

	used += (size_t)snprintf(path + used, size - used, "%c%s=", strchr(path, '?') ? '&' : '?',
				 name);
	for (size_t i = 0; i < length && used + 4 < size; i++) {
		unsigned char c = (unsigned char)value[i];

		if (isalnum(c) || strchr("-._~", c))
			used += (size_t)snprintf(path + used, size - used, "%c", c);
		else
			used += (size_t)snprintf(path + used, size - used, "%%%02X", c);
	}
}

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		int error = -errno;

		close(fd);
		return error == -ENOENT ? -ECONNREFUSED : error;
	}
	return fd;
}

/* One line for a person: to whom the caller said, or to stderr. */
__attribute__((format(printf, 2, 3))) static void say(const struct client *c, const char *format,
						      ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (c->say)
		c->say(c->say_user, text);
	else
		fprintf(stderr, "oncpu: %s\n", text);
}

/* A line with its end cut off. −EPROTO: longer than allowed. 0 = the end. */
static ssize_t read_line(FILE *f, char *line)
{
	size_t n;

	if (!fgets(line, LINE_MAX_BYTES, f))
		return 0;
	n = strlen(line);
	if (!n || line[n - 1] != '\n')
		return feof(f) ? (ssize_t)n : -EPROTO;
	line[--n] = 0;
	if (n && line[n - 1] == '\r')
		line[--n] = 0;
	return (ssize_t)n + 1; /* an empty line is not the end */
}

struct body {
	FILE *f;
	const struct client *client;
	bool chunked, over;
	bool sized;		 /* it says how long it is, or its chunks do */
	bool cut;		 /* it ended before it was whole */
	unsigned long long left; /* of the chunk, or of the whole */
};

/* What the agent found out while it answered. */
static void read_trailers(const struct body *b)
{
	char line[1024];

	while (fgets(line, sizeof(line), b->f) && line[0] != '\r' && line[0] != '\n')
		if (!strncasecmp(line, "Oncpu-Warning:", 14))
			say(b->client, "warning:%.*s", (int)strcspn(line + 14, "\r\n"), line + 14);
}

static int body_byte(struct body *b)
{
	char line[64];
	int c;

	if (b->over)
		return EOF;
	if (!b->left && b->chunked) {
		if (!fgets(line, sizeof(line), b->f))
			return b->cut = b->over = true, EOF;
		if (line[0] == '\r' || line[0] == '\n') { /* after the chunk before */
			if (!fgets(line, sizeof(line), b->f))
				return b->cut = b->over = true, EOF;
		}
		b->left = strtoull(line, NULL, 16);
		if (!b->left)
			read_trailers(b);
	}
	if (!b->left)
		return b->over = true, EOF;
	b->left--;
	c = fgetc(b->f);
	b->cut |= c == EOF && b->sized;
	return c;
}

static int deliver(struct body *b, char *line, line_fn visit, void *user)
{
	size_t n = 0;
	int c, error = 0;

	while (!error && (c = body_byte(b)) != EOF) {
		if (c == '\n') {
			line[n] = 0;
			error = n ? visit(user, line, n) : 0;
			n = 0;
		} else if (n + 1 == LINE_MAX_BYTES) {
			error = -EPROTO;
		} else {
			line[n++] = (char)c;
		}
	}
	line[n] = 0;
	return error ? error : n && !b->cut ? visit(user, line, n) : 0;
}

static int print_problem(void *user, const char *line, size_t length)
{
	json_t *problem = json_loadb(line, length, 0, NULL);
	const char *detail = json_string_value(json_object_get(problem, "detail"));

	say(user, "the agent says: %s", detail ? detail : line);
	json_decref(problem);
	return 0;
}

static int no_answer(const struct client *c)
{
	say(c,
	    "what answers at %s is no agent of this version, or it ended meanwhile (ask again, or "
	    "name another with --socket)",
	    c->socket);
	return -EPROTO;
}

/* Not by stdio: an agent that ends meanwhile is an error, and not the end of us by SIGPIPE. */
static int send_request(const struct client *c, const char *path, int fd)
{
	_cleanup_free_ char *request = NULL;
	int n = asprintf(&request,
			 "GET %s HTTP/1.1\r\nHost: oncpu\r\nConnection: close\r\n%s%s\r\n", path,
			 c->header ? c->header : "", c->header ? "\r\n" : "");

	if (n < 0) {
		request = NULL;
		return -ENOMEM;
	}
	return send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EPIPE;
}

/* Up to the empty line behind the headers. 0, -EPROTO, or -ENODATA: it ended before any. */
static int read_head(struct body *body, char *line, int *ret_status)
{
	ssize_t n;

	n = read_line(body->f, line);
	if (n <= 0)
		return n ? -EPROTO : -ENODATA;
	if (sscanf(line, "HTTP/1.%*d %d", ret_status) != 1)
		return -EPROTO;
	while ((n = read_line(body->f, line)) > 1 || (n == 1 && line[0])) {
		if (!strncasecmp(line, "Transfer-Encoding: chunked", 26)) {
			body->chunked = body->sized = true;
			body->left = 0;
		} else if (!strncasecmp(line, "Content-Length:", 15) && !body->chunked) {
			body->left = strtoull(line + 15, NULL, 10);
			body->sized = true;
		} else if (!strncasecmp(line, "Oncpu-Degraded:", 15)) {
			say(body->client, "the agent is degraded:%s", line + 15);
		}
	}
	return 0;
}

void client_cancel(struct client_cancel *cancel)
{
	int error = errno;

	cancel->requested = 1;
	if (cancel->fd)
		shutdown(cancel->fd - 1, SHUT_RDWR);
	errno = error;
}

static int converse(const struct client *c, const char *path, FILE *f, line_fn visit, void *user)
{
	_cleanup_free_ char *line = malloc(LINE_MAX_BYTES);
	struct body body = { .left = ~0ull, .client = c, .f = f };
	int status = 0, error;

	if (!line)
		return -ENOMEM;
	error = send_request(c, path, fileno(f));
	if (error)
		return error;
	errno = 0;
	error = read_head(&body, line, &status);
	if (error == -ENODATA && errno == EAGAIN)
		return -ETIMEDOUT;
	if (error)
		return error == -EPROTO ? no_answer(c) : error;
	if (status == 200)
		error = deliver(&body, line, visit, user);
	else
		error = deliver(&body, line, print_problem, (void *)(uintptr_t)c);
	if (!error && body.cut)
		return errno == EAGAIN ? -ETIMEDOUT : -ECONNRESET;
	if (status == 200 && error == -EPROTO)
		return no_answer(c);
	return status == 200 ? error : -EPROTO;
}

int client_get(const struct client *c, const char *path, line_fn visit, void *user)
{
	struct timeval patience = { .tv_sec = c->timeout_s };
	struct client_cancel none = { 0 }, *cancel = c->cancel ? c->cancel : &none;
	_cleanup_file_ FILE *f = NULL;
	int fd = dial(c->socket), error = -ECANCELED;
	sig_atomic_t before;

	if (fd < 0)
		return fd;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	if (c->timeout_s)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	before = cancel->fd; /* a visitor may ask something else in the middle of an answer */
	cancel->fd = fd + 1;
	if (!cancel->requested) /* from here on the handler sees the connection */
		error = converse(c, path, f, visit, user);
	cancel->fd = before;
	return cancel->requested ? -ECANCELED : error;
}

int client_lines(const char *socket_path, const char *path, line_fn visit, void *user)
{
	struct client c = { .socket = socket_path };
	int error = client_get(&c, path, visit, user);

	if (error == -ENODATA)
		return no_answer(&c);
	if (error != -ECONNRESET)
		return error;
	say(&c, "the agent's answer broke off, it is not whole (ask again; the agent's log says "
		"why)");
	return -EPROTO;
}
