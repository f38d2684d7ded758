// SPDX-License-Identifier: GPL-2.0
/* Answers in pieces: libmicrohttpd asks for the next one, and is suspended where there is none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/exchange_internal.h"

#define BLOCK_BYTES (64u << 10)

static ssize_t on_read(void *user, uint64_t position, char *buffer, size_t size)
{
	struct exchange *x = user;
	size_t left = x->out_size - x->out_sent;

	(void)position;
	if (x->hang_up || x->of->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!left && x->out_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!left) {
		MHD_suspend_connection(x->connection);
		x->suspended = true;
		exchange_watch(x);
		return 0;
	}
	size = size < left ? size : left;
	memcpy(buffer, x->out + x->out_sent, size);
	x->out_sent += size;
	if (x->out_sent == x->out_size)
		x->out_sent = x->out_size = 0;
	return (ssize_t)size;
}

void exchange_stream(struct exchange *x, unsigned status, const char *content_type)
{
	if (x->answered)
		return;
	x->streams = true;
	exchange_answer_with(
		x, status, content_type,
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, x, NULL));
}

static bool out_grow(struct exchange *x, size_t more)
{
	size_t capacity = x->out_capacity ? x->out_capacity : BLOCK_BYTES;
	char *grown;

	if (x->out_size + more <= x->out_capacity)
		return true;
	while (capacity < x->out_size + more)
		capacity *= 2;
	grown = realloc(x->out, capacity);
	if (!grown)
		return false;
	x->out = grown;
	x->out_capacity = capacity;
	return true;
}

int exchange_stream_write(struct exchange *x, const void *data, size_t size)
{
	if (!x->streams || x->out_ended || x->hang_up)
		return 0;
	if (!out_grow(x, size)) {
		exchange_hang_up(x); /* what is missing in the middle must not look whole */
		return -ENOMEM;
	}
	memcpy(x->out + x->out_size, data, size);
	x->out_size += size;
	exchange_wake(x);
	return 0;
}

void exchange_stream_end(struct exchange *x)
{
	x->out_ended = true;
	exchange_wake(x);
}
