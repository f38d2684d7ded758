// SPDX-License-Identifier: GPL-2.0
/*
 * From a request ("process P made a mark at address A") to attached uprobes.
 *
 * An object is attached once per (device, inode, mtime); one that holds no marks or nonsense is
 * remembered likewise, so that it stops nobody a second time. A process whose stop is still on its
 * way is tried again from `late`. Whatever goes wrong, the process is continued.
 */
#include "daemon/marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/attacher_protocol.h"

#define CACHE_SIZE 1024	   /* objects; the oldest gives way */
#define MAX_SITES 4096	   /* per object */
#define BATCH 64	   /* requests per call */
#define MAX_LATE 256	   /* processes whose stop has not come yet */
#define LATE_NS 2000000000 /* how long it is waited for */
#define PARSES_PER_S 200   /* new objects parsed: a bound on what hostile processes can cost */

struct object_key {
	uint64_t device, inode;
	int64_t mtime_ns;
};

struct late {
	int pid;
	uint64_t since_ns;
};

struct marks {
	int socket;
	struct kern_view *view;
	struct marks_counters counters;
	struct object_key cache[CACHE_SIZE];
	size_t cache_next;
	struct late late[MAX_LATE];
	size_t late_count;
	uint64_t second, parses; /* parses made in this second */
	uint64_t now_ns;
};

struct sites {
	uint64_t offset[MAX_SITES];
	size_t count;
};

int marks_new(int socket, struct kern_view *view, struct marks **ret_marks)
{
	struct marks *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->socket = socket;
	m->view = view;
	*ret_marks = m;
	return 0;
}

void marks_free(struct marks **marks)
{
	free(*marks);
	*marks = NULL;
}

const struct marks_counters *marks_counters(const struct marks *m)
{
	return &m->counters;
}

static int ask(struct marks *m, const struct attacher_request *request)
{
	struct attacher_reply reply;

	return attacher_ask(m->socket, request, &reply, NULL, 0);
}

static bool fatal(int err)
{
	return err == -EPIPE || err == -EBADMSG;
}

