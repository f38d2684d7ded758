/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may ask what. A unix socket's file mode says who reaches it; TCP has no such thing: on
 * loopback the Host header must name this host (a page from elsewhere, whose name was bound to
 * 127.0.0.1 behind its back, does not), and where a token is set every request must show it.
 */
#ifndef ONCPU_API_ACCESS_H
#define ONCPU_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "http/server.h"

#define ACCESS_TOKEN_LEN 257 /* NUL included */
#define ACCESS_TOKEN_LEAST 16
#define ACCESS_ERROR_LEN 512

/* One way in. */
struct access_door {
	bool tcp;
	bool loopback;	   /* of TCP */
	const char *token; /* "" = none; borrowed */
	gid_t group;	   /* of the unix socket, beside root may report boundaries; -1 = none */
};

/* http_config.admit, its user a struct access_door. */
int access_admit(void *door, struct http_request *request, const char *path);
/* May this one say where invocations begin and end? */
bool access_may_report(const struct access_door *door, struct http_request *request);

/* The first line of a file that others may not read. 0, or -errno with one line in error. */
int access_token_read(const char *path, char ret_token[ACCESS_TOKEN_LEN],
		      char error[ACCESS_ERROR_LEN]);
/* "Bearer TOKEN", in a time that tells nothing of where the two differ. Pure. */
bool access_token_fits(const char *token, const char *authorization);
/* "localhost", 127.x.y.z or [::1], with any port. Pure. */
bool access_host_is_loopback(const char *host);

#endif
