/* SPDX-License-Identifier: GPL-2.0 */
/* The shells' completion, from the commands' declarations (`oncpu help --completion bash|zsh`). */
#ifndef ONCPU_CLI_COMPLETION_H
#define ONCPU_CLI_COMPLETION_H

#include <stdio.h>

/* 0, or -ENOENT for another shell. */
int completion_write(const char *shell, FILE *to);

#endif
