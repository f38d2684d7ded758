// SPDX-License-Identifier: GPL-2.0
/* From a process and an address to an open file. No state. */
#include "daemon/object.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/maps.h"

/* In two steps: a name must not make us open a device or wait for a pipe's other end. */
static int open_regular(const char *path, int *ret_fd, struct stat *ret_stat)
{
	_cleanup_fd_ int handle = open(path, O_PATH | O_CLOEXEC);
	char name[32];
	int fd;

	if (handle < 0 || fstat(handle, ret_stat))
		return -errno;
	if (!S_ISREG(ret_stat->st_mode))
		return -EINVAL;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", handle);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* A path found in text counts only if it leads to the very file of the mapping. */
static int open_same(const char *path, const struct maps_entry *map, int *ret_fd)
{
	struct stat status;
	int fd, err = open_regular(path, &fd, &status);

	if (err)
		return err;
	if (status.st_ino != map->inode || major(status.st_dev) != map->device_major ||
	    minor(status.st_dev) != map->device_minor) {
		close(fd);
		return -ESTALE;
	}
	*ret_fd = fd;
	return 0;
}

int object_open_mapped(int pid, uint64_t address, int *ret_fd)
{
	char path[PATH_MAX];
	struct maps_entry map;
	struct stat status;
	int err = maps_find(pid, address, &map);

	if (err)
		return err;
	if (map.inode == 0)
		return -ENOENT;
	/* The kernel's own link to the mapped file: right even where stacked file systems show
	 * another device and inode, and where the name is long gone. */
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid,
		 (unsigned long long)map.low, (unsigned long long)map.high);
	if (open_regular(path, ret_fd, &status) == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	err = open_same(path, &map, ret_fd);
	if (err == 0 || map.path_cut || map.path[0] != '/')
		return err;
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, map.path);
	return open_same(path, &map, ret_fd);
}

int object_open_path(const char *path, int *ret_fd)
{
	struct stat status;

	return open_regular(path, ret_fd, &status);
}

bool object_has_nop(int fd, uint64_t offset)
{
	static const unsigned char nop[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	unsigned char bytes[sizeof(nop)];

	return offset <= INT64_MAX &&
	       pread(fd, bytes, sizeof(bytes), (off_t)offset) == (ssize_t)sizeof(bytes) &&
	       memcmp(bytes, nop, sizeof(nop)) == 0;
}
