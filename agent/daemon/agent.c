// SPDX-License-Identifier: GPL-2.0
/* From options to two processes. */
#include "daemon/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/access.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/privileges.h"
#include "daemon/attacher.h"
#include "daemon/cgroups.h"
#include "daemon/config.h"
#include "daemon/proc.h"
#include "daemon/worker.h"
#include "http/server.h"

#define LOCK_PATH_LEN (CONFIG_PATH_LEN + 16)

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t socket_gid;
};

/* What agent_run holds while both halves run. */
struct held {
	struct agent_config *config;
	struct policies *policies;
	struct identity identity;
	struct digest_key seal_key; /* length 0 = none */
	int lock, listen, tcp, channel[2];
	bool loopback; /* of tcp */
	char token[ACCESS_TOKEN_LEN];
};

static int override(char *to, size_t size, const char *name, const char *value)
{
	if (!value)
		return 0;
	if (!*value) { /* a script's variable that is not set: the default was not meant */
		log_error("%s is empty (name one, or leave it out)", name);
		return -EINVAL;
	}
	if (strlen(value) >= size) {
		log_error("%s is longer than %zu bytes (choose a shorter one)", name, size - 1);
		return -ENAMETOOLONG;
	}
	snprintf(to, size, "%s", value);
	return 0;
}

static int apply_options(struct agent_config *c, const struct agent_options *o)
{
	int err = override(c->state_dir, sizeof(c->state_dir), "--state-dir", o->state_dir);

	err = err ? err : override(c->socket, sizeof(c->socket), "--socket", o->socket);
	err = err ? err
		  : override(c->socket_group, sizeof(c->socket_group), "--socket-group",
			     o->socket_group);
	err = err ? err : override(c->listen, sizeof(c->listen), "--listen", o->listen);
	err = err ? err
		  : override(c->token_file, sizeof(c->token_file), "--token-file", o->token_file);
	err = err ? err : override(c->pin_dir, sizeof(c->pin_dir), "--pin-dir", o->pin_dir);
	err = err ? err : override(c->without, sizeof(c->without), "--without", o->without);
	err = err ? err : override(c->user, sizeof(c->user), "--user", o->user);
	err = err ? err : override(c->host, sizeof(c->host), "--host", o->host);
	if (err)
		return err;
	if (o->log_level && log_level_parse(o->log_level, &c->log_level)) {
		log_error("--log-level %s is unknown (error, warning, info or debug)",
			  o->log_level);
		return -EINVAL;
	}
	c->max_instances = o->max_instances ? o->max_instances : c->max_instances;
	c->max_threads = o->max_threads ? o->max_threads : c->max_threads;
	c->ring_bytes = o->ring_bytes ? o->ring_bytes : c->ring_bytes;
	c->irq |= o->irq;
	c->reorder_ms = o->reorder_ms ? o->reorder_ms : c->reorder_ms;
	return 0;
}

static int load_config(const struct agent_options *options, struct agent_config *config)
{
	const char *path = options->config ? options->config : CONFIG_DEFAULT_FILE;
	char error[CONFIG_ERROR_LEN];
	int err;

	config_defaults(config);
	err = config_read(config, path, error);
	if (err == -ENOENT && !options->config)
		err = 0;
	if (err) {
		log_error("%s", error);
		return err;
	}
	err = apply_options(config, options);
	if (err)
		return err;
	err = config_finish(config, error);
	if (err)
		log_error("%s", error);
	else
		log_set_level(config->log_level);
	return err;
}

/* By the half that may read any file; what is in it is bounded and checked. */
static int load_policies(struct held *h)
{
	char error[CONFIG_ERROR_LEN] = "out of memory";
	int err = config_policies(h->config->policies, h->config->policy, &h->policies, error);

	if (err)
		log_error("%s", error);
	return err;
}

static int check_cgroups(const struct agent_config *config)
{
	char error[CONFIG_ERROR_LEN], root[CONFIG_PATH_LEN] = "";
	int err;

	kern_cgroup_root(root, sizeof(root)); /* none: it stays empty */
	err = cgroups_check(config, root, error);
	if (err)
		log_error("%s", error);
	return err;
}

