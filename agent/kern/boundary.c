/* SPDX-License-Identifier: GPL-2.0 */
/* Boundaries from outside, through the pinned syscall program: they stand while the agent is down.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kern/kern_internal.h"

struct kern_boundary {
	int program;
};

int kern_boundary_open(const char *pin_dir, struct kern_boundary **ret_b)
{
	struct kern_boundary *b;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/call", pin_dir);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return kern_fail(-errno, "no boundary program at %s: %s (is an agent set up here?)",
				 path, strerror(errno));
	b = calloc(1, sizeof(*b));
	if (!b) {
		close(fd);
		return -ENOMEM;
	}
	b->program = fd;
	*ret_b = b;
	return 0;
}

void kern_boundary_close(struct kern_boundary **b)
{
	if (!*b)
		return;
	close((*b)->program);
	free(*b);
	*b = NULL;
}

static int call(const struct kern_boundary *b, struct oncpu_call *c)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = c, .ctx_size_in = sizeof(*c));

	if (bpf_prog_test_run_opts(b->program, &options))
		return kern_fail(-errno, "the boundary program cannot be run: %s", strerror(errno));
	return c->result;
}

int kern_boundary_create(struct kern_boundary *b, uint64_t cgroup_id, const char *function,
			 const struct kern_sizes *sizes, uint64_t *ret_uid, uint64_t *ret_born_ns)
{
	struct oncpu_call c = { .op = ONCPU_CALL_CREATE,
				.cgroup_id = cgroup_id,
				.holder = (uint32_t)getpid() };
	int error;

	snprintf(c.function, sizeof(c.function), "%s", function);
	if (sizes) {
		c.status = (int32_t)sizes->memory_mb;
		c.root = sizes->quota_us;
	}
	error = call(b, &c);
	if (error == -EEXIST)
		return kern_fail(error, "cgroup %llu already belongs to an instance",
				 (unsigned long long)cgroup_id);
	if (error == -ENOSPC)
		return kern_fail(error, "the instance table is full (raise max_instances)");
	if (!error)
		*ret_uid = c.uid;
	if (!error && ret_born_ns)
		*ret_born_ns = c.time_ns;
	return error;
}

static void take_reading(const struct oncpu_call *c, struct kern_reading *ret_reading)
{
	if (ret_reading)
		*ret_reading = (struct kern_reading){ c->time_ns, c->total_ns };
}

int kern_boundary_read(struct kern_boundary *b, uint64_t uid, struct kern_reading *ret_reading)
{
	struct oncpu_call c = { .op = ONCPU_CALL_READ, .uid = uid };
	int error = call(b, &c);

	if (!error)
		take_reading(&c, ret_reading);
	return error;
}

/* Nothing announces it: a process is waited for, and its cgroup is empty, some µs before. */
int kern_boundary_settle(struct kern_boundary *b, uint64_t uid, int most_ms)
{
	for (int waited = 0;; waited++) {
		struct oncpu_call c = { .op = ONCPU_CALL_READ, .uid = uid };
		int error = call(b, &c);

		if (error || c.reading.threads <= 0)
			return error;
		if (waited == most_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
}

int kern_boundary_make(struct kern_boundary *b, uint64_t uid, uint32_t kind, const char *id,
		       size_t id_len, int32_t status)
{
	return kern_boundary_mark(b, uid, kind, id, id_len, status, 0, NULL);
}

int kern_boundary_mark(struct kern_boundary *b, uint64_t uid, uint32_t kind, const char *id,
		       size_t id_len, int32_t status, uint64_t peak_bytes,
		       struct kern_reading *ret_reading)
{
	int error;

	struct oncpu_call c = {
		.op = ONCPU_CALL_BOUNDARY,
		.uid = uid,
		.kind = kind,
		.status = status,
		.root = peak_bytes,
	};

	if (id_len > sizeof(c.id))
		return kern_fail(-EINVAL, "an invocation id has at most %zu bytes", sizeof(c.id));
	if (id_len)
		memcpy(c.id, id, id_len);
	c.id_len = (uint32_t)id_len;
	error = call(b, &c);
	if (!error)
		take_reading(&c, ret_reading);
	return error;
}

int kern_boundary_release(struct kern_boundary *b, uint64_t uid)
{
	struct oncpu_call c = { .op = ONCPU_CALL_RELEASE, .uid = uid };

	return call(b, &c);
}
