// SPDX-License-Identifier: GPL-2.0
/* A function's properties: by name, from the command line and from the configuration alike. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "slicer/slicer.h"

enum kind { MS, NS, COUNT, TEXT, LIST, FLAG, CPUS };

struct property {
	const char *name;
	enum kind kind;
	size_t offset;
	int64_t least, most;
	unsigned room; /* of a list */
};

#define AT(member) offsetof(struct slicer_function, member)
#define EXTENSIONS "/opt/extensions"
#define DAY_MS (24ll * 3600 * 1000)
static const struct property properties[] = {
	{ "memory", COUNT, AT(memory_mb), 16, 10240, 0 },
	{ "timeout", MS, AT(timeout_ms), 1, DAY_MS, 0 },
	{ "init-timeout", MS, AT(init_ms), 1, DAY_MS, 0 },
	{ "cpu-limit", NS, AT(cpu_limit_ns), 1000000, DAY_MS * 1000000, 0 },
	{ "cpu-soft-limit", NS, AT(cpu_soft_ns), 1000000, DAY_MS * 1000000, 0 },
	{ "retire-after-soft-limit", FLAG, AT(retire_after_soft), 0, 1, 0 },
	{ "concurrency", COUNT, AT(concurrency), 1, 4000, 0 },
	{ "freeze-after", MS, AT(freeze_after_ms), 0, DAY_MS, 0 },
	{ "no-freeze", FLAG, AT(no_freeze), 0, 1, 0 },
	{ "idle", MS, AT(idle_ms), 0, 365 * DAY_MS, 0 },
	{ "grace", MS, AT(grace_ms), 1, DAY_MS, 0 },
	{ "suspend", MS, AT(suspend_ms), 1, 365 * DAY_MS, 0 },
	{ "cpus", CPUS, AT(milli_cpus), 0, 0, 0 },
	{ "processes", COUNT, AT(processes), 1, 1 << 22, 0 },
	{ "directory", TEXT, AT(directory), 0, 0, 0 },
	{ "handler", TEXT, AT(handler), 0, 0, 0 },
	{ "user", TEXT, AT(user), 0, 0, 0 },
	{ "env", LIST, AT(variables), 0, 0, FUNCTION_VARIABLES },
	{ "extension", LIST, AT(extensions), 0, 0, FUNCTION_EXTENSIONS },
	{ "extensions", TEXT, AT(extension_directory), 0, 0, 0 },
};
enum { PROPERTIES = sizeof(properties) / sizeof(properties[0]) };

const char *const slicer_function_properties[] = { "command",
						   "memory",
						   "timeout",
						   "init-timeout",
						   "cpu-limit",
						   "cpu-soft-limit",
						   "retire-after-soft-limit",
						   "concurrency",
						   "freeze-after",
						   "no-freeze",
						   "idle",
						   "grace",
						   "suspend",
						   "cpus",
						   "processes",
						   "directory",
						   "handler",
						   "user",
						   "env",
						   "extension",
						   "extensions",
						   NULL };

__attribute__((format(printf, 4, 5))) static int fail(int code, char *error, size_t size,
						      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return code;
}

void slicer_function_defaults(struct slicer_function *f, const char *name)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->memory_mb = 128;
	f->timeout_ms = 3000;
	f->init_ms = 10000;
	f->concurrency = 1;
	f->idle_ms = 10 * 60 * 1000;
	f->grace_ms = 500;
	f->suspend_ms = 60 * 60 * 1000;
	f->processes = 1024;
}

void slicer_function_free(struct slicer_function *f)
{
	for (char **a = f->arguments; *a; a++)
		free(*a);
	for (char **v = f->variables; *v; v++)
		free(*v);
	for (char **e = f->extensions; *e; e++)
		free(*e);
	free(f->extension_directory);
	free(f->directory);
	free(f->handler);
	free(f->user);
	memset(f, 0, sizeof(*f));
}

