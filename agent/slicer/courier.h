/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Carries one body at a time to an HTTP server on 127.0.0.1: a POST on a connection of its own.
 * Never waits: its owner's epoll says when to go on. Of the answer only the status counts; the rest
 * is read and dropped, so that the peer can end in peace. A peer can neither make it allocate nor
 * keep it from anything but this one body.
 */
#ifndef ONCPU_SLICER_COURIER_H
#define ONCPU_SLICER_COURIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum courier_step { COURIER_GOES_ON, COURIER_CONNECTED, COURIER_DONE, COURIER_FAILED };

struct courier {
	int fd; /* −1 = there is no connection */
	unsigned port;
	char path[128], host[128];
	char head[512], answer[16];
	char *body;
	size_t head_size, body_size, sent, got;
	bool connected, answered;
};

/* `body` is the courier's from here on, also on failure. 0, or -errno: nothing is under way. */
int courier_start(struct courier *c, char *body, size_t size);
/* Whenever the descriptor is readable or writable. COURIER_CONNECTED once, before anything is sent:
 * the owner looks whom it speaks to. DONE: a status of 2xx; FAILED: no such. */
enum courier_step courier_go_on(struct courier *c);
bool courier_is_busy(const struct courier *c); /* it has a body that is under way */
/* The epoll events to wait for now. */
uint32_t courier_wants(const struct courier *c);
/* Gives up; takes the body out, free() it, NULL = there is none. */
char *courier_stop(struct courier *c, size_t *ret_size);

#endif
