// SPDX-License-Identifier: GPL-2.0
/* See seal.h. Pure. */
#include "core/seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"

enum { MEMBERS_MAX = 96 };

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int write_value(struct json_writer *w, const json_t *value);

/* `without`: a string that is left out, or NULL. */
static int write_array(struct json_writer *w, const json_t *array, const char *without)
{
	const json_t *element;
	int err = 0;
	size_t i;

	jw_array_open(w);
	json_array_foreach(array, i, element)
	{
		if (without && json_is_string(element) &&
		    !strcmp(json_string_value(element), without))
			continue;
		if (!err)
			err = write_value(w, element);
	}
	jw_array_close(w);
	return err;
}

/* A time in whole milliseconds, or not, is a matter of how it is written. */
static int write_billed_ms(struct json_writer *w, const json_t *value)
{
	int64_t ns;

	if (!json_is_integer(value) ||
	    __builtin_mul_overflow((int64_t)json_integer_value(value), 1000000, &ns))
		return -EINVAL;
	jw_key_int64(w, "billed_ns", ns);
	return 0;
}

static bool is_sealed(const char *name)
{
	return strcmp(name, "integrity") != 0 && strcmp(name, "doubt") != 0;
}

/* The record itself, or an object within it. */
static int write_object(struct json_writer *w, const json_t *object, bool is_record)
{
	const char *names[MEMBERS_MAX], *name,
		*later = is_record && json_is_object(json_object_get(object, "doubt"))
				 ? record_flag_name(RECORD_FLAG_AUDIT_MISMATCH)
				 : NULL;
	size_t count = 0;
	json_t *value;
	int err = 0;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (json_is_null(value) || (is_record && !is_sealed(name)))
			continue;
		if (count == MEMBERS_MAX)
			return -EINVAL;
		names[count++] = name;
	}
	qsort(names, count, sizeof(names[0]), compare_names);
	jw_object_open(w);
	for (size_t i = 0; i < count && !err; i++) {
		value = json_object_get(object, names[i]);
		if (!strcmp(names[i], "billed_ms")) {
			err = write_billed_ms(w, value);
			continue;
		}
		/* as a string first: a name from outside may need escapes */
		if (strpbrk(names[i], "\"\\"))
			return -EINVAL;
		jw_key(w, names[i]);
		err = later && !strcmp(names[i], "flags") && json_is_array(value)
			      ? write_array(w, value, later)
			      : write_value(w, value);
	}
	jw_object_close(w);
	return err;
}

static int write_value(struct json_writer *w, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_object(w, value, false);
	case JSON_ARRAY:
		return write_array(w, value, NULL);
	case JSON_STRING:
		jw_bytes(w, json_string_value(value), json_string_length(value));
		return 0;
	case JSON_INTEGER:
		jw_int64(w, json_integer_value(value));
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		jw_bool(w, json_is_true(value));
		return 0;
	case JSON_NULL: /* in an array */
		jw_null(w);
		return 0;
	default:
		return -EINVAL;
	}
}

int seal_canonical(const json_t *record, char *buffer, size_t size)
{
	struct json_writer w;
	int err;

	if (!json_is_object(record))
		return -EINVAL;
	jw_begin(&w, buffer, size);
	err = write_object(&w, record, true);
	return err ? err : jw_end(&w);
}

int seal_canonical_line(const char *line, size_t length, char *buffer, size_t size)
{
	json_t *record = json_loadb(line, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	int n = record ? seal_canonical(record, buffer, size) : -EINVAL;

	json_decref(record);
	return n;
}

static int read_hash(const json_t *seal, const char *name, uint8_t hash[32])
{
	const char *text = json_string_value(json_object_get(seal, name));
	unsigned byte;

	if (!text || strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
		return -EINVAL;
	for (size_t i = 0; i < 32; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		hash[i] = (uint8_t)byte;
	}
	return 0;
}

int seal_of(const json_t *record, struct record_seal *ret_seal)
{
	const json_t *seal = json_object_get(record, "integrity"),
		     *position = json_object_get(seal, "position");
	struct record_seal found = { 0 };

	if (!seal || json_is_null(seal)) {
		*ret_seal = found;
		return 0;
	}
	if (!json_is_integer(position) || json_integer_value(position) < 1 ||
	    read_hash(seal, "previous", found.previous) || read_hash(seal, "hash", found.hash))
		return -EINVAL;
	found.position = (uint64_t)json_integer_value(position);
	*ret_seal = found;
	return 0;
}

void seal_pack(const struct record_seal *seal, uint8_t bytes[SEAL_BYTES])
{
	for (size_t i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(seal->position >> (56 - 8 * i));
	memcpy(bytes + 8, seal->previous, 32);
	memcpy(bytes + 40, seal->hash, 32);
}

void seal_unpack(const uint8_t bytes[SEAL_BYTES], struct record_seal *ret_seal)
{
	ret_seal->position = 0;
	for (size_t i = 0; i < 8; i++)
		ret_seal->position = ret_seal->position << 8 | bytes[i];
	memcpy(ret_seal->previous, bytes + 8, 32);
	memcpy(ret_seal->hash, bytes + 40, 32);
}
