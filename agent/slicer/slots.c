// SPDX-License-Identifier: GPL-2.0
/* See slots.h. */
#include "slicer/slots.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "slicer/telemetry.h"

#define INDEX_BITS 16u
#define WHAT_BITS 5u
_Static_assert(SLICER_INSTANCES < 1 << INDEX_BITS, "an index fits");
_Static_assert(SLOT_DELIVERY + FUNCTION_EXTENSIONS <= 1 << WHAT_BITS, "what happened fits");

static uint64_t name_of(const struct instance *i)
{
	return (uint64_t)i->generation << INDEX_BITS | (i->index + 1);
}

static struct instance *find(struct front *f, uint64_t name)
{
	uint32_t index = (uint32_t)(name & ((1u << INDEX_BITS) - 1)) - 1;
	struct instance *i = index < SLICER_INSTANCES ? f->instances[index] : NULL;

	return i && i->generation == name >> INDEX_BITS ? i : NULL;
}

void *slot_tag(const struct instance *i)
{
	return (void *)(uintptr_t)name_of(i);
}

struct instance *slot_of_tag(struct front *f, const void *tag)
{
	return find(f, (uint64_t)(uintptr_t)tag);
}

uint64_t slot_event(const struct instance *i, enum slot_event what)
{
	return name_of(i) << WHAT_BITS | what;
}

struct instance *slot_of_event(struct front *f, uint64_t event, enum slot_event *ret_what)
{
	*ret_what = (enum slot_event)(event & ((1u << WHAT_BITS) - 1));
	return find(f, event >> WHAT_BITS);
}

static int open_listener(int *ret_fd, unsigned *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&address, &length)) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	*ret_port = ntohs(address.sin_port);
	return 0;
}

int instance_start(struct front *f, struct function *function)
{
	struct instance *i;
	uint32_t index = 0;
	int error;

	while (index < SLICER_INSTANCES && f->instances[index])
		index++;
	if (index == SLICER_INSTANCES)
		return -EAGAIN;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->log = i->extension_log = -1;
	error = open_listener(&i->listener, &i->port);
	if (error) {
		log_warning("no address for an instance of %s: %s", function->facts->name,
			    strerror(-error));
		free(i);
		return error;
	}
	i->front = f;
	i->function = function;
	i->index = index;
	i->generation = ++f->generation;
	i->state = STARTING;
	f->instances[index] = i;
	f->highest = index >= f->highest ? index + 1 : f->highest;
	function->instances++;
	i->deadline_ns = front_now() + (uint64_t)function->facts->init_ms * 1000000;
	front_ask(f, i, KEEPER_SPAWN, NULL, 0, false);
	return 0;
}

void instance_free(struct instance *i)
{
	struct front *f = i->front;

	f->instances[i->index] = NULL;
	i->function->instances--;
	while (f->highest && !f->instances[f->highest - 1])
		f->highest--;
	exchanges_drop(f->exchanges, slot_tag(i));
	close(i->listener);
	if (i->log >= 0)
		close(i->log);
	if (i->extension_log >= 0)
		close(i->extension_log);
	telemetry_free(i);
	free(i->init_error);
	free(i);
}
