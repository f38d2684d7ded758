/* SPDX-License-Identifier: GPL-2.0 */
/* What a gateway reports, out of its JSON. */
#ifndef ONCPU_API_BOUNDARIES_H
#define ONCPU_API_BOUNDARIES_H

#include "api/routes.h"

/*
 * {"cgroup":"/path"|"pid":N,"boundary":"start"|"response"|"end","id":"…","status":"ok"}; nothing
 * else, nothing twice. 0, or -EINVAL with what is wrong in error. Pure.
 */
int api_boundary_parse(const char *body, size_t size, struct api_boundary *ret_boundary,
		       char error[API_BOUNDARY_ERROR_LEN]);

#endif
