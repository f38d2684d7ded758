// SPDX-License-Identifier: GPL-2.0
/* Strict number parsing. Pure functions, no state, no locale. */
#include "base/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60000000000 },
	{ "h", 3600000000000 },
	{ "d", 86400000000000 },
	{ "w", 604800000000000 },
	{ NULL, 0 },
};

static const struct unit byte_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "kB", 1000 },
	{ "MB", 1000000 },
	{ "GB", 1000000000 },
	{ "TB", 1000000000000 },
	{ "KiB", 1ull << 10 },
	{ "MiB", 1ull << 20 },
	{ "GiB", 1ull << 30 },
	{ "TiB", 1ull << 40 },
	{ NULL, 0 },
};

/* Digits at the head of `text`. An overflow is told only after all of them were seen to be digits.
 */
static int parse_digits(const char *text, uint64_t *ret_value, const char **ret_rest)
{
	const char *at = text;
	bool overflow = false;
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		overflow |= __builtin_mul_overflow(value, 10u, &value);
		overflow |= __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value);
	}
	if (at == text)
		return -EINVAL;
	*ret_rest = at;
	*ret_value = value;
	return overflow ? -ERANGE : 0;
}

int parse_uint64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	const char *rest = "";
	uint64_t value = 0;
	int r = parse_digits(text, &value, &rest);

	if (r == -EINVAL || *rest != '\0')
		return -EINVAL;
	if (r < 0 || value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_int64(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
	bool negative = *text == '-';
	uint64_t limit = (uint64_t)INT64_MAX + negative, magnitude;
	int64_t value;
	int r = parse_uint64(text + negative, 0, limit, &magnitude);

	if (r < 0)
		return r;
	value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t max,
			   uint64_t *ret_value)
{
	const char *rest = "";
	uint64_t value = 0;
	int r = parse_digits(text, &value, &rest);

	if (r == -EINVAL)
		return r;
	while (units->name && strcmp(units->name, rest) != 0)
		units++;
	if (!units->name)
		return -EINVAL;
	if (r < 0 || __builtin_mul_overflow(value, units->factor, &value) || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_duration_ns(const char *text, int64_t *ret_ns)
{
	uint64_t value;
	int r;

	if (strcmp(text, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	r = parse_with_unit(text, duration_units, INT64_MAX, &value);
	if (r < 0)
		return r;
	*ret_ns = (int64_t)value;
	return 0;
}

int parse_bytes(const char *text, uint64_t *ret_bytes)
{
	return parse_with_unit(text, byte_units, UINT64_MAX, ret_bytes);
}
