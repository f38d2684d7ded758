// SPDX-License-Identifier: GPL-2.0
/* See fields.h. Which names there are is asked of the writer of records itself. */
#include "api/fields.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/record_json.h"

/* Past a string that begins here. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at < end ? at + 1 : end;
}

/* Past a value: at the comma or bracket behind it. */
static const char *skip_value(const char *at, const char *end)
{
	int depth = 0;

	while (at < end) {
		if (*at == '"') {
			at = skip_string(at, end);
			continue;
		}
		if (depth == 0 && (*at == ',' || *at == '}'))
			break;
		depth += *at == '{' || *at == '[';
		depth -= *at == '}' || *at == ']';
		at++;
	}
	return at;
}

static bool is_wanted(const char *fields, const char *name, size_t n)
{
	for (const char *at = fields; (at = strchr(at, ',')) && at[1]; at++)
		if (strncmp(at + 1, name, n) == 0 && at[1 + n] == ',')
			return true;
	return false;
}

size_t fields_pick(char *line, size_t n, const char *fields)
{
	const char *at = line + 1, *end = line + n;
	size_t used = 1;

	while (at < end && *at == '"') {
		const char *name = at + 1, *name_end = skip_string(at, end);
		const char *after = skip_value(name_end + 1, end);

		if (is_wanted(fields, name, (size_t)(name_end - 1 - name))) {
			if (used > 1)
				line[used++] = ',';
			memmove(line + used, at, (size_t)(after - at));
			used += (size_t)(after - at);
		}
		at = after + 1;
	}
	line[used++] = '}';
	return used;
}

/* A record in which every optional member is there. */
static int every_member(char *line, size_t size)
{
	struct invocation_record record = { .id = "\x01",
					    .id_len = 1,
					    .continues = "\x01",
					    .continues_len = 1,
					    .status = -1,
					    .marks_lost = 1,
					    .events_lost = 1,
					    .doubt.cause = "?",
					    .seal = { .position = 1 } };

	return invocation_record_json(&record, line, size);
}

int fields_parse(const char *list, char ret_fields[FIELDS_LEN], char ret_unknown[33])
{
	char line[RECORD_JSON_MAX], one[FIELDS_LEN], fields[FIELDS_LEN];
	int n = every_member(line, sizeof(line)), length;
	size_t left, name;

	snprintf(ret_unknown, 33, "%s", list);
	length = snprintf(fields, sizeof(fields), ",%s,", list);
	if (n < 0 || length < 3 || (size_t)length >= sizeof(fields))
		return -EINVAL;
	for (const char *at = fields + 1; *at; at += name + 1) {
		char copy[RECORD_JSON_MAX];

		name = strcspn(at, ",");
		snprintf(one, sizeof(one), ",%.*s,", (int)name, at);
		memcpy(copy, line, (size_t)n);
		left = fields_pick(copy, (size_t)n, one);
		if (name > 0 && left > 2)
			continue;
		snprintf(ret_unknown, 33, "%.*s", (int)name, at);
		return -EINVAL;
	}
	memcpy(ret_fields, fields, (size_t)length + 1);
	return 0;
}
