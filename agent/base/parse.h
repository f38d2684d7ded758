/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Strict parsing of numbers that people write: the whole string or nothing, no blanks, no sign but
 * '-', decimal only. -EINVAL: not such a number. -ERANGE: one, but out of the bounds. Outputs only
 * on success.
 */
#ifndef ONCPU_BASE_PARSE_H
#define ONCPU_BASE_PARSE_H

#include <stdint.h>

int parse_int64(const char *text, int64_t min, int64_t max, int64_t *ret_value);
int parse_uint64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* "90s", "7d", "250ms": a whole number and one of ns us ms s m h d w. Only "0" may go without. */
int parse_duration_ns(const char *text, int64_t *ret_ns);

/* "16MiB", "4096", "2GB": a whole number, then B (or nothing), KiB MiB GiB TiB, kB MB GB TB. */
int parse_bytes(const char *text, uint64_t *ret_bytes);

#endif
