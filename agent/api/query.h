/* SPDX-License-Identifier: GPL-2.0 */
/* The query string of the ledger's routes, checked. */
#ifndef ONCPU_API_QUERY_H
#define ONCPU_API_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "api/fields.h"
#include "core/record.h"
#include "ledger/ledger.h"

#define QUERY_ERROR_LEN 256

struct api_query {
	char function[ONCPU_NAME_LEN]; /* "" = all */
	char id[ONCPU_ID_LEN];
	size_t id_len; /* 0 = all */
	int64_t since_realtime_ns, until_realtime_ns;
	uint64_t last;
	uint32_t statuses; /* 1 << enum oncpu_status, 0 = all */
	uint64_t limit;	   /* a page of this many, newest first; 0 = no page */
	struct ledger_place cursor;
	char policies[1024];	 /* names with commas between, as asked for; "" = the default */
	char fields[FIELDS_LEN]; /* as fields_pick() takes them, "" = all */
};
#define QUERY_PAGE_MOST 1000
#define QUERY_PAGE_DEFAULT 100

/*
 * Sets one parameter. `allowed` is a list like "function id last". 0, or -EINVAL with what is
 * wrong in error. Pure.
 */
int api_query_set(struct api_query *query, const char *allowed, int64_t now_realtime_ns,
		  const char *name, const char *value, size_t length, char error[QUERY_ERROR_LEN]);

/* "1769860800123456789", "2026-01-31T12:00:00[.fraction]Z" or "15m" (ago). 0 or -EINVAL. Pure. */
int api_time_parse(const char *text, int64_t now_realtime_ns, int64_t *ret_realtime_ns);

/* What no single parameter shows, once all are set. Likewise. */
int api_query_check(struct api_query *query, char error[QUERY_ERROR_LEN]);

/* A place as text for "cursor=", and back. 0, -ENOSPC; -EINVAL. Pure. */
#define QUERY_CURSOR_LEN 96
int api_cursor_format(const struct ledger_place *place, char buffer[QUERY_CURSOR_LEN]);
int api_cursor_parse(const char *text, struct ledger_place *ret_place);

/* The same as the ledger takes it; points into *query. */
struct ledger_query api_query_ledger(const struct api_query *query);

#endif
