/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An HTTP server for exchanges that may wait: requests with a body, and answers that come when they
 * come (a long poll, an invocation). For one event loop and one thread.
 *
 * The owner accepts sockets itself and hands them in with a tag (whose they are); puts
 * exchanges_fd() into its epoll (level-triggered) and calls exchanges_run() when it is readable.
 * Callbacks run inside exchanges_run(). There is no idle time-out: the peer of a frozen process is
 * silent for as long as it takes.
 *
 * Every exchange gets `on_request` once, when its body is whole (or too large: see
 * exchange_body), and `on_done` once, after which it does not exist. In between the owner answers
 * it, once, from wherever it likes.
 */
#ifndef ONCPU_HTTP_EXCHANGE_H
#define ONCPU_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

struct exchanges;
struct exchange;

struct exchanges_config {
	unsigned max_connections;
	size_t connection_memory; /* of the headers; touched as far as used */
	size_t max_body;	  /* bytes kept; the rest of a longer one is read and dropped */
	/* NULL = max_body for all; else asked once, with the headers in: how much of this one's */
	size_t (*limit)(void *user, struct exchange *x);
	/* NULL, or: more of the body is there, which may be taken away now (exchange_take_body). */
	void (*on_piece)(void *user, struct exchange *x);
	void *user;
	void (*on_request)(void *user, struct exchange *x);
	/* `delivered`: the whole answer went to the kernel. Else the client is gone. */
	void (*on_done)(void *user, struct exchange *x, bool delivered);
};

/* 0, -ENOMEM, -EIO. */
int exchanges_new(const struct exchanges_config *config, struct exchanges **ret_exchanges);
void exchanges_free(struct exchanges **exchanges); /* on_done of all; NULL-safe, clears */
int exchanges_fd(const struct exchanges *e);
/* Never from inside a callback. 1: more is to do at once; 0; -EIO. What was answered before is in
 * the sockets after it, as far as they take it. */
int exchanges_run(struct exchanges *e);
/* Something was answered outside exchanges_run(): it wants to be called without waiting. */
bool exchanges_pending(const struct exchanges *e);
/* Takes a connected, non-blocking socket, also on failure. 0, -EMFILE (too many), -EIO. */
int exchanges_adopt(struct exchanges *e, int fd, void *tag);
/* Ends every connection with this tag, answered or not. */
void exchanges_drop(struct exchanges *e, const void *tag);
unsigned exchanges_open(const struct exchanges *e);

void *exchange_tag(const struct exchange *x);
const char *exchange_method(const struct exchange *x);
const char *exchange_path(const struct exchange *x); /* without the query */
/* NULL = not given. Of a header or a trailer; of the query. Valid until the answer. */
const char *exchange_header(struct exchange *x, const char *name);
const char *exchange_trailer(struct exchange *x, const char *name);
const char *exchange_query(struct exchange *x, const char *name);
/* The body, *ret_size bytes and a NUL; NULL if it was longer than max_body. */
const char *exchange_body(const struct exchange *x, size_t *ret_size);
/* Takes the body away; free() it. */
char *exchange_take_body(struct exchange *x, size_t *ret_size);

/* For the owner: what it hangs on the exchange. */
void exchange_set_data(struct exchange *x, void *data);
void *exchange_data(const struct exchange *x);

/* A header of the answer to come; control characters become spaces. -ENOSPC after 12. */
int exchange_add_header(struct exchange *x, const char *name, const char *value);
/* `body` is copied. A second answer to the same exchange is dropped. */
void exchange_answer(struct exchange *x, unsigned status, const char *content_type,
		     const void *body, size_t size);
/* `body` is the exchange's from here on (malloc). */
void exchange_answer_taking(struct exchange *x, unsigned status, const char *content_type,
			    char *body, size_t size);
/* An answer in pieces: its head; then what there is, as it comes; then its end, or a hang-up. What
 * the client does not take yet is kept: the owner bounds it. Nothing happens once the client has
 * gone. */
void exchange_stream(struct exchange *x, unsigned status, const char *content_type);
int exchange_stream_write(struct exchange *x, const void *data, size_t size); /* 0, -ENOMEM */
void exchange_stream_end(struct exchange *x);
/* Ends the connection without an answer. */
void exchange_hang_up(struct exchange *x);
bool exchange_answered(const struct exchange *x);

#endif
