// SPDX-License-Identifier: GPL-2.0
/* See spawn.h. */
#include "slicer/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { VARIABLES = 160, TEXT = 16384 };

struct environment {
	char *list[VARIABLES + 1];
	unsigned count;
	char text[TEXT];
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void set(struct environment *e, const char *format,
						      ...)
{
	char *at = e->text + e->used;
	size_t room = TEXT - e->used, name;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(at, room, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= room)
		return;
	name = strcspn(at, "=") + 1;
	e->used += (size_t)n + 1;
	for (unsigned i = 0; i < e->count; i++)
		if (!strncmp(e->list[i], at, name)) { /* the later one stands */
			e->list[i] = at;
			return;
		}
	if (e->count < VARIABLES)
		e->list[e->count++] = at;
}

/* What passes on from our own environment; the rest is the host's business. */
static const char *const kept[] = { "PATH",
				    "LANG",
				    "LC_ALL",
				    "AWS_REGION",
				    "AWS_DEFAULT_REGION",
				    "AWS_ACCESS_KEY_ID",
				    "AWS_SECRET_ACCESS_KEY",
				    "AWS_SESSION_TOKEN",
				    "LD_LIBRARY_PATH",
				    "NODE_PATH" };

static void fill(struct environment *e, const struct spawning *s)
{
	const struct slicer_function *f = s->function;
	const char *directory = f->directory ? f->directory : ".";
	char here[512] = "/", day[32];
	time_t now = time(NULL);
	struct tm utc;

	if (directory[0] != '/' && getcwd(here, sizeof(here)))
		directory = here;
	strftime(day, sizeof(day), "%Y/%m/%d", gmtime_r(&now, &utc));
	set(e, "PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin");
	set(e, "LANG=en_US.UTF-8");
	set(e, "TZ=:UTC");
	set(e, "HOME=/tmp");
	set(e, "AWS_REGION=us-east-1");
	set(e, "AWS_DEFAULT_REGION=us-east-1");
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (getenv(kept[i]))
			set(e, "%s=%s", kept[i], getenv(kept[i]));
	set(e, "AWS_EXECUTION_ENV=AWS_Lambda_oncpu");
	set(e, "AWS_LAMBDA_FUNCTION_NAME=%s", f->name);
	set(e, "AWS_LAMBDA_FUNCTION_VERSION=$LATEST");
	set(e, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%lld", (long long)f->memory_mb);
	set(e, "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/%s", f->name);
	set(e, "AWS_LAMBDA_LOG_STREAM_NAME=%s/[$LATEST]%08x%08x", day, (unsigned)getpid(),
	    s->number);
	set(e, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand");
	set(e, "_HANDLER=%s", f->handler ? f->handler : "index.handler");
	set(e, "LAMBDA_TASK_ROOT=%s", directory);
	set(e, "LAMBDA_RUNTIME_DIR=/var/runtime");
	for (char *const *v = f->variables; *v; v++)
		set(e, "%s", *v);
	set(e, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:%u", s->port);
	set(e, "ONCPU_SLICER=127.0.0.1:%u", s->port);
	e->list[e->count] = NULL;
}

static void fail(const char *what)
{
	dprintf(2, "oncpu: %s: %s\n", what, strerror(errno));
	_exit(127);
}

/* execvpe looks in our PATH, not in the one that the function gets: set that first. */
static void run(const struct spawning *s, struct environment *e)
{
	const char *const *arguments = (const char *const *)s->function->arguments;
	const char *extension[2] = { s->extension, NULL };

	if (s->extension)
		arguments = extension;
	environ = e->list;
	execvp(arguments[0], (char *const *)(uintptr_t)arguments);
	fail(arguments[0]);
}

static void child(const struct spawning *s, pid_t keeper)
{
	static struct environment e;
	const struct slicer_function *f = s->function;
	struct rlimit files = { 1024, 1024 };
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, 0) < 0 || dup2(s->log, 1) < 0 || dup2(s->log, 2) < 0)
		_exit(127);
	if (cage_enter_v1(s->cage))
		fail("the cgroups for limits cannot be entered");
	fill(&e, s);
	setrlimit(RLIMIT_NOFILE, &files);
	if (setsid() < 0 || setgroups(0, NULL) || setresgid(f->gid, f->gid, f->gid) ||
	    setresuid(f->uid, f->uid, f->uid))
		fail("the function's user cannot be taken on");
	if (f->directory && chdir(f->directory))
		fail(f->directory);
	/* after the change of user, which clears it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getppid() != keeper)
		_exit(127);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close_range(3, ~0u, 0);
	run(s, &e);
}

pid_t spawn(const struct spawning *s)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t)s->cage->fd };
	pid_t keeper = getpid(), pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (!pid)
		child(s, keeper);
	if (pid > 0)
		return pid;
	if (errno != ENOSYS && errno != EPERM && errno != EINVAL)
		return -errno;
	pid = fork(); /* a seccomp filter that refuses clone3: enter first, then exec */
	if (!pid) {
		if (cage_enter(s->cage))
			_exit(127);
		child(s, keeper);
	}
	return pid < 0 ? -errno : pid;
}
