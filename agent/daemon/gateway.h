/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Boundaries that a gateway reports through the API: which instance is meant, and that its boundary
 * is made, by the attacher, through the pinned program. The worker's side.
 *
 * Accuracy: the boundary stands where the call arrived, so it is late by what the call took.
 */
#ifndef ONCPU_DAEMON_GATEWAY_H
#define ONCPU_DAEMON_GATEWAY_H

#include "api/routes.h"
#include "kern/kern.h"

/* `socket`: to the attacher. 0 or -errno, with one line of what is wrong in error: -ENOENT (no
 * instance there), -EBUSY (its holder makes its boundaries), -EPIPE (the attacher is gone). */
int gateway_report(int socket, const struct kern_view *view, const struct api_boundary *boundary,
		   struct api_boundary_done *ret_done, char error[API_BOUNDARY_ERROR_LEN]);

#endif
