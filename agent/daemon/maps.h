/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One line of /proc/PID/maps, parsed. Pure: the text comes from the caller.
 */
#ifndef ONCPU_DAEMON_MAPS_H
#define ONCPU_DAEMON_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPS_PATH_LEN 256

struct maps_entry {
	uint64_t low, high; /* [low, high) */
	uint64_t offset;    /* of low in the file */
	uint64_t inode;	    /* 0 = no file */
	uint32_t device_major, device_minor;
	bool executable;
	bool path_cut; /* the path did not fit, or its file was deleted: do not open by it */
	char path[MAPS_PATH_LEN];
};

/* `line` has no newline. 0, or -EINVAL. */
int maps_parse_line(const char *line, size_t length, struct maps_entry *ret_entry);

/*
 * Looks through the maps of `pid` for the one that holds `address`. 0, -ENOENT (no such address or
 * process), -E2BIG (more than 65,536 lines), -EACCES, -EIO. Reads /proc.
 */
int maps_find(int pid, uint64_t address, struct maps_entry *ret_entry);

#endif
