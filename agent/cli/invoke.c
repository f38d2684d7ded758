// SPDX-License-Identifier: GPL-2.0
/* oncpu invoke: one call of a function of oncpu run, over plain HTTP. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "slicer/slicer.h"

#define PAYLOAD_MAX (6u << 20)

struct call {
	const char *name, *data, *file, *endpoint;
	bool event, log, cpu;
	char *payload;
	size_t size;
};

static int dial(const char *endpoint)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found;
	const char *colon;
	char host[256];
	int fd = -1;

	if (!strncmp(endpoint, "http://", 7))
		endpoint += 7;
	colon = strrchr(endpoint, ':');
	if (!colon || (size_t)(colon - endpoint) >= sizeof(host)) {
		command_fail("--endpoint %s is not ADDRESS:PORT", endpoint);
		return -1;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - endpoint), endpoint);
	if (getaddrinfo(host, colon + 1, &hints, &found)) {
		command_fail("%s is not known", endpoint);
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen)) {
		command_fail("nobody answers at %s: %s (start oncpu run, or name it with "
			     "--endpoint)",
			     endpoint, strerror(errno));
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static int read_payload(struct call *c)
{
	_cleanup_file_ FILE *f = NULL;

	if (!c->file) {
		c->payload = strdup(c->data ? c->data : "{}");
		c->size = strlen(c->payload);
		return 0;
	}
	f = strcmp(c->file, "-") ? fopen(c->file, "re") : fdopen(dup(0), "r");
	c->payload = malloc(PAYLOAD_MAX + 1);
	if (!f || !c->payload)
		return command_fail("%s: %s", c->file, strerror(errno));
	c->size = fread(c->payload, 1, PAYLOAD_MAX + 1, f);
	return 0;
}

static int send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int send_request(const struct call *c, int fd)
{
	char head[1024];
	int n = snprintf(head, sizeof(head),
			 "POST /2015-03-31/functions/%s/invocations HTTP/1.1\r\nHost: oncpu\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n%s%s%s"
			 "Connection: close\r\n\r\n",
			 c->name, c->size, c->event ? "X-Amz-Invocation-Type: Event\r\n" : "",
			 c->log ? "X-Amz-Log-Type: Tail\r\n" : "",
			 c->cpu ? "X-Oncpu-Cpu: 1\r\n" : "");

	if (n < 0 || (size_t)n >= sizeof(head))
		return -E2BIG;
	n = send_all(fd, head, (size_t)n);
	return n ? n : send_all(fd, c->payload, c->size);
}

static char *receive_all(int fd, size_t *ret_size)
{
	size_t size = 0, room = 65536;
	char *text = malloc(room + 1), *grown;
	ssize_t n;

	while (text && (n = recv(fd, text + size, room - size, 0)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		size += (size_t)n;
		if (size < room)
			continue;
		room *= 2;
		grown = room > 64u << 20 ? NULL : realloc(text, room + 1);
		if (!grown)
			break;
		text = grown;
	}
	if (text)
		text[size] = '\0';
	*ret_size = size;
	return text;
}

static const char *header(const char *head, const char *name)
{
	static char value[8192];
	const char *at = strcasestr(head, name);
	size_t n;

	if (!at || at[strlen(name)] != ':')
		return NULL;
	at += strlen(name) + 1;
	while (*at == ' ')
		at++;
	n = strcspn(at, "\r\n");
	snprintf(value, sizeof(value), "%.*s", (int)n, at);
	return value;
}

static void print_base64(const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;

	for (; *text && strchr(digits, *text); text++) {
		bits = bits << 6 | (unsigned)(strchr(digits, *text) - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			fputc((int)(bits >> have & 255), stderr);
		}
	}
}

/* What the front refuses with is JSON; people want its sentence. */
static int say_refusal(const char *name, const char *body, size_t size)
{
	json_t *root = json_loadb(body, size, 0, NULL);
	const char *text = json_string_value(json_object_get(root, "Message"));
	int code = text ? command_fail("%s: %s", name, text)
			: command_fail("%s: %.*s", name, (int)size, body);

	json_decref(root);
	return code;
}

static int print_answer(const struct call *c, char *answer, size_t size)
{
	char *body = strstr(answer, "\r\n\r\n");
	int status = 0;
	const char *value;
	bool failed;

	if (!body || sscanf(answer, "HTTP/1.1 %d", &status) != 1)
		return command_fail("the answer is no HTTP (is it oncpu run that listens there?)");
	*body = '\0';
	body += 4;
	failed = header(answer, "X-Amz-Function-Error");
	if (status >= 300)
		return say_refusal(c->name, body, size - (size_t)(body - answer));
	if (c->log && (value = header(answer, "X-Amz-Log-Result")))
		print_base64(value);
	if (c->cpu && (value = header(answer, "X-Oncpu-Cpu-Ns")))
		fprintf(stderr, "on-CPU %s ns\n", value);
	fwrite(body, 1, size - (size_t)(body - answer), stdout);
	if (!c->event)
		fputc('\n', stdout);
	return failed ? 3 : 0;
}

static int call(struct call *c)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *answer = NULL;
	size_t size;
	int error;

	if (read_payload(c))
		return 1;
	fd = dial(c->endpoint);
	if (fd < 0)
		return 1;
	error = send_request(c, fd);
	if (error && error != -EPIPE && error != -ECONNRESET)
		return command_fail("the call broke off: %s", strerror(-error));
	answer = receive_all(fd, &size);
	if (!answer || !size)
		return command_fail("%s ended the call without an answer", c->endpoint);
	return print_answer(c, answer, size);
}

static int command_invoke(int argc, char **argv)
{
	struct call c = { .endpoint = SLICER_DEFAULT_LISTEN };
	int option, code;

	while ((option = command_next(&invoke_command, argc, argv)) != -1) {
		switch (option) {
		case 'd':
			c.data = optarg;
			break;
		case 'f':
			c.file = optarg;
			break;
		case 'e':
			c.endpoint = optarg;
			break;
		case 'E':
			c.event = true;
			break;
		case 'l':
			c.log = true;
			break;
		case 'c':
			c.cpu = true;
			break;
		default:
			return command_misused("invoke", argc, argv);
		}
	}
	if (optind + 1 != argc)
		return command_fail("invoke needs the name of one function"), 2;
	c.name = argv[optind];
	if (c.data && c.file)
		return command_fail("invoke takes --data or --file, not both"), 2;
	if (strpbrk(c.name, " /?\r\n") || strlen(c.name) > 200)
		return command_fail("%s is no function's name", c.name), 2;
	code = call(&c);
	free(c.payload);
	return code;
}

static const struct command_option options[] = {
	{ "data", 'd', "JSON", "the payload ({})" },
	{ "file", 'f', "FILE", "the payload's file, - for stdin" },
	{ "event", 'E', NULL, "do not wait for the answer" },
	{ "log", 'l', NULL, "print the end of the invocation's log, on stderr" },
	{ "cpu", 'c', NULL, "print its on-CPU time until the answer, on stderr" },
	{ "endpoint", 'e', "ADDRESS:PORT", "where oncpu run listens (127.0.0.1:9000)" },
	OPTIONS_END,
};
const struct command invoke_command = {
	.name = "invoke",
	.summary = "call a function of oncpu run",
	.options = options,
	.synopsis = "NAME [OPTION...]",
	.description = "Prints the answer.",
	.exits = "Exits 0; 3 when the function failed; 1 when it could not be called; 2 when "
		 "misused.",
	.examples = "  oncpu invoke hello --data '{\"name\":\"Ada\"}'",
	.section = 1,
	.run = command_invoke,
};
