// SPDX-License-Identifier: GPL-2.0
/*
 * Defaults, derived values and checks of the configuration. Reading the file is config_file.c's.
 */
#include "daemon/config.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

void config_defaults(struct agent_config *config)
{
	memset(config, 0, sizeof(*config));
	snprintf(config->state_dir, sizeof(config->state_dir), "%s", CONFIG_DEFAULT_STATE_DIR);
	snprintf(config->socket, sizeof(config->socket), "%s", CONFIG_DEFAULT_SOCKET);
	config->log_level = LOG_LEVEL_INFO;
	config->max_instances = 4096;
	config->max_threads = 65536;
	config->ring_bytes = 16u << 20;
	config->retention_seconds = 30ull * 86400;
	config->reorder_ms = 100;
	config->audit_ns = CONFIG_DEFAULT_AUDIT_NS;
}

/* Bytes that it takes to turn one word into the other, at most 8 of interest. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[64], diagonal, above;
	size_t n = strnlen(b, 63);

	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; i < 63 && a[i]; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < n; j++) {
			above = row[j + 1];
			unsigned best = diagonal + (a[i] != b[j]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
			diagonal = above;
		}
	}
	return row[n];
}

const char *config_nearest(const char *word, const char *const *names)
{
	const char *best = NULL;
	unsigned best_distance = 5;

	for (; *names; names++) {
		unsigned distance = edit_distance(word, *names);

		if (distance < best_distance && distance < strlen(*names)) {
			best_distance = distance;
			best = *names;
		}
	}
	return best;
}

__attribute__((format(printf, 3, 4))) static int refuse(char error[CONFIG_ERROR_LEN], int code,
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, CONFIG_ERROR_LEN, format, arguments);
	va_end(arguments);
	return code;
}

/* One spelling per directory, for the hash: absolute, no trailing slash. */
static int make_absolute(char path[CONFIG_PATH_LEN], char error[CONFIG_ERROR_LEN])
{
	char here[PATH_MAX], whole[PATH_MAX + CONFIG_PATH_LEN + 1];
	size_t n;

	if (path[0] != '/') {
		if (!getcwd(here, sizeof(here)))
			return refuse(error, -errno, "the working directory cannot be named: %s",
				      strerror(errno));
		n = (size_t)snprintf(whole, sizeof(whole), "%s/%s", here, path);
		if (n >= CONFIG_PATH_LEN)
			return refuse(
				error, -ENAMETOOLONG,
				"state_dir %s is longer than %d bytes (choose a shorter path)",
				whole, CONFIG_PATH_LEN - 1);
		memcpy(path, whole, n + 1);
	}
	for (n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	return 0;
}

int config_pin_dir(const char *state_dir, char *buffer, size_t size)
{
	char path[CONFIG_PATH_LEN], unused[CONFIG_ERROR_LEN];
	uint32_t hash = 2166136261u; /* FNV-1a */
	int n;

	if (snprintf(path, sizeof(path), "%s", state_dir) >= (int)sizeof(path) ||
	    make_absolute(path, unused))
		return -ENAMETOOLONG;
	if (strcmp(path, CONFIG_DEFAULT_STATE_DIR) == 0) {
		n = snprintf(buffer, size, "%s", CONFIG_DEFAULT_PIN_DIR);
	} else {
		for (const char *c = path; *c; c++)
			hash = (hash ^ (unsigned char)*c) * 16777619u;
		n = snprintf(buffer, size, "%s-%08x", CONFIG_DEFAULT_PIN_DIR, hash);
	}
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int config_facts(const struct agent_config *config, const char *function,
		 struct function_facts *ret_facts)
{
	for (size_t i = 0; i < config->function_count; i++) {
		if (strcmp(config->functions[i].name, function) == 0) {
			*ret_facts = config->functions[i].facts;
			return 0;
		}
	}
	return -ENOENT;
}

static int check_limits(const struct agent_config *config, char error[CONFIG_ERROR_LEN])
{
	if (config->ring_bytes < 65536 || (config->ring_bytes & (config->ring_bytes - 1)))
		return refuse(error, -EINVAL,
			      "ring_bytes = %u is no power of two of at least 64KiB (try 16MiB)",
			      config->ring_bytes);
	if (config->max_instances == 0 || config->max_instances >= 1u << ONCPU_INSTANCE_BITS)
		return refuse(error, -EINVAL, "max_instances = %u is not within 1 to %u",
			      config->max_instances, (1u << ONCPU_INSTANCE_BITS) - 1);
	if (config->max_threads < 2 || config->max_threads > 1u << 22)
		return refuse(error, -EINVAL, "max_threads = %u is not within 2 to %u",
			      config->max_threads, 1u << 22);
	if (config->socket[0] != '/')
		return refuse(error, -EINVAL, "socket = %s is no absolute path (begin it with /)",
			      config->socket);
	if (!text_is_clean(config->host, strlen(config->host)))
		return refuse(error, -EINVAL, "the host name is no clean text (set host)");
	return 0;
}

int config_finish(struct agent_config *config, char error[CONFIG_ERROR_LEN])
{
	int err = make_absolute(config->state_dir, error);

	if (err)
		return err;
	if (!config->pin_dir[0] &&
	    config_pin_dir(config->state_dir, config->pin_dir, sizeof(config->pin_dir)))
		return refuse(error, -ENAMETOOLONG, "pin_dir is too long");
	if (!config->user[0])
		snprintf(config->user, sizeof(config->user), "%s",
			 getpwnam("oncpu") ? "oncpu" : CONFIG_SPARE_USER);
	if (!config->host[0] && gethostname(config->host, sizeof(config->host) - 1))
		return refuse(error, -errno, "the host has no name of at most %zu bytes (set host)",
			      sizeof(config->host) - 1);
	return check_limits(config, error);
}
