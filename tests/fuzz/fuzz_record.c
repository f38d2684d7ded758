// SPDX-License-Identifier: GPL-2.0
/*
 * Any record at all, with any bytes for ids and names, is one line of JSON that a strict reader
 * takes, and its numbers come back as they went in.
 */
#include <jansson.h>

#include "core/billing.h"
#include "core/record_json.h"
#include "tests/fuzz/fuzz.h"

static void end_text(char *text, size_t size)
{
	text[size - 1] = '\0';
}
#define END_TEXT(field) end_text(field, sizeof(field))

static json_t *read_back(const char *line, int n)
{
	json_error_t error;
	json_t *o;

	PROMISE(n > 0 && (size_t)n == strlen(line) && !strchr(line, '\n'));
	o = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!o)
		fprintf(stderr, "%s\n%s\n", line, error.text);
	PROMISE(o);
	return o;
}

static int64_t number(const json_t *o, const char *name)
{
	const json_t *field = json_object_get(o, name);

	PROMISE(json_is_integer(field));
	return (int64_t)json_integer_value(field);
}

static void invocation(struct input *in)
{
	static char line[RECORD_JSON_MAX];
	struct invocation_record r;
	json_t *o;

	take(in, &r, sizeof(r));
	r.seal.position &= INT64_MAX; /* counted up from 1 */
	END_TEXT(r.host);
	END_TEXT(r.boot_id);
	END_TEXT(r.function);
	END_TEXT(r.instance);
	END_TEXT(r.version);
	r.cold_start = ((const unsigned char *)&r.cold_start)[0] & 1;
	r.id_len %= sizeof(r.id) + 1;
	r.continues_len %= sizeof(r.continues) + 1;
	r.segment_count %= RECORD_MAX_SEGMENTS + 1;
	r.extension_count %= RECORD_MAX_EXTENSIONS + 1;
	for (uint32_t i = 0; i < r.extension_count; i++)
		r.extensions[i].name_len %= sizeof(r.extensions[i].name) + 1;
	billing_apply(policies_embedded(), &r);
	PROMISE(r.billed_count <= RECORD_MAX_BILLED);
	for (uint32_t i = 0; i < r.billed_count; i++)
		PROMISE(r.billed[i].billed_ns >= 0);
	o = read_back(line, invocation_record_json(&r, line, sizeof(line)));
	PROMISE(number(o, "wall_ns") == r.wall_ns && number(o, "cpu_ns") == r.cpu_ns);
	json_decref(o);
}

static void instance(struct input *in)
{
	static char line[RECORD_JSON_MAX];
	struct instance_record r;
	json_t *o;

	take(in, &r, sizeof(r));
	r.seal.position &= INT64_MAX; /* counted up from 1 */
	END_TEXT(r.host);
	END_TEXT(r.boot_id);
	END_TEXT(r.function);
	END_TEXT(r.instance);
	r.uid &= INT64_MAX; /* they are counted up from 1 */
	r.cgroup_id &= INT64_MAX;
	o = read_back(line, instance_record_json(&r, line, sizeof(line)));
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	if (take_byte(&in) & 1)
		instance(&in);
	else
		invocation(&in);
	return 0;
}