static bool cached(const struct marks *m, const struct object_key *key)
{
	for (size_t i = 0; i < CACHE_SIZE; i++)
		if (memcmp(&m->cache[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

static void remember(struct marks *m, const struct object_key *key)
{
	m->cache[m->cache_next] = *key;
	m->cache_next = (m->cache_next + 1) % CACHE_SIZE;
}

static int on_site(void *user, const char *probe, uint64_t file_offset)
{
	struct sites *sites = user;

	(void)probe;
	if (sites->count == MAX_SITES)
		return -E2BIG;
	sites->offset[sites->count++] = file_offset;
	return 0;
}

static int attach_sites(struct marks *m, uint64_t handle, const struct sites *sites)
{
	int failed = 0;

	for (size_t i = 0; i < sites->count; i++) {
		int err = ask(m, &(struct attacher_request){ .op = ATTACHER_OP_ATTACH,
							     .handle = handle,
							     .address = sites->offset[i] });

		if (fatal(err))
			return err;
		if (err) {
			failed = err;
			m->counters.failures++;
			continue;
		}
		m->counters.sites++;
	}
	return failed;
}

static bool may_parse(struct marks *m)
{
	uint64_t second = m->now_ns / 1000000000u;

	if (second != m->second) {
		m->second = second;
		m->parses = 0;
	}
	if (m->parses >= PARSES_PER_S) {
		m->counters.throttled++;
		return false;
	}
	m->parses++;
	return true;
}

/* Parses and attaches one open file. 0: done once for all; -EAGAIN: another time. */
static int attach_object(struct marks *m, int fd, uint64_t handle, int pid)
{
	_cleanup_free_ struct sites *sites = NULL;
	struct object_key key = { 0 };
	struct stat status;
	int found, err;

	if (fstat(fd, &status))
		return -errno;
	key.device = status.st_dev;
	key.inode = status.st_ino;
	key.mtime_ns = status.st_mtim.tv_sec * 1000000000ll + status.st_mtim.tv_nsec;
	if (cached(m, &key))
		return 0;
	if (!may_parse(m))
		return -EAGAIN;
	sites = calloc(1, sizeof(*sites));
	if (!sites)
		return -ENOMEM;
	found = elf_marks(fd, on_site, sites);
	if (found < 0 || sites->count == 0)
		log_warning(
			"process %d made a mark, but its file holds no usable ones (%s): they are "
			"counted by number only",
			pid, found < 0 ? strerror(-found) : "no notes");
	err = attach_sites(m, handle, sites);
	if (err)
		return err;
	m->counters.objects++;
	remember(m, &key);
	return 0;
}

static int attach_for(struct marks *m, const struct kern_request *request)
{
	struct attacher_request ask_open = { .op = ATTACHER_OP_OPEN_OBJECT,
					     .pid = (int)request->tgid,
					     .address = request->site };
	_cleanup_fd_ int fd = -EBADF;
	struct attacher_reply reply;
	int err = attacher_ask(m->socket, &ask_open, &reply, &fd, 1);

	if (!err)
		err = attach_object(m, fd, reply.handle, (int)request->tgid);
	if (!err && request->object.inode)
		err = ask(m, &(struct attacher_request){ .op = ATTACHER_OP_KNOW_OBJECT,
							 .object = request->object });
	if (err && !fatal(err)) {
		m->counters.failures++;
		log_debug("no marks attached for process %u: %s", request->tgid, strerror(-err));
	}
	return err;
}

static int let_go(struct marks *m, int pid)
{
	int err = ask(m, &(struct attacher_request){ .op = ATTACHER_OP_CONTINUE, .pid = pid });

	if (err == 0)
		m->counters.continued++;
	if (err == -EAGAIN && m->late_count < MAX_LATE)
		m->late[m->late_count++] = (struct late){ pid, m->now_ns };
	return err;
}

static int handle_one(struct marks *m, const struct kern_request *request)
{
	int err = 0;

	m->counters.requests++;
	if (request->site)
		err = attach_for(m, request);
	if (!fatal(err) && request->tree && request->threads > 1)
		err = ask(m, &(struct attacher_request){ .op = ATTACHER_OP_ADOPT_TREE,
							 .pid = (int)request->tgid,
							 .address = request->uid });
	if (!fatal(err) && request->uid == 0)
		err = ask(m, &(struct attacher_request){ .op = ATTACHER_OP_ADOPT });
	if (!fatal(err) && request->stopped)
		err = let_go(m, (int)request->tgid);
	return fatal(err) ? err : 0;
}

static int retry_late(struct marks *m)
{
	size_t count = m->late_count;
	struct late again[MAX_LATE];

	memcpy(again, m->late, count * sizeof(again[0]));
	m->late_count = 0;
	for (size_t i = 0; i < count; i++) {
		int err;

		if (m->now_ns - again[i].since_ns > LATE_NS)
			continue; /* somebody else continued it; the sweep looks once more */
		err = let_go(m, again[i].pid);
		if (fatal(err))
			return err;
		if (err == -EAGAIN && m->late_count > 0)
			m->late[m->late_count - 1].since_ns = again[i].since_ns;
	}
	return 0;
}

int marks_handle(struct marks *m, uint64_t now_ns)
{
	struct kern_request request;
	int err;

	m->now_ns = now_ns;
	err = retry_late(m);
	for (int i = 0; !err && i < BATCH; i++) {
		if (kern_view_next_request(m->view, &request) <= 0)
			return m->late_count > 0;
		err = handle_one(m, &request);
	}
	return err ? err : 1;
}

int marks_sweep(struct marks *m)
{
	struct attacher_request next = { .op = ATTACHER_OP_NEXT_STOPPED };
	struct attacher_reply reply;
	int err;

	for (;;) {
		err = attacher_ask(m->socket, &next, &reply, NULL, 0);
		if (err || reply.pid <= next.pid)
			return fatal(err) ? err : 0;
		err = handle_one(m, &(struct kern_request){ .kind = KERN_REQ_HELLO,
							    .tgid = (uint32_t)reply.pid,
							    .site = reply.value,
							    .uid = 1,
							    .stopped = true });
		if (err)
			return err;
		log_info("process %d had been left stopped: it goes on", reply.pid);
		next.pid = reply.pid;
	}
}

static int refuse_mark(const struct agent_config *config, const struct config_mark *mark, int fd,
		       int err, char error[CONFIG_ERROR_LEN])
{
	char near[256] = "";
	int n = snprintf(error, CONFIG_ERROR_LEN, "%s:%u: ", config->config_path, mark->line);
	char *at = error + n;
	size_t left = (size_t)(CONFIG_ERROR_LEN - n);

	if (fd < 0)
		snprintf(at, left, "%s cannot be opened: %s (correct `file`)", mark->file,
			 strerror(-err));
	else if (err == -ENOENT && elf_nearest(fd, mark->symbol, near, sizeof(near)) >= 0 &&
		 near[0])
		snprintf(at, left, "%s has no symbol %s (did you mean %s?)", mark->file,
			 mark->symbol, near);
	else if (err == -ENOENT)
		snprintf(at, left, "%s has no symbol %s (correct `symbol`; see nm -D)", mark->file,
			 mark->symbol);
	else if (err == -ENOEXEC || err == -EBADMSG)
		snprintf(at, left, "%s is no ELF file of x86-64 (correct `file`)", mark->file);
	else
		snprintf(at, left,
			 "%s of %s cannot be attached: %s (the attacher's line says more)",
			 mark->symbol, mark->file, strerror(-err));
	return err;
}

static int attach_configured(struct marks *m, const struct agent_config *config, uint32_t index,
			     char error[CONFIG_ERROR_LEN])
{
	const struct config_mark *mark = &config->marks[index];
	struct attacher_request request = { .op = ATTACHER_OP_OPEN_MARK, .index = index };
	_cleanup_fd_ int fd = -EBADF;
	struct attacher_reply reply;
	int err = attacher_ask(m->socket, &request, &reply, &fd, 1);

	if (!err)
		err = elf_symbol(fd, mark->symbol, &request.address);
	if (!err) {
		request.op = ATTACHER_OP_ATTACH_SYMBOL;
		request.handle = reply.handle;
		err = ask(m, &request);
	}
	return err < 0 ? refuse_mark(config, mark, fd, err, error) : 0;
}

int marks_attach_configured(struct marks *m, const struct agent_config *config,
			    char error[CONFIG_ERROR_LEN])
{
	for (size_t i = 0; i < config->mark_count; i++) {
		int err = attach_configured(m, config, (uint32_t)i, error);

		if (err)
			return err;
	}
	return 0;
}
