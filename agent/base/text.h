/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Questions about bytes that came from outside: are they UTF-8, are they fit to show?
 */
#ifndef ONCPU_BASE_TEXT_H
#define ONCPU_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Length (1 to 4) of the well-formed UTF-8 sequence at the head of `bytes`, 0 when there is none
 * (Unicode 15 table 3-7: no overlong forms, no surrogates, nothing past U+10FFFF). The code point
 * goes to *ret_code_point unless the result is 0.
 */
size_t text_decode(const char *bytes, size_t n, uint32_t *ret_code_point);

/* Valid UTF-8 without control characters (C0, DEL, C1). No bytes at all are clean. */
bool text_is_clean(const char *bytes, size_t n);

#endif
