/* SPDX-License-Identifier: GPL-2.0 */
/* The configured cgroup paths, held against the host. */
#ifndef ONCPU_DAEMON_CGROUPS_H
#define ONCPU_DAEMON_CGROUPS_H

#include "daemon/config.h"

/*
 * `root`: where cgroup v2 is mounted, "" = nowhere. 0; or -EINVAL with one line "FILE:LINE: cause
 * (cure)" where no cgroup can ever be. What is merely not there yet is said in the log.
 */
int cgroups_check(const struct agent_config *config, const char *root,
		  char error[CONFIG_ERROR_LEN]);

#endif