static int find_identity(const struct agent_config *config, struct identity *ret_identity)
{
	const struct passwd *user = getpwnam(config->user);
	const struct group *group = NULL;
	struct passwd bare = { 0 };
	uint64_t id;

	if (!user && parse_uint64(config->user, 1, INT32_MAX, &id) == 0) {
		bare.pw_uid = bare.pw_gid = (uid_t)id; /* nobody's, or one without a name */
		user = &bare;
	}
	if (!user) {
		log_error("there is no user %s (create it with useradd --system, or name another)",
			  config->user);
		return -ENOENT;
	}
	if (user->pw_uid == 0 || user->pw_gid == 0) {
		log_error("user %s is root or in its group: the agent's worker must have no "
			  "privileges "
			  "(name another)",
			  config->user);
		return -EINVAL;
	}
	ret_identity->uid = user->pw_uid;
	ret_identity->gid = ret_identity->socket_gid = user->pw_gid;
	if (!config->socket_group[0])
		return 0;
	group = getgrnam(config->socket_group);
	if (!group) {
		log_error("there is no group %s (correct socket_group)", config->socket_group);
		return -ENOENT;
	}
	ret_identity->socket_gid = group->gr_gid;
	return 0;
}

/* Like mkdir -p; the last one gets `mode`, those made above it 0755. */
static int make_directories(const char *path, mode_t mode)
{
	char part[CONFIG_PATH_LEN];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(part, mode) && errno != EEXIST ? -errno : 0;
}

static int make_state_dir(const struct held *h)
{
	const char *path = h->config->state_dir;
	_cleanup_fd_ int fd = -EBADF;
	int err = make_directories(path, 0750);

	if (!err) {
		fd = open(path, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fchown(fd, h->identity.uid, h->identity.gid))
			err = -errno;
	}
	if (err)
		log_error("the state directory %s cannot be made or given to user %s: %s", path,
			  h->config->user, strerror(-err));
	return err;
}

static void lock_path(const struct held *h, char path[LOCK_PATH_LEN])
{
	snprintf(path, LOCK_PATH_LEN, "%s/agent.lock", h->config->state_dir);
}

/* Is the agent of that pid alive, or only its last file descriptors? */
static bool holder_lives(int fd, int *ret_pid)
{
	char text[16] = "";
	char state;

	*ret_pid = pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 0;
	state = *ret_pid > 0 ? proc_state(*ret_pid) : 0;
	return state != 0 && state != 'Z' && state != 'X';
}