/* "3" is seconds where Lambda's are; with a unit, whatever it says. */
static int parse_time(const char *value, int64_t unit_ns, int64_t *ret_value)
{
	int64_t ns;

	if (*value && strspn(value, "0123456789") == strlen(value)) {
		if (parse_int64(value, 0, INT64_MAX / 1000000000, &ns))
			return -EINVAL;
		ns *= 1000000000;
	} else if (parse_duration_ns(value, &ns)) {
		return -EINVAL;
	}
	*ret_value = ns / unit_ns;
	return 0;
}

/* "0.5" CPUs as thousandths, exactly. */
static int parse_cpus(const char *value, int64_t *ret_milli)
{
	int64_t whole, part = 0;
	const char *dot = strchr(value, '.');
	char text[16];
	int digits = 0;

	if (dot && (size_t)(dot - value) >= sizeof(text))
		return -EINVAL;
	snprintf(text, sizeof(text), "%.*s", dot ? (int)(dot - value) : 15, value);
	if (parse_int64(text[0] ? text : "0", 0, 4096, &whole))
		return -EINVAL;
	for (const char *c = dot ? dot + 1 : ""; *c; c++, digits++) {
		if (!isdigit((unsigned char)*c) || digits == 3)
			return -EINVAL;
		part = part * 10 + (*c - '0');
	}
	for (; digits < 3; digits++)
		part *= 10;
	*ret_milli = whole * 1000 + part;
	return *ret_milli < 10 ? -EINVAL : 0;
}

static int set_number(int64_t *to, const struct property *p, const char *value, char *error,
		      size_t size)
{
	int64_t number;
	int bad = p->kind == COUNT  ? parse_int64(value, p->least, p->most, &number)
		  : p->kind == CPUS ? parse_cpus(value, &number)
				    : parse_time(value, p->kind == MS ? 1000000 : 1, &number);

	if (bad && p->kind == COUNT)
		return fail(-EINVAL, error, size, "%s is a whole number from %lld to %lld, not %s",
			    p->name, (long long)p->least, (long long)p->most, value);
	if (bad && p->kind == CPUS)
		return fail(-EINVAL, error, size, "%s is a number of CPUs such as 0.5 or 2, not %s",
			    p->name, value);
	if (bad || (p->kind != COUNT && p->kind != CPUS && (number < p->least || number > p->most)))
		return fail(-EINVAL, error, size, "%s is a time such as 500ms, 3s or 15m%s, not %s",
			    p->name, p->least > 1 ? " (1ms or more)" : "", value);
	*to = number;
	return 0;
}

int slicer_function_set(struct slicer_function *f, const char *name, const char *value, char *error,
			size_t size)
{
	for (int i = 0; i < PROPERTIES; i++) {
		const struct property *p = &properties[i];
		void *at = (char *)f + p->offset;
		char **list = at;
		unsigned n = 0;

		if (strcmp(p->name, name) != 0)
			continue;
		switch (p->kind) {
		case TEXT:
			free(*(char **)at);
			*(char **)at = strdup(value);
			return 0;
		case FLAG:
			if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
				return fail(-EINVAL, error, size, "%s is yes or no, not %s", name,
					    value);
			*(bool *)at = value[0] == 'y';
			return 0;
		case LIST:
			while (list[n])
				n++;
			if (n == p->room)
				return fail(-ENOSPC, error, size, "%s: %u at most", name, p->room);
			if (p->offset == AT(variables) && !strchr(value, '='))
				return fail(-EINVAL, error, size, "env is NAME=VALUE, not %s",
					    value);
			list[n] = strdup(value);
			return 0;
		default:
			return set_number(at, p, value, error, size);
		}
	}
	return fail(-ENOENT, error, size, "a function has no property %s", name);
}

