// SPDX-License-Identifier: GPL-2.0
/* See gateway.h. */
#include "daemon/gateway.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "daemon/attacher_protocol.h"

#define MAX_ANCESTORS 32

__attribute__((format(printf, 3, 4))) static int refuse(char error[API_BOUNDARY_ERROR_LEN],
							int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, API_BOUNDARY_ERROR_LEN, format, arguments);
	va_end(arguments);
	return code;
}

/* Of the cgroup itself, or of the nearest one above it that an instance lives in. */
static int find_by_cgroup(const struct kern_view *view, const char *path,
			  struct kern_instance *ret_instance)
{
	char root[256], whole[sizeof(root) + ONCPU_PATTERN_LEN];
	struct stat status;
	size_t top;

	if (kern_cgroup_root(root, sizeof(root)))
		return -ENOENT;
	top = strlen(root);
	snprintf(whole, sizeof(whole), "%s%s", root, path);
	for (char *slash = whole + strlen(whole); slash && slash > whole + top;
	     slash = strrchr(whole, '/')) {
		*slash = '\0';
		/* the inode of a cgroup is its id */
		if (stat(whole, &status) == 0 &&
		    kern_view_find_cgroup(view, status.st_ino, ret_instance) == 0)
			return 0;
	}
	return -ENOENT;
}

/* Its path in the v2 hierarchy: the line "0::PATH". */
static int read_cgroup(int pid, char path[ONCPU_PATTERN_LEN])
{
	char name[40], line[ONCPU_PATTERN_LEN + 16];
	_cleanup_file_ FILE *file = NULL;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	file = fopen(name, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0 && strlen(line + 3) < ONCPU_PATTERN_LEN) {
			memcpy(path, line + 3, strlen(line + 3) + 1);
			return 0;
		}
	}
	return -ENOENT;
}

static int parent_of(int pid)
{
	char name[40], line[64];
	_cleanup_file_ FILE *file = NULL;
	int parent = 0;

	snprintf(name, sizeof(name), "/proc/%d/status", pid);
	file = fopen(name, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	return parent;
}

static int find_by_pid(const struct kern_view *view, int pid, struct kern_instance *ret_instance)
{
	char path[ONCPU_PATTERN_LEN];

	if (read_cgroup(pid, path) == 0 && find_by_cgroup(view, path, ret_instance) == 0)
		return 0;
	/* a process that marks itself, and those below it, are a tree */
	for (int i = 0; i < MAX_ANCESTORS && pid > 1; i++, pid = parent_of(pid))
		if (kern_view_find_tree(view, (uint32_t)pid, ret_instance) == 0)
			return 0;
	return -ENOENT;
}

int gateway_report(int socket, const struct kern_view *view, const struct api_boundary *b,
		   struct api_boundary_done *ret_done, char error[API_BOUNDARY_ERROR_LEN])
{
	struct attacher_request request = {
		.op = ATTACHER_OP_BOUNDARY, .index = b->kind, .pid = b->status, .id_len = b->id_len
	};
	struct kern_instance instance;
	struct attacher_reply reply;
	int err = b->pid ? find_by_pid(view, b->pid, &instance)
			 : find_by_cgroup(view, b->cgroup, &instance);

	if (err && b->pid)
		return refuse(error, err,
			      "process %d is in no instance (is its cgroup in the configuration?)",
			      b->pid);
	if (err)
		return refuse(error, err,
			      "no instance lives in cgroup %s (is it in the configuration, with a "
			      "process in it?)",
			      b->cgroup);
	if (instance.held)
		return refuse(error, -EBUSY,
			      "oncpu run or measure holds that instance of %s and makes its "
			      "boundaries",
			      instance.function);
	request.address = instance.uid;
	memcpy(request.id, b->id, sizeof(request.id));
	err = attacher_ask(socket, &request, &reply, NULL, 0);
	if (err)
		return refuse(error, err, "the boundary could not be made: %s", strerror(-err));
	*ret_done = (struct api_boundary_done){ .time_ns = (int64_t)reply.handle,
						.total_cpu_ns = (int64_t)reply.value,
						.uid = instance.uid };
	memcpy(ret_done->function, instance.function, sizeof(ret_done->function));
	return 0;
}
