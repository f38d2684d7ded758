/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu invocations --audit: each instance's accounts against the kernel's own cpu.stat. */
#ifndef ONCPU_CLI_AUDIT_H
#define ONCPU_CLI_AUDIT_H

#include <stdbool.h>

#include "cli/cli.h"

/* The open ones, where an agent runs, and those that are over. The command's exit code: 1 also if a
 * mismatch was found. */
int audit_list(const struct place *place, const struct selection *select, bool json);

#endif
