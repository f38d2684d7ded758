/* SPDX-License-Identifier: GPL-2.0 */
/* Tells the supervisor how we are (sd_notify's protocol, written by hand). */
#ifndef ONCPU_DAEMON_NOTIFY_H
#define ONCPU_DAEMON_NOTIFY_H

/* Sends e.g. "READY=1" to $NOTIFY_SOCKET. 1 = sent, 0 = nobody asked for it, -errno. */
int notify_supervisor(const char *state);

#endif
