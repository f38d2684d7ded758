// SPDX-License-Identifier: GPL-2.0
/*
 * The privileged half's requests, from a worker that was taken over: fixed-size ones with anything
 * in them, and messages of other sizes. The kernel side is a witness: it is asked to attach at nops
 * and at configured symbols only.
 */
#include <errno.h>
#include <sys/socket.h>

#include "daemon/attacher.h"
#include "daemon/attacher_protocol.h"
#include "daemon/object.h"
#include "tests/fuzz/fuzz.h"

static struct agent_config *config;
static char self[CONFIG_PATH_LEN];
struct kern_owner {
	int fds[KERN_FD_COUNT];
};
static struct kern_owner the_owner;

const char *kern_error(void)
{
	return "the fuzzer's kernel refuses";
}

int kern_owner_open(const struct kern_config *c, struct kern_owner **ret_owner, bool *ret_adopted)
{
	(void)c;
	*ret_owner = &the_owner;
	*ret_adopted = true;
	return 0;
}

void kern_owner_close(struct kern_owner **owner)
{
	*owner = NULL;
}

int kern_owner_fd(const struct kern_owner *o, enum kern_fd which)
{
	PROMISE(which < KERN_FD_COUNT);
	return o->fds[which];
}

int kern_owner_adopt(struct kern_owner *o)
{
	(void)o;
	return 0;
}

int kern_owner_audit(struct kern_owner *o, uint64_t uid, uint64_t cgroup_id,
		     struct kern_audit *ret_audit)
{
	(void)o, (void)uid, (void)cgroup_id, (void)ret_audit;
	return -ENOENT;
}

int kern_owner_adopt_tree(struct kern_owner *o, pid_t tgid, uint64_t uid)
{
	(void)o, (void)uid;
	PROMISE(tgid > 1);
	return -ESRCH;
}

int kern_owner_finish(struct kern_owner *o, uint64_t uid)
{
	(void)o, (void)uid;
	return -ENOENT;
}

int kern_owner_take_symbols(struct kern_owner *o)
{
	(void)o;
	return 0;
}

int kern_owner_know_object(struct kern_owner *o, const struct oncpu_object *object)
{
	(void)o;
	PROMISE(object);
	return 0;
}

int kern_owner_attach_mark(struct kern_owner *o, int file_fd, uint64_t offset)
{
	(void)o;
	PROMISE(object_has_nop(file_fd, offset));
	return 0;
}

int kern_owner_attach_symbol(struct kern_owner *o, int file_fd, uint64_t offset,
			     const struct kern_symbol *symbol)
{
	(void)o, (void)offset;
	PROMISE(file_fd >= 0 && symbol == &config->marks[0].how);
	return -EPERM;
}

int kern_boundary_open(const char *pin_dir, struct kern_boundary **ret_b)
{
	PROMISE(pin_dir == config->pin_dir);
	*ret_b = (struct kern_boundary *)&the_owner;
	return 0;
}

void kern_boundary_close(struct kern_boundary **b)
{
	*b = NULL;
}

int kern_boundary_mark(struct kern_boundary *b, uint64_t uid, uint32_t kind, const char *id,
		       size_t id_len, int32_t status, uint64_t peak_bytes,
		       struct kern_reading *ret_reading)
{
	(void)uid;
	PROMISE(b && id && id_len <= ONCPU_ID_LEN && !peak_bytes);
	PROMISE(kind == ONCPU_EV_START || kind == ONCPU_EV_RESPONSE || kind == ONCPU_EV_END);
	PROMISE(status >= 0 && status < ONCPU_STATUS_COUNT);
	*ret_reading = (struct kern_reading){ 1, 1 };
	return 0;
}

int kern_view_open(const int fds[KERN_FD_COUNT], struct kern_view **ret_view)
{
	(void)fds, (void)ret_view;
	return -EIO; /* then the attacher closes them itself */
}

void kern_view_close(struct kern_view **view)
{
	*view = NULL;
}

void kern_view_heartbeat(struct kern_view *v, uint64_t now_ns)
{
	(void)v, (void)now_ns;
}

static void start(void)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	PROMISE(n > 0);
	self[n] = '\0';
	config = malloc(sizeof(*config));
	config_defaults(config);
	config->mark_count = 1;
	snprintf(config->marks[0].file, sizeof(config->marks[0].file), "%s", self);
	snprintf(config->socket, sizeof(config->socket), "/tmp/oncpu-fuzz-none.%d", (int)getpid());
	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 0; i < KERN_FD_COUNT; i++)
		the_owner.fds[i] = dup(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct attacher_options options = { .worker = INT32_MAX, .ready_fd = -1 };
	bool abortive;
	int pair[2];

	if (!config)
		start();
	PROMISE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	for (int i = 0; i < 16 && in.left; i++) {
		struct attacher_request request = { .magic = ATTACHER_MAGIC, .op = take_byte(&in) };
		uint8_t how = take_byte(&in);
		size_t length = how & 0x40 ? how & 0x3f : sizeof(request);

		if (how & 0x80)
			take(&in, &request.magic, sizeof(request.magic));
		request.pid = how & 1 ? (int32_t)getpid() : (int8_t)take_byte(&in);
		request.index = (uint8_t)(take_byte(&in)) >> (how & 2 ? 0 : 7);
		request.handle = (uint8_t)(take_byte(&in) & 3);
		take(&in, &request.address, how & 4 ? 8 : 2);
		request.id_len = how & 8 ? take_byte(&in) : 0;
		send(pair[1], &request, length < sizeof(request) ? length : sizeof(request),
		     MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	shutdown(pair[1], SHUT_WR);
	options.config = config;
	options.socket = pair[0];
	PROMISE(attacher_run(&options, &abortive) >= 0);
	PROMISE(!abortive);
	close(pair[1]);
	return 0;
}
