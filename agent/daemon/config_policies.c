// SPDX-License-Identifier: GPL-2.0
/* The file of billing policies, read whole and bounded; core/policy_parse.c checks what is in it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/config.h"

static int read_whole(const char *path, char **ret_text, size_t *ret_size,
		      char error[CONFIG_ERROR_LEN])
{
	_cleanup_file_ FILE *file = fopen(path, "re");
	_cleanup_free_ char *text = malloc(POLICIES_MAX_BYTES + 1);
	int code = file ? 0 : -errno;
	size_t size = 0;

	if (!text) {
		snprintf(error, CONFIG_ERROR_LEN, "%s: out of memory", path);
		return -ENOMEM;
	}
	if (file) {
		errno = 0;
		size = fread(text, 1, POLICIES_MAX_BYTES + 1, file);
		if (ferror(file))
			code = errno ? -errno : -EIO;
	}
	if (code) {
		snprintf(error, CONFIG_ERROR_LEN,
			 "%s: %s (name another file of policies, or none for the built-in ones)",
			 path, strerror(-code));
		return code;
	}
	*ret_text = take_ptr(text);
	*ret_size = size;
	return 0;
}

int config_policies(const char *path, const char *host_policy, struct policies **ret_policies,
		    char error[CONFIG_ERROR_LEN])
{
	_cleanup_free_ char *text = NULL;
	char cause[POLICY_ERROR_LEN];
	size_t size = 0;
	int err = 0;

	if (path && !*path)
		path = NULL;
	if (host_policy && !*host_policy)
		host_policy = NULL;
	if (path)
		err = read_whole(path, &text, &size, error);
	if (err)
		return err;
	err = policies_parse(path, text, size, host_policy, ret_policies, cause);
	if (err)
		snprintf(error, CONFIG_ERROR_LEN, "%s", cause);
	return err;
}
