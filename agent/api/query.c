// SPDX-License-Identifier: GPL-2.0
/* Query strings: bounded and checked before anything is asked. Pure. */
#include "api/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "base/text.h"

/* Exactly `digits` decimal digits. */
static bool take_digits(const char **at, int digits, int *ret_value)
{
	int value = 0;

	for (int i = 0; i < digits; i++, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return false;
		value = value * 10 + (**at - '0');
	}
	*ret_value = value;
	return true;
}

static bool take_char(const char **at, char wanted)
{
	if (**at != wanted)
		return false;
	(*at)++;
	return true;
}

static bool take_fraction(const char **at, int64_t *ret_ns)
{
	int64_t unit = 100000000;

	*ret_ns = 0;
	if (**at != '.')
		return true;
	(*at)++;
	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
		*ret_ns += (**at - '0') * unit;
	return true;
}

static int parse_rfc3339(const char *at, int64_t *ret_ns)
{
	int year, month, day, hour, minute, second;
	struct tm tm = { 0 }, back;
	int64_t fraction;
	time_t seconds;

	if (!take_digits(&at, 4, &year) || !take_char(&at, '-') || !take_digits(&at, 2, &month) ||
	    !take_char(&at, '-') || !take_digits(&at, 2, &day) || !take_char(&at, 'T') ||
	    !take_digits(&at, 2, &hour) || !take_char(&at, ':') || !take_digits(&at, 2, &minute) ||
	    !take_char(&at, ':') || !take_digits(&at, 2, &second) ||
	    !take_fraction(&at, &fraction) || strcmp(at, "Z") != 0)
		return -EINVAL;
	if (year < 1970 || year > 2261 || hour > 23 || minute > 59 || second > 59)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	back = tm;
	seconds = timegm(&back);
	/* timegm() turns a 31st of June into a 1st of July: no such day was meant */
	if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday)
		return -EINVAL;
	*ret_ns = (int64_t)seconds * 1000000000 + fraction;
	return 0;
}

int api_time_parse(const char *text, int64_t now_realtime_ns, int64_t *ret_realtime_ns)
{
	int64_t ns;

	if (parse_int64(text, 0, INT64_MAX, &ns) == 0) {
		*ret_realtime_ns = ns;
		return 0;
	}
	if (strchr(text, 'T'))
		return parse_rfc3339(text, ret_realtime_ns);
	if (parse_duration_ns(text, &ns) || ns < 0 || ns > now_realtime_ns)
		return -EINVAL;
	*ret_realtime_ns = now_realtime_ns - ns;
	return 0;
}

