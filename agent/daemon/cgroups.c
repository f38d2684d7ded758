// SPDX-License-Identifier: GPL-2.0
/*
 * Can there be cgroups at the configured paths? One that is not there yet is nothing wrong: it is
 * measured from its first process on. A path at which none can ever be is a mistake.
 */
#include "daemon/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define NEAR_MAX 64 /* directories looked at for a name that was meant */

__attribute__((format(printf, 4, 5))) static int refuse(const struct agent_config *config, size_t i,
							char error[CONFIG_ERROR_LEN],
							const char *format, ...)
{
	int n = snprintf(error, CONFIG_ERROR_LEN, "%s:%u: ", config->config_path,
			 config->pattern_lines[i]);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error + n, (size_t)(CONFIG_ERROR_LEN - n), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* The directory whose name is nearest; "" = none is near. */
static void find_near(const char *directory, const char *name, char near[NAME_MAX + 1])
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t seen = 0;

	near[0] = '\0';
	while (dir && (entry = readdir(dir)) && seen < NEAR_MAX) {
		const char *names[] = { entry->d_name, near[0] ? near : NULL, NULL };
		const char *best;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		seen++;
		best = config_nearest(name, names);
		if (best && best != near)
			snprintf(near, NAME_MAX + 1, "%s", best);
	}
	if (dir)
		closedir(dir);
}

/* Goes down the components that are written out, as far as they are there. */
static int check_pattern(const struct agent_config *config, size_t i, const char *root,
			 char error[CONFIG_ERROR_LEN])
{
	const char *pattern = config->patterns[i].pattern, *at = pattern;
	char path[PATH_MAX], near[NAME_MAX + 1], name[NAME_MAX + 1];
	size_t used = strlen(root);
	struct stat st;

	snprintf(path, sizeof(path), "%s", root);
	while (*at) {
		size_t n = strcspn(at + 1, "/");
		bool last = at[1 + n] == '\0';

		if (memchr(at + 1, '*', n) || memchr(at + 1, '?', n))
			return 0;
		snprintf(name, sizeof(name), "%.*s", (int)n, at + 1);
		snprintf(path + used, sizeof(path) - used, "/%s", name);
		if (lstat(path, &st)) {
			if (last || errno != ENOENT)
				return 0;
			path[used] = '\0';
			find_near(path, name, near);
			log_warning("%s:%u: there is no cgroup %.*s yet, above %s%s%s%s (it is "
				    "measured "
				    "when it is made)",
				    config->config_path, config->pattern_lines[i],
				    (int)(at + 1 + n - pattern), pattern, pattern,
				    near[0] ? "; there is a " : "", near,
				    near[0] ? " beside it" : "");
			return 0;
		}
		if (!S_ISDIR(st.st_mode))
			return refuse(
				config, i, error,
				"cgroup = %s: %s is a file, there can be no cgroup at or below it "
				"(name a directory below %s, without %s itself)",
				pattern, path, root, root);
		used = strlen(path);
		at += 1 + n;
	}
	return 0;
}

int cgroups_check(const struct agent_config *config, const char *root, char error[CONFIG_ERROR_LEN])
{
	size_t n = strlen(root);

	for (size_t i = 0; i < config->pattern_count; i++) {
		const char *pattern = config->patterns[i].pattern;
		int err;

		if (!n)
			return refuse(config, i, error,
				      "cgroup = %s: no cgroup v2 is mounted on this host (mount -t "
				      "cgroup2 "
				      "none /sys/fs/cgroup)",
				      pattern);
		if (n > 1 && strncmp(pattern, root, n) == 0 && (!pattern[n] || pattern[n] == '/'))
			return refuse(
				config, i, error,
				"cgroup = %s: paths begin below the mount point %s (write %s)",
				pattern, root, pattern[n] ? pattern + n : "the path below it");
		err = check_pattern(config, i, root, error);
		if (err)
			return err;
	}
	return 0;
}
