// SPDX-License-Identifier: GPL-2.0
/* What a gateway posts to /v1/boundaries. */
#include <errno.h>

#include "api/boundaries.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[API_BOUNDARY_ERROR_LEN] = "";
	struct api_boundary b;
	char *body = malloc(size + 1);
	int r;

	memcpy(body, data, size);
	body[size] = '\0';
	r = api_boundary_parse(body, size, &b, error);
	free(body);
	PROMISE(r == 0 || (r == -EINVAL && error[0]));
	if (r)
		return 0;
	PROMISE(!b.pid == !!b.cgroup[0] && b.pid >= 0 && b.pid != 1);
	PROMISE(memchr(b.cgroup, 0, sizeof(b.cgroup)) && !strstr(b.cgroup, "/../"));
	PROMISE(b.kind == ONCPU_EV_START || b.kind == ONCPU_EV_RESPONSE || b.kind == ONCPU_EV_END);
	PROMISE(b.id_len <= sizeof(b.id) && (b.kind == ONCPU_EV_END || b.status == 0));
	return 0;
}
