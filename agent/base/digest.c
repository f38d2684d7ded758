// SPDX-License-Identifier: GPL-2.0
/* See digest.h. libcrypto's contexts are made once: fetching an algorithm takes longer than using
 * it. */
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

struct digest {
	EVP_MD *sha256;
	EVP_MD_CTX *plain;
	EVP_MAC *hmac;
	EVP_MAC_CTX *keyed; /* NULL without a key */
	char method[DIGEST_METHOD_LEN];
};

int digest_key_read(const char *path, struct digest_key *ret_key, char error[DIGEST_ERROR_LEN])
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint8_t bytes[DIGEST_KEY_MAX + 2];
	struct digest_key key = { 0 };
	struct stat status;
	ssize_t n;
	int err;

	if (fd < 0 || fstat(fd, &status) || (n = read(fd, bytes, sizeof(bytes))) < 0) {
		err = -errno;
		snprintf(error, DIGEST_ERROR_LEN, "the key file %s cannot be read: %s", path,
			 strerror(-err));
		return err;
	}
	if (!S_ISREG(status.st_mode) || status.st_mode & (S_IRWXO | S_IWGRP)) {
		snprintf(error, DIGEST_ERROR_LEN,
			 "the key file %s is no plain file, or open to others (chmod 600 it)",
			 path);
		return -EPERM;
	}
	while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	if (n < DIGEST_KEY_LEAST || n > DIGEST_KEY_MAX) {
		snprintf(error, DIGEST_ERROR_LEN,
			 "the key file %s has not %d to %d bytes (make one: openssl rand -hex 32)",
			 path, DIGEST_KEY_LEAST, DIGEST_KEY_MAX);
		return -EINVAL;
	}
	key.length = (size_t)n;
	memcpy(key.bytes, bytes, key.length);
	*ret_key = key;
	return 0;
}

static int digest_plain(struct digest *d, const void *first, size_t first_length,
			const void *second, size_t second_length, uint8_t bytes[DIGEST_BYTES])
{
	return EVP_DigestInit_ex2(d->plain, d->sha256, NULL) &&
			       EVP_DigestUpdate(d->plain, first, first_length) &&
			       EVP_DigestUpdate(d->plain, second, second_length) &&
			       EVP_DigestFinal_ex(d->plain, bytes, NULL)
		       ? 0
		       : -EIO;
}

static int use_key(struct digest *d, const struct digest_key *key)
{
	static const char id_of[] = "oncpu: which key is this?";
	char sha256[] = "SHA256";
	OSSL_PARAM parameters[] = { OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 6),
				    OSSL_PARAM_END };
	uint8_t id[DIGEST_BYTES];
	size_t used;

	d->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	d->keyed = d->hmac ? EVP_MAC_CTX_new(d->hmac) : NULL;
	if (!d->keyed || !EVP_MAC_init(d->keyed, key->bytes, key->length, parameters))
		return -ENOTSUP;
	if (digest_of(d, id_of, sizeof(id_of) - 1, "", 0, id))
		return -EIO;
	used = (size_t)snprintf(d->method, sizeof(d->method), "hmac-sha256:");
	for (size_t i = 0; i < 8; i++)
		used += (size_t)snprintf(d->method + used, sizeof(d->method) - used, "%02x", id[i]);
	return 0;
}

int digest_new(const struct digest_key *key, struct digest **ret_digest)
{
	struct digest *d = calloc(1, sizeof(*d));
	int err = 0;

	if (!d)
		return -ENOMEM;
	snprintf(d->method, sizeof(d->method), "sha256");
	d->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	d->plain = EVP_MD_CTX_new();
	if (!d->sha256 || !d->plain)
		err = -ENOTSUP;
	else if (key && key->length)
		err = use_key(d, key);
	if (err) {
		digest_free(&d);
		return err;
	}
	*ret_digest = d;
	return 0;
}

void digest_free(struct digest **digest)
{
	struct digest *d = *digest;

	if (!d)
		return;
	EVP_MAC_CTX_free(d->keyed);
	EVP_MAC_free(d->hmac);
	EVP_MD_CTX_free(d->plain);
	EVP_MD_free(d->sha256);
	free(d);
	*digest = NULL;
}

int digest_of(struct digest *d, const void *first, size_t first_length, const void *second,
	      size_t second_length, uint8_t ret_bytes[DIGEST_BYTES])
{
	uint8_t bytes[DIGEST_BYTES];
	size_t length = 0;

	if (!d->keyed) {
		if (digest_plain(d, first, first_length, second, second_length, bytes))
			return -EIO;
	} else if (!EVP_MAC_init(d->keyed, NULL, 0, NULL) ||
		   !EVP_MAC_update(d->keyed, first, first_length) ||
		   !EVP_MAC_update(d->keyed, second, second_length) ||
		   !EVP_MAC_final(d->keyed, bytes, &length, sizeof(bytes)) ||
		   length != sizeof(bytes)) {
		return -EIO;
	}
	memcpy(ret_bytes, bytes, sizeof(bytes));
	return 0;
}

const char *digest_method(const struct digest *d)
{
	return d->method;
}