/* An agent that was killed may take a moment to go: that is waited for, a living one is not. */
static int wait_for_lock(int fd, int *ret_pid)
{
	for (int i = 0; i < 500; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		if (holder_lives(fd, ret_pid))
			return -EBUSY;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return -EBUSY;
}

static int take_lock(struct held *h)
{
	char path[LOCK_PATH_LEN], text[16];
	int err, n, pid = 0;

	lock_path(h, path);
	h->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	err = h->lock < 0 ? -errno : wait_for_lock(h->lock, &pid);
	if (err == -EBUSY) {
		log_error("another agent (pid %d) runs on this state directory, %s (stop it, or "
			  "choose "
			  "another with --state-dir)",
			  pid, h->config->state_dir);
		return err;
	}
	if (!err) {
		n = snprintf(text, sizeof(text), "%d\n", getpid());
		if (ftruncate(h->lock, 0) || pwrite(h->lock, text, (size_t)n, 0) != n)
			err = errno ? -errno : -EIO;
	}
	if (err)
		log_error("the lock %s cannot be taken: %s%s", path, strerror(-err),
			  err == -ENOSPC || err == -EDQUOT ? " (free space)" : "");
	return err;
}

static int open_socket(struct held *h)
{
	const char *path = h->config->socket;
	char directory[CONFIG_SOCKET_LEN];
	int err = 0;

	snprintf(directory, sizeof(directory), "%s", path);
	*strrchr(directory, '/') = '\0';
	if (directory[0])
		err = make_directories(directory, 0755);
	if (!err)
		err = http_socket_open(path, h->identity.uid, h->identity.socket_gid, &h->listen);
	if (err == -EADDRINUSE)
		log_error("somebody else answers on %s, or it is no socket (stop it, or choose "
			  "another "
			  "with --socket)",
			  path);
	else if (err)
		log_error("the socket %s cannot be made: %s", path, strerror(-err));
	return err;
}

static int open_tcp(struct held *h)
{
	const struct agent_config *config = h->config;
	char error[ACCESS_ERROR_LEN];
	int err;

	if (config->token_file[0]) {
		err = access_token_read(config->token_file, h->token, error);
		if (err) {
			log_error("%s", error);
			return err;
		}
	}
	if (!config->listen[0])
		return 0;
	err = http_tcp_open(config->listen, &h->tcp, &h->loopback);
	if (err == -EINVAL)
		log_error("listen = %s is no ADDRESS:PORT (like 127.0.0.1:9464 or [::1]:9464)",
			  config->listen);
	else if (err)
		log_error("%s cannot be listened on: %s (choose another with --listen)",
			  config->listen, strerror(-err));
	if (err || h->loopback || h->token[0])
		return err;
	log_error("%s can be reached from other hosts: name a token_file, or listen on 127.0.0.1",
		  config->listen);
	return -EINVAL;
}

/*
 * Each of these is used, and some of them too late to say so: without SYS_PTRACE or KILL a process
 * that waits for its marks would wait for ever. SYS_ADMIN includes BPF and PERFMON.
 */
static int check_capabilities(void)
{
	static const struct {
		int bit;
		const char *name;
	} needed[] = { { CAP_SYS_ADMIN, "SYS_ADMIN" }, { CAP_SYS_PTRACE, "SYS_PTRACE" },
		       { CAP_KILL, "KILL" },	       { CAP_DAC_OVERRIDE, "DAC_OVERRIDE" },
		       { CAP_CHOWN, "CHOWN" },	       { CAP_SETUID, "SETUID" },
		       { CAP_SETGID, "SETGID" } };
	char text[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (privileges_missing(1ull << needed[i].bit))
			used += (size_t)snprintf(text + used, sizeof(text) - used, " CAP_%s",
						 needed[i].name);
	if (!used)
		return 0;
	log_error(
		"the agent is root without%s (leave it in the bounding set: CapabilityBoundingSet "
		"of a unit, --cap-add of a container)",
		text);
	return -EPERM;
}

/* While we are root: the half that writes the ledger cannot read the file. */
static int read_integrity_key(struct held *h)
{
	char error[DIGEST_ERROR_LEN];
	int err;

	if (!h->config->integrity_key[0])
		return 0;
	if (!h->config->seal) {
		log_error("integrity_key is of no use without integrity = chain (add it)");
		return -EINVAL;
	}
	err = digest_key_read(h->config->integrity_key, &h->seal_key, error);
	if (err)
		log_error("%s", error);
	return err;
}

static int prepare(const struct agent_options *options, struct held *h)
{
	int err;

	if (geteuid() != 0) {
		log_error("the agent needs root to load and attach its kernel side (run it with "
			  "sudo or "
			  "as a system service; it gives its privileges up wherever it can)");
		return -EPERM;
	}
	err = check_capabilities();
	if (err)
		return err;
	h->config = malloc(sizeof(*h->config));
	if (!h->config)
		return -ENOMEM;
	err = load_config(options, h->config);
	if (!err)
		err = load_policies(h);
	if (!err)
		err = read_integrity_key(h);
	if (!err)
		err = check_cgroups(h->config);
	if (!err)
		err = find_identity(h->config, &h->identity);
	if (!err)
		err = make_state_dir(h);
	if (!err)
		err = take_lock(h);
	if (!err)
		err = open_tcp(h);
	if (!err)
		err = open_socket(h);
	if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, h->channel)) {
		err = -errno;
		log_error("no socket pair: %s", strerror(errno));
	}
	return err;
}

static void release(struct held *h)
{
	cleanup_fd(&h->lock);
	cleanup_fd(&h->listen);
	cleanup_fd(&h->tcp);
	cleanup_fd(&h->channel[0]);
	cleanup_fd(&h->channel[1]);
	policies_free(&h->policies);
	free(h->config);
}

