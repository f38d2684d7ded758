/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest client that the agent's socket needs: one GET, an answer of lines. Reads what the
 * agent may send (Content-Length, chunked, or until the end), holds one line at a time.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
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
			fprintf(stderr, "oncpu: warning:%.*s\n", (int)strcspn(line + 14, "\r\n"),
				line + 14);
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

static int print_problem(void *unused, const char *line, size_t length)
{
	json_t *problem = json_loadb(line, length, 0, NULL);
	const char *detail = json_string_value(json_object_get(problem, "detail"));

	(void)unused;
	fprintf(stderr, "oncpu: the agent says: %s\n", detail ? detail : line);
	json_decref(problem);
	return 0;
}

static int no_answer(const char *path)
{
	fprintf(stderr,
		"oncpu: what answers at %s is no agent of this version, or it ended "
		"meanwhile (ask again, or name another with --socket)\n",
		path);
	return -EPROTO;
}

static int broken_off(void)
{
	fprintf(stderr, "oncpu: the agent's answer broke off, it is not whole (ask again; the "
			"agent's log says why)\n");
	return -EPROTO;
}

/* Not by stdio: an agent that ends meanwhile is an error, and not the end of us by SIGPIPE. */
static int ask(int fd, const char *path)
{
	_cleanup_free_ char *request = NULL;
	int n = asprintf(&request, "GET %s HTTP/1.1\r\nHost: oncpu\r\nConnection: close\r\n\r\n",
			 path);

	if (n < 0) {
		request = NULL;
		return -ENOMEM;
	}
	return send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EPIPE;
}

int client_lines(const char *socket_path, const char *path, line_fn visit, void *user)
{
	_cleanup_free_ char *line = malloc(LINE_MAX_BYTES);
	_cleanup_file_ FILE *f = NULL;
	struct body body = { .left = ~0ull };
	int fd = dial(socket_path), status = 0, error;
	ssize_t n;

	if (fd < 0)
		return fd;
	f = fdopen(fd, "r");
	if (!line || !f)
		return -ENOMEM;
	error = ask(fd, path);
	if (error)
		return error;
	if (read_line(f, line) <= 0 || sscanf(line, "HTTP/1.%*d %d", &status) != 1)
		return no_answer(socket_path);
	while ((n = read_line(f, line)) > 1 || (n == 1 && line[0])) {
		if (!strncasecmp(line, "Transfer-Encoding: chunked", 26)) {
			body.chunked = body.sized = true;
			body.left = 0;
		} else if (!strncasecmp(line, "Content-Length:", 15) && !body.chunked) {
			body.left = strtoull(line + 15, NULL, 10);
			body.sized = true;
		} else if (!strncasecmp(line, "Oncpu-Degraded:", 15)) {
			fprintf(stderr, "oncpu: the agent is degraded:%s\n", line + 15);
		}
	}
	body.f = f;
	error = deliver(&body, line, status == 200 ? visit : print_problem, user);
	if (!error && body.cut)
		return broken_off();
	if (status == 200 && error == -EPROTO)
		return no_answer(socket_path);
	return status == 200 ? error : -EPROTO;
}