static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	/* an empty name is found everywhere, and would never be passed */
	for (const char *at = list; n && (at = strstr(at, name)); at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

static int refuse(char error[QUERY_ERROR_LEN], const char *name, const char *cause)
{
	snprintf(error, QUERY_ERROR_LEN, "%.32s %s", name, cause);
	return -EINVAL;
}

int api_cursor_format(const struct ledger_place *place, char buffer[QUERY_CURSOR_LEN])
{
	int n = snprintf(buffer, QUERY_CURSOR_LEN, "%lld.%u.%lld.%lld", (long long)place->hour,
			 place->suffix, (long long)place->end_realtime_ns, (long long)place->key);

	return n > 0 && n < QUERY_CURSOR_LEN ? 0 : -ENOSPC;
}

/* Numbers with dots between them; nothing that they could say does more than read elsewhere. */
int api_cursor_parse(const char *text, struct ledger_place *ret_place)
{
	int64_t part[4];

	for (int i = 0; i < 4; i++) {
		size_t n = strcspn(text, ".");
		char number[24];

		if (n >= sizeof(number) || (i < 3) != (text[n] == '.'))
			return -EINVAL;
		memcpy(number, text, n);
		number[n] = '\0';
		if (parse_int64(number, INT64_MIN, INT64_MAX, &part[i]))
			return -EINVAL;
		text += n + 1;
	}
	if (part[1] < 0 || part[1] > UINT32_MAX)
		return -EINVAL;
	*ret_place = (struct ledger_place){ .hour = part[0],
					    .suffix = (uint32_t)part[1],
					    .end_realtime_ns = part[2],
					    .key = part[3] };
	return 0;
}

static int set_status(struct api_query *query, const char *value, char error[QUERY_ERROR_LEN])
{
	for (int32_t i = 0; i < ONCPU_STATUS_COUNT; i++) {
		if (strcmp(record_status_name(i), value) == 0) {
			query->statuses |= 1u << i;
			return 0;
		}
	}
	return refuse(error, "status", "is none of ok, error, timeout, crashed, suspended");
}

static int set_fields(struct api_query *query, const char *value, char error[QUERY_ERROR_LEN])
{
	char unknown[33];

	if (fields_parse(value, query->fields, unknown) == 0)
		return 0;
	snprintf(error, QUERY_ERROR_LEN, "fields: no record has a field \"%s\"", unknown);
	return -EINVAL;
}

int api_query_check(struct api_query *query, char error[QUERY_ERROR_LEN])
{
	if (query->cursor.hour != INT64_MAX && query->limit == 0)
		query->limit = QUERY_PAGE_DEFAULT;
	if (query->limit && query->last)
		return refuse(error, "last",
			      "and limit do not go together (limit pages, last does not)");
	return 0;
}

int api_query_set(struct api_query *query, const char *allowed, int64_t now_realtime_ns,
		  const char *name, const char *value, size_t length, char error[QUERY_ERROR_LEN])
{
	int64_t *when;

	if (!listed(allowed, name)) {
		snprintf(error, QUERY_ERROR_LEN, "there is no parameter %.32s here; known: %s",
			 name, allowed);
		return -EINVAL;
	}
	if (strcmp(name, "id") == 0) {
		if (length == 0 || length > sizeof(query->id))
			return refuse(error, name, "is not 1 to 64 bytes long");
		memcpy(query->id, value, length);
		query->id_len = length;
		return 0;
	}
	if (strlen(value) != length)
		return refuse(error, name, "holds a NUL byte");
	if (strcmp(name, "function") == 0) {
		if (length == 0 || length >= sizeof(query->function) ||
		    !text_is_clean(value, length))
			return refuse(error, name, "is not 1 to 63 bytes of clean text");
		memcpy(query->function, value, length + 1);
		return 0;
	}
	if (strcmp(name, "policy") == 0) {
		size_t used = strlen(query->policies);

		if (length == 0 || used + length + 2 > sizeof(query->policies))
			return refuse(error, name, "is no list of names of policies, or too long");
		snprintf(query->policies + used, sizeof(query->policies) - used, "%s%s",
			 used ? "," : "", value);
		return 0;
	}
	if (strcmp(name, "last") == 0)
		return parse_uint64(value, 1, 1000000000, &query->last)
			       ? refuse(error, name, "is no whole number from 1 to 1000000000")
			       : 0;
	if (strcmp(name, "limit") == 0)
		return parse_uint64(value, 1, QUERY_PAGE_MOST, &query->limit)
			       ? refuse(error, name, "is no whole number from 1 to 1000")
			       : 0;
	if (strcmp(name, "cursor") == 0)
		return api_cursor_parse(value, &query->cursor)
			       ? refuse(error, name, "is none of ours (take Oncpu-Next-Cursor's)")
			       : 0;
	if (strcmp(name, "status") == 0)
		return set_status(query, value, error);
	if (strcmp(name, "fields") == 0)
		return set_fields(query, value, error);
	when = strcmp(name, "since") == 0 ? &query->since_realtime_ns : &query->until_realtime_ns;
	if (api_time_parse(value, now_realtime_ns, when))
		return refuse(
			error, name,
			"is no time (ns since the epoch, RFC 3339 with Z, or an age like 15m)");
	return 0;
}

struct ledger_query api_query_ledger(const struct api_query *query)
{
	return (struct ledger_query){ .function = query->function[0] ? query->function : NULL,
				      .id = query->id_len ? query->id : NULL,
				      .id_len = query->id_len,
				      .since_realtime_ns = query->since_realtime_ns,
				      .until_realtime_ns = query->until_realtime_ns,
				      .last = query->last,
				      .statuses = query->statuses };
}
