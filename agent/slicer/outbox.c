// SPDX-License-Identifier: GPL-2.0
/* See protocol.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "slicer/protocol.h"

static int try_send(int socket, const struct keeper_request *request)
{
	while (send(socket, request, sizeof(*request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int keep(struct outbox *box, const struct keeper_request *request)
{
	size_t capacity = box->capacity ? 2 * box->capacity : 64;
	struct keeper_request *grown;

	if (box->first && box->first + box->count == box->capacity) {
		memmove(box->waiting, box->waiting + box->first,
			box->count * sizeof(*box->waiting));
		box->first = 0;
	}
	if (box->count == box->capacity) {
		grown = realloc(box->waiting, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		box->waiting = grown;
		box->capacity = capacity;
	}
	box->waiting[box->first + box->count++] = *request;
	return 0;
}

int outbox_send(struct outbox *box, const struct keeper_request *request)
{
	int error = box->count ? -EAGAIN : try_send(box->socket, request);

	return error == -EAGAIN ? keep(box, request) : error;
}

int outbox_flush(struct outbox *box)
{
	while (box->count) {
		int error = try_send(box->socket, &box->waiting[box->first]);

		if (error)
			return error == -EAGAIN ? 0 : error;
		box->first++;
		box->count--;
	}
	box->first = 0;
	return 0;
}

void outbox_free(struct outbox *box)
{
	free(box->waiting);
	memset(box, 0, sizeof(*box));
}
