/* SPDX-License-Identifier: GPL-2.0 */
/* The query string of the ledger's routes, checked. */
#ifndef ONCPU_API_QUERY_H
#define ONCPU_API_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "core/record.h"
#include "ledger/ledger.h"

#define QUERY_ERROR_LEN 256

struct api_query {
	char function[ONCPU_NAME_LEN]; /* "" = all */
	char id[ONCPU_ID_LEN];
	size_t id_len; /* 0 = all */
	int64_t since_realtime_ns, until_realtime_ns;
	uint64_t last;
};

/*
 * Sets one parameter. `allowed` is a list like "function id last". 0, or -EINVAL with what is
 * wrong in error. Pure.
 */
int api_query_set(struct api_query *query, const char *allowed, int64_t now_realtime_ns,
		  const char *name, const char *value, size_t length, char error[QUERY_ERROR_LEN]);

/* "1769860800123456789", "2026-01-31T12:00:00[.fraction]Z" or "15m" (ago). 0 or -EINVAL. Pure. */
int api_time_parse(const char *text, int64_t now_realtime_ns, int64_t *ret_realtime_ns);

/* The same as the ledger takes it; points into *query. */
struct ledger_query api_query_ledger(const struct api_query *query);

#endif
