// SPDX-License-Identifier: GPL-2.0
/* Anything at all on an instance's Runtime API or on the Invoke front: each exchange is asked once
 * and ends once, with a body no larger than what is kept, and nothing stays open. */
#include <fcntl.h>
#include <sys/socket.h>

#include "http/exchange.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_BODY = 5000 };
static struct exchanges *all;
static unsigned asked, done;
static struct exchange *waiting;

static void on_request(void *user, struct exchange *x)
{
	const char *body, *name = exchange_header(x, "Lambda-Runtime-Function-Response-Mode");
	size_t size;

	(void)user;
	asked++;
	body = exchange_body(x, &size);
	PROMISE(exchange_method(x) && exchange_path(x));
	PROMISE(!body || (size <= MAX_BODY && body[size] == '\0'));
	exchange_query(x, "until");
	exchange_trailer(x, "Lambda-Runtime-Function-Error-Type");
	if (name)
		exchange_add_header(x, "X-Echo", name);
	if (!strncmp(exchange_path(x), "/w", 2) &&
	    !waiting) { /* a long poll that is never answered */
		waiting = x;
		return;
	}
	if (!strncmp(exchange_path(x), "/h", 2)) {
		exchange_hang_up(x);
		return;
	}
	exchange_answer(x, body ? 202 : 413, "application/json", "{}", 2);
	exchange_answer(x, 500, "text/plain", "twice", 5); /* is dropped */
}

static void on_done(void *user, struct exchange *x, bool delivered)
{
	(void)user;
	(void)delivered;
	done++;
	if (x == waiting)
		waiting = NULL;
}

static void run(void)
{
	for (int i = 0; i < 64 && (exchanges_run(all) > 0 || exchanges_pending(all)); i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exchanges_config config = { .max_connections = 8,
					   .connection_memory = 16 << 10,
					   .max_body = MAX_BODY,
					   .on_request = on_request,
					   .on_done = on_done };
	char answer[4096];
	size_t half;
	int pair[2];

	if (!all)
		PROMISE(exchanges_new(&config, &all) == 0);
	if (size > 60000)
		return 0;
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	PROMISE(exchanges_adopt(all, pair[0], &config) == 0);
	half = size > 1 ? data[0] % size : size;
	send(pair[1], data, half, MSG_NOSIGNAL);
	run();
	send(pair[1], data + half, size - half, MSG_NOSIGNAL);
	run();
	while (recv(pair[1], answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	close(pair[1]);
	run();
	exchanges_drop(all, &config);
	run();
	PROMISE(!waiting && asked <= done && exchanges_open(all) == 0);
	asked = done = 0;
	return 0;
}
