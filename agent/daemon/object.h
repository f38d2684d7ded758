/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Opens, for reading, the file that a process has mapped at an address: static binaries, files in
 * containers and deleted ones too. Regular files only; a device or a pipe is never opened.
 */
#ifndef ONCPU_DAEMON_OBJECT_H
#define ONCPU_DAEMON_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

/* 0, -ENOENT (no process, no file there), -ESTALE (the path leads elsewhere), -EINVAL (no regular
 * file), -EACCES, -E2BIG. *ret_fd is the caller's. */
int object_open_mapped(int pid, uint64_t address, int *ret_fd);

/* Likewise by path. */
int object_open_path(const char *path, int *ret_fd);

/* Do the 5 bytes at `offset` hold the nop of a mark? */
bool object_has_nop(int fd, uint64_t offset);

#endif
