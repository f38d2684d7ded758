/* SPDX-License-Identifier: GPL-2.0 */
/* SHA-256, and HMAC-SHA-256 with a key: the only file that sees libcrypto. */
#ifndef ONCPU_BASE_DIGEST_H
#define ONCPU_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_KEY_LEAST 16
#define DIGEST_KEY_MAX 256
#define DIGEST_METHOD_LEN 32 /* "hmac-sha256:0123456789abcdef", NUL included */
#define DIGEST_ERROR_LEN 512

struct digest_key {
	size_t length; /* 0 = none: plain SHA-256 */
	uint8_t bytes[DIGEST_KEY_MAX];
};

/* The bytes of a file that others may not read, without a newline at their end. 0, or -errno with
 * one line in error. */
int digest_key_read(const char *path, struct digest_key *ret_key, char error[DIGEST_ERROR_LEN]);

struct digest;								  /* for one thread */
int digest_new(const struct digest_key *key, struct digest **ret_digest); /* -ENOMEM, -ENOTSUP */
void digest_free(struct digest **digest);
/* Of the two one behind the other. 0, -EIO. */
int digest_of(struct digest *digest, const void *first, size_t first_length, const void *second,
	      size_t second_length, uint8_t ret_bytes[DIGEST_BYTES]);
/* "sha256", or "hmac-sha256:" and what tells one key from another without telling the key. */
const char *digest_method(const struct digest *digest);

#endif