static int run_worker(const struct agent_options *options, struct held *h, pid_t agent_pid)
{
	struct worker_options worker = { .config = h->config,
					 .policies = h->policies,
					 .socket = take_fd(&h->channel[1]),
					 .listen_fd = take_fd(&h->listen),
					 .tcp_fd = take_fd(&h->tcp),
					 .loopback = h->loopback,
					 .token = h->token,
					 .seal_key = &h->seal_key,
					 .uid = h->identity.uid,
					 .gid = h->identity.gid,
					 .socket_group = h->config->socket_group[0]
								 ? h->identity.socket_gid
								 : (gid_t)-1,
					 .agent_pid = agent_pid,
					 .unpin = options->unpin };

	cleanup_fd(&h->channel[0]);
	if (options->ready_fd >= 0)
		close(options->ready_fd);
	return worker_run(&worker); /* the lock is the worker's: it ends with it */
}

/* The worker's lock went with it. Whoever has taken it since has taken the pins over, too. */
static int remove_pins(struct held *h)
{
	char path[LOCK_PATH_LEN];
	_cleanup_fd_ int lock = -EBADF;

	lock_path(h, path);
	lock = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB)) {
		log_warning("the pins in %s stay: another agent runs on them", h->config->pin_dir);
		return 0;
	}
	if (kern_unpin(h->config->pin_dir) < 0) {
		log_error("the pins in %s cannot be removed: %s", h->config->pin_dir, kern_error());
		return 1;
	}
	return 0;
}

/* No agent may run there: neither one of this state directory nor one on these pins. */
static int check_nobody_runs(struct held *h)
{
	char path[LOCK_PATH_LEN];
	int pid = 0;

	lock_path(h, path);
	h->lock = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (h->lock >= 0 && wait_for_lock(h->lock, &pid) == -EBUSY) {
		log_error("an agent (pid %d) runs on %s: stop it first (kill %d)", pid,
			  h->config->state_dir, pid);
		return -EBUSY;
	}
	if (kern_pins_in_use(h->config->pin_dir)) {
		log_error("an agent runs on the pins in %s: stop it first, or name its state "
			  "directory (--state-dir)",
			  h->config->pin_dir);
		return -EBUSY;
	}
	return 0;
}

int agent_unpin(const struct agent_options *options)
{
	struct held h = {
		.lock = -EBADF, .listen = -EBADF, .tcp = -EBADF, .channel = { -EBADF, -EBADF }
	};
	int err = -ENOMEM, removed = 0;

	if (geteuid() != 0) {
		log_error("removing the pins needs root (run it with sudo)");
		return 1;
	}
	h.config = malloc(sizeof(*h.config));
	if (h.config)
		err = load_config(options, h.config);
	if (!err)
		err = check_nobody_runs(&h);
	if (!err && (removed = kern_unpin(h.config->pin_dir)) < 0) {
		log_error("%s", kern_error());
		err = removed;
	}
	if (!err && removed == 0)
		log_info("there are no pins in %s", h.config->pin_dir);
	else if (!err)
		log_info("%d pins removed from %s: the measuring has ended", removed,
			 h.config->pin_dir);
	release(&h);
	return err != 0;
}

static int run_attacher(const struct agent_options *options, struct held *h, pid_t worker)
{
	struct attacher_options attacher = { .config = h->config,
					     .socket = take_fd(&h->channel[0]),
					     .worker = worker,
					     .ready_fd = options->ready_fd };
	bool abortive = false;
	int code;

	cleanup_fd(&h->channel[1]);
	cleanup_fd(&h->listen);
	cleanup_fd(&h->tcp);
	cleanup_fd(&h->lock);
	code = attacher_run(&attacher, &abortive);
	if (abortive || (options->unpin && code == 0))
		code |= remove_pins(h);
	return code;
}

int agent_run(const struct agent_options *options)
{
	struct held h = {
		.lock = -EBADF, .listen = -EBADF, .tcp = -EBADF, .channel = { -EBADF, -EBADF }
	};
	pid_t self = getpid(), worker;
	sigset_t wanted;
	int code = 1;

	if (prepare(options, &h))
		goto out;
	/* both halves read their signals from descriptors: none may strike in between */
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	worker = fork();
	if (worker < 0) {
		log_error("no second process: %s", strerror(errno));
		goto out;
	}
	if (worker == 0) {
		code = run_worker(options, &h, self);
		policies_free(&h.policies);
		free(h.config);
		_exit(code);
	}
	code = run_attacher(options, &h, worker);
out:
	release(&h);
	return code;
}
