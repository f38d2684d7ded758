/* SPDX-License-Identifier: GPL-2.0 */
/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): for telling apart, not against
 * forgery. */
#ifndef ONCPU_BASE_FNV_H
#define ONCPU_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_BASIS 0xcbf29ce484222325ull

/* `hash`: FNV_BASIS, or of what came before. */
static inline uint64_t fnv(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *b = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ b[i]) * 0x100000001b3ull;
	return hash;
}

#endif