int slicer_function_command(struct slicer_function *f, const char *line, char *error, size_t size)
{
	char word[4096], quote = 0;
	size_t n = 0;
	unsigned count = 0;
	bool open = false;

	if (f->arguments[0])
		return fail(-EEXIST, error, size, "command is given twice");
	for (const char *c = line;; c++) {
		if (!*c || (!quote && isspace((unsigned char)*c))) {
			if (open && count == FUNCTION_ARGUMENTS)
				return fail(-E2BIG, error, size, "command: %d words at most",
					    FUNCTION_ARGUMENTS);
			if (open)
				f->arguments[count++] = strndup(word, n);
			n = 0;
			open = false;
			if (!*c)
				break;
			continue;
		}
		open = true;
		if (quote ? *c == quote : *c == '"' || *c == '\'') {
			quote = quote ? 0 : *c;
			continue;
		}
		if (*c == '\\' && quote != '\'' && c[1])
			c++;
		if (n == sizeof(word))
			return fail(-E2BIG, error, size, "command: a word is longer than %zu bytes",
				    sizeof(word));
		word[n++] = *c;
	}
	if (quote)
		return fail(-EINVAL, error, size, "command: a quote (%c) is not closed", quote);
	return count ? 0 : fail(-EINVAL, error, size, "command is empty");
}

static int find_user(struct slicer_function *f, char *error, size_t size)
{
	const char *name = f->user ? f->user : getenv("SUDO_USER");
	const struct passwd *user;

	if (!name || (!f->user && !strcmp(name, "root")))
		name = "nobody";
	user = getpwnam(name);
	if (!user)
		return fail(-ENOENT, error, size,
			    "function %s: there is no user %s (name one with --user)", f->name,
			    name);
	f->uid = user->pw_uid;
	f->gid = user->pw_gid;
	return 0;
}

static int is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Lambda starts each executable file of /opt/extensions; in the order of their names here. */
static int add_extensions(struct slicer_function *f, char *error, size_t size)
{
	const char *directory = f->extension_directory ? f->extension_directory : EXTENSIONS;
	struct dirent **found = NULL;
	unsigned count = 0;
	int n, result = 0;

	if (!strcmp(directory, "none"))
		return 0;
	n = scandir(directory, &found, is_visible, alphasort);
	if (n < 0 && f->extension_directory)
		return fail(-errno, error, size, "function %s: extensions %s: %s", f->name,
			    directory, strerror(errno));
	while (f->extensions[count])
		count++;
	for (int k = 0; k < n; k++) {
		char path[PATH_MAX];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", directory, found[k]->d_name);
		free(found[k]);
		if (result || stat(path, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
			continue;
		if (count == FUNCTION_EXTENSIONS)
			result = fail(-ENOSPC, error, size,
				      "function %s: more than %d extensions, with those of %s "
				      "(extensions = none leaves them out)",
				      f->name, FUNCTION_EXTENSIONS, directory);
		else
			f->extensions[count++] = strdup(path);
	}
	free(found);
	return result;
}

int slicer_function_finish(struct slicer_function *f, char *error, size_t size)
{
	if (!f->name[0])
		return fail(-EINVAL, error, size, "a function needs a name");
	if (!f->arguments[0])
		return fail(-EINVAL, error, size,
			    "function %s has no command (… -- PROGRAM [ARGUMENT...], or command = "
			    "in its section)",
			    f->name);
	if (f->directory && access(f->directory, X_OK))
		return fail(-errno, error, size, "function %s: directory %s: %s", f->name,
			    f->directory, strerror(errno));
	if (add_extensions(f, error, size))
		return -EINVAL;
	for (char *const *e = f->extensions; *e; e++)
		if (access(*e, X_OK))
			return fail(-errno, error, size, "function %s: extension %s: %s", f->name,
				    *e, strerror(errno));
	if (f->cpu_soft_ns && f->cpu_limit_ns && f->cpu_soft_ns >= f->cpu_limit_ns)
		return fail(-EINVAL, error, size,
			    "function %s: cpu-soft-limit must be below cpu-limit", f->name);
	return find_user(f, error, size);
}
