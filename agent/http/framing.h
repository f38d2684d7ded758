/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What libmicrohttpd lets through and we do not: Content-Length together with Transfer-Encoding,
 * several Content-Lengths, codings other than "chunked" (each a way to smuggle a second request
 * past whoever stands in front).
 */
#ifndef ONCPU_HTTP_FRAMING_H
#define ONCPU_HTTP_FRAMING_H

#include <microhttpd.h>

/* What is wrong with the request's framing; NULL = unambiguous. */
const char *framing_problem(struct MHD_Connection *connection);

#endif
