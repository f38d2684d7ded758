/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's own total of an instance's cgroup, between two readings of ours.
 *
 * The cgroup is opened by its id, which is its file handle, so a path that was moved or made again
 * cannot mislead. It takes CAP_DAC_READ_SEARCH.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

#define FILEID_KERNFS 0xfe /* include/linux/exportfs.h */

static const char *const hooks[] = {
	"switch",     "free",	      "fork",	      "exec",	       "migrate",
	"wakeup_new", "cgroup_mkdir", "cgroup_rmdir", "cgroup_attach", "rename",
};

const char *kern_hook_name(unsigned i)
{
	return i < sizeof(hooks) / sizeof(hooks[0]) ? hooks[i] : NULL;
}

/* A hook is attached for as long as its pin is there. */
static uint32_t missing_hooks(const struct kern_owner *o)
{
	uint32_t missing = 0;
	char path[320];

	for (unsigned i = 0; kern_hook_name(i); i++) {
		snprintf(path, sizeof(path), "%s/link_%s", o->pin_dir, kern_hook_name(i));
		if (access(path, F_OK))
			missing |= 1u << i;
	}
	return missing;
}

int kern_open_cgroup(struct kern_owner *o, uint64_t id)
{
	struct {
		struct file_handle head;
		unsigned char bytes[sizeof(id)];
	} handle = { .head = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	int fd;

	if (o->cgroup_fd < 0 && o->cgroup_root[0])
		o->cgroup_fd = open(o->cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->cgroup_fd < 0)
		return -ENOENT;
	memcpy(handle.head.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(o->cgroup_fd, &handle.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? (errno == ESTALE ? -ENOENT : -errno) : fd;
}

static int read_total(int cgroup, uint64_t *ret_ns)
{
	int fd = openat(cgroup, "cpu.stat", O_RDONLY | O_CLOEXEC);
	char text[1024], *at;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 ? -errno : -ENOENT; /* being removed */
	text[n] = 0;
	at = strstr(text, "usage_usec ");
	if (!at)
		return -ENOTSUP;
	*ret_ns = strtoull(at + strlen("usage_usec "), NULL, 10) * 1000;
	return 0;
}

static int read_ours(const struct kern_owner *o, uint64_t uid, struct oncpu_call *ret_call)
{
	struct oncpu_call c = { .op = ONCPU_CALL_READ, .uid = uid };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &c, .ctx_size_in = sizeof(c));

	if (bpf_prog_test_run_opts(bpf_program__fd(o->skel->progs.on_call), &options))
		return -errno;
	*ret_call = c;
	return c.result;
}

/* Nobody lives there now, and one life only has been lived there. */
static int check_over(const struct kern_owner *o, uint64_t cgroup_id)
{
	struct oncpu_cgroup cg;

	if (bpf_map_lookup_elem(bpf_map__fd(o->skel->maps.cgroups), &cgroup_id, &cg))
		return -ENOENT;
	return cg.instance || cg.lives != 1 ? -EBUSY : 0;
}

static int audit_over(const struct kern_owner *o, uint64_t cgroup_id, int cgroup,
		      struct kern_audit *audit)
{
	int error = check_over(o, cgroup_id);

	if (!error)
		error = read_total(cgroup, &audit->kernel_ns);
	return error ? error : check_over(o, cgroup_id);
}

static int audit_living(const struct kern_owner *o, uint64_t uid, int cgroup,
			struct kern_audit *audit)
{
	struct oncpu_call before, after;
	int error = read_ours(o, uid, &before);

	if (!error)
		error = read_total(cgroup, &audit->kernel_ns);
	if (!error)
		error = read_ours(o, uid, &after);
	if (error)
		return error;
	audit->before_ns = before.total_ns;
	audit->after_ns = after.total_ns;
	audit->bound_ns = before.reading.bound_ns > after.reading.bound_ns ? before.reading.bound_ns
									   : after.reading.bound_ns;
	audit->running = before.reading.running > after.reading.running ? before.reading.running
									: after.reading.running;
	return 0;
}

int kern_owner_audit(struct kern_owner *o, uint64_t uid, uint64_t cgroup_id,
		     struct kern_audit *ret_audit)
{
	struct kern_audit audit = {};
	int cgroup = kern_open_cgroup(o, cgroup_id), error;

	if (cgroup < 0)
		return cgroup;
	error = uid ? audit_living(o, uid, cgroup, &audit)
		    : audit_over(o, cgroup_id, cgroup, &audit);
	close(cgroup);
	if (error)
		return error;
	audit.missing = missing_hooks(o);
	*ret_audit = audit;
	return 0;
}
