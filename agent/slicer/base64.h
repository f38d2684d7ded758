/* SPDX-License-Identifier: GPL-2.0 */
/* Base64 as of RFC 4648, with padding. Pure. */
#ifndef ONCPU_SLICER_BASE64_H
#define ONCPU_SLICER_BASE64_H

#include <stddef.h>

#define BASE64_ROOM(n) (((n) + 2) / 3 * 4 + 1)

/* Writes BASE64_ROOM(n) bytes, the last one a NUL. */
void base64_encode(const void *from, size_t n, char *to);
/* The bytes, malloc()ed, with a NUL after them; NULL = it is no base64, or no memory. */
char *base64_decode(const char *text, size_t *ret_size);

#endif
