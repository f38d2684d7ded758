// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the configuration file with inih.
 *
 * inih cuts lines and section names without a word, and takes an indented line for the rest of the
 * one before. So each line passes through our own reader first: it refuses long lines, takes the
 * indent off, keeps the section's whole name and counts lines. The first problem is the one told.
 */
#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/text.h"

#define LINE_MAX_BYTES 200
#define AUDIT_LEAST_NS 50000000

enum section { SECTION_NONE, SECTION_AGENT, SECTION_FUNCTION, SECTION_MARK };

struct reading {
	struct agent_config *config;
	const char *path;
	FILE *file;
	char *error;
	int code; /* first problem, 0 = none */
	unsigned line;
	enum section section;
	uint32_t seen; /* keys of this section already given */
};

struct key {
	const char *name;
	int (*set)(struct reading *r, const struct key *key, const char *value);
	size_t offset, size;
	int64_t min, max;
	bool repeatable;
	const char *value, *help; /* for the manual: what it takes, and a phrase on it */
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reading *r, const char *format, ...)
{
	va_list arguments;
	int n;

	if (r->code)
		return r->code;
	n = snprintf(r->error, CONFIG_ERROR_LEN, "%s:%u: ", r->path, r->line);
	if (n < 0 || n >= CONFIG_ERROR_LEN)
		n = 0;
	va_start(arguments, format);
	vsnprintf(r->error + n, (size_t)(CONFIG_ERROR_LEN - n), format, arguments);
	va_end(arguments);
	return r->code = -EINVAL;
}

static struct config_function *this_function(struct reading *r)
{
	return &r->config->functions[r->config->function_count - 1];
}

static struct config_mark *this_mark(struct reading *r)
{
	return &r->config->marks[r->config->mark_count - 1];
}

static void *place(struct reading *r, const struct key *key)
{
	if (r->section == SECTION_FUNCTION)
		return (char *)this_function(r) + key->offset;
	if (r->section == SECTION_MARK)
		return (char *)this_mark(r) + key->offset;
	return (char *)r->config + key->offset;
}

static int set_text(struct reading *r, const struct key *key, const char *value)
{
	size_t n = strlen(value);

	if (n == 0)
		return refuse(r, "%s has no value (give one or delete the line)", key->name);
	if (n >= key->size)
		return refuse(r, "%s is longer than %zu bytes (shorten it)", key->name,
			      key->size - 1);
	if (!text_is_clean(value, n))
		return refuse(r, "%s is no clean UTF-8 text", key->name);
	memcpy(place(r, key), value, n + 1);
	return 0;
}

static int set_path(struct reading *r, const struct key *key, const char *value)
{
	if (value[0] != '/')
		return refuse(r, "%s = %s is no absolute path (begin it with /)", key->name, value);
	return set_text(r, key, value);
}

static int set_number(struct reading *r, const struct key *key, const char *value)
{
	int64_t number;

	if (parse_int64(value, key->min, key->max, &number))
		return refuse(r, "%s = %s is no whole number from %lld to %lld", key->name, value,
			      (long long)key->min, (long long)key->max);
	if (key->size == sizeof(uint32_t)) {
		uint32_t narrow = (uint32_t)number;

		memcpy(place(r, key), &narrow, sizeof(narrow));
	} else {
		memcpy(place(r, key), &number, sizeof(number));
	}
	return 0;
}

static int set_bytes(struct reading *r, const struct key *key, const char *value)
{
	uint64_t bytes;

	if (parse_bytes(value, &bytes) || bytes > (uint64_t)key->max)
		return refuse(r, "%s = %s is no size (a number and KiB, MiB, GiB)", key->name,
			      value);
	if (key->size == sizeof(uint32_t)) {
		uint32_t narrow = (uint32_t)bytes;

		memcpy(place(r, key), &narrow, sizeof(narrow));
	} else {
		memcpy(place(r, key), &bytes, sizeof(bytes));
	}
	return 0;
}

static int set_ring(struct reading *r, const struct key *key, const char *value)
{
	int err = set_bytes(r, key, value);
	uint32_t bytes = r->config->ring_bytes;

	if (!err && (bytes < 65536 || (bytes & (bytes - 1))))
		return refuse(r, "%s = %s is no power of two of at least 64KiB (try 16MiB)",
			      key->name, value);
	return err;
}

static int set_age(struct reading *r, const struct key *key, const char *value)
{
	int64_t ns;
	uint64_t seconds;

	if (parse_duration_ns(value, &ns) || ns < 0)
		return refuse(r,
			      "%s = %s is no duration (a number and s, m, h, d, w; 0 = for ever)",
			      key->name, value);
	seconds = (uint64_t)ns / 1000000000u;
	if (ns > 0 && seconds == 0)
		return refuse(r, "%s = %s is less than a second", key->name, value);
	memcpy(place(r, key), &seconds, sizeof(seconds));
	return 0;
}

static int set_level(struct reading *r, const struct key *key, const char *value)
{
	(void)key;
	if (log_level_parse(value, &r->config->log_level))
		return refuse(r, "log_level = %s is unknown (error, warning, info or debug)",
			      value);
	return 0;
}

static int set_audit(struct reading *r, const struct key *key, const char *value)
{
	int64_t ns;

	if (parse_duration_ns(value, &ns) || ns < 0 || (ns > 0 && ns < AUDIT_LEAST_NS))
		return refuse(r, "%s = %s is no duration of at least 50ms (0 = never)", key->name,
			      value);
	memcpy(place(r, key), &ns, sizeof(ns));
	return 0;
}

static int set_switch(struct reading *r, const struct key *key, const char *value)
{
	bool on = strcmp(value, "on") == 0;

	if (!on && strcmp(value, "off") != 0)
		return refuse(r, "%s = %s is neither on nor off", key->name, value);
	memcpy(place(r, key), &on, sizeof(on));
	return 0;
}

static int set_cgroup(struct reading *r, const struct key *key, const char *value)
{
	struct kern_pattern *pattern;

	if (value[0] != '/')
		return refuse(r, "%s = %s is no cgroup path (begin it with /)", key->name, value);
	if (strlen(value) >= ONCPU_PATTERN_LEN || !text_is_clean(value, strlen(value)))
		return refuse(r, "%s is longer than %u bytes or no clean text", key->name,
			      ONCPU_PATTERN_LEN - 1);
	for (const char *at = value; *at; at += 1 + strcspn(at + 1, "/")) {
		size_t n = strcspn(at + 1, "/");

		/* the kernel's path of a cgroup is never written so: it would match nothing */
		if (n == 0 || strncmp(at + 1, "..", n > 2 ? n : 2) == 0 || (n == 1 && at[1] == '.'))
			return refuse(
				r,
				"%s = %s can match no cgroup: it has an empty, . or .. component "
				"(write the path as /proc/PID/cgroup shows it)",
				key->name, value);
	}
	if (r->config->pattern_count == ONCPU_MAX_PATTERNS)
		return refuse(r, "more than %u cgroup patterns (join some with * or ?)",
			      ONCPU_MAX_PATTERNS);
	r->config->pattern_lines[r->config->pattern_count] = r->line;
	pattern = &r->config->patterns[r->config->pattern_count++];
	memcpy(pattern->function, this_function(r)->name, sizeof(pattern->function));
	snprintf(pattern->pattern, sizeof(pattern->pattern), "%s", value);
	return 0;
}

static int set_boundary(struct reading *r, const struct key *key, const char *value)
{
	static const char *const names[] = { "start", "invoke", "response", "done", NULL };
	static const uint32_t kinds[] = { ONCPU_EV_START, ONCPU_EV_INVOKE, ONCPU_EV_RESPONSE,
					  ONCPU_EV_END };

	(void)key;
	for (size_t i = 0; names[i]; i++) {
		if (strcmp(names[i], value) == 0) {
			this_mark(r)->how.kind = kinds[i];
			return 0;
		}
	}
	return refuse(r, "boundary = %s is unknown (start, invoke, response or done)", value);
}

static int set_integrity(struct reading *r, const struct key *key, const char *value)
{
	(void)key;
	if (strcmp(value, "chain") != 0 && strcmp(value, "none") != 0)
		return refuse(r, "integrity = %s is unknown (none or chain)", value);
	r->config->seal = value[0] == 'c';
	return 0;
}

#define AT(s, m) .offset = offsetof(struct s, m), .size = sizeof(((struct s *)0)->m)

static const struct key agent_keys[] = {
	{ "state_dir", set_path, AT(agent_config, state_dir), .value = "DIR",
	  .help = "the ledger's segments and the agent's lock (/var/lib/oncpu)" },
	{ "socket", set_path, AT(agent_config, socket), .value = "PATH",
	  .help = "where it answers (/run/oncpu/oncpu.sock)" },
	{ "socket_group", set_text, AT(agent_config, socket_group), .value = "GROUP",
	  .help = "who may ask besides root and the agent's user (the user's own group)" },
	{ "listen", set_text, AT(agent_config, listen), .value = "ADDRESS:PORT",
	  .help = "serve the API on TCP, too: 127.0.0.1 for this host, anything else with a "
		  "token_file (no)" },
	{ "token_file", set_path, AT(agent_config, token_file), .value = "FILE",
	  .help = "its first line is what TCP clients show, Authorization: Bearer TOKEN (none)" },
	{ "pin_dir", set_path, AT(agent_config, pin_dir), .value = "DIR",
	  .help = "where the kernel side is pinned (/sys/fs/bpf/oncpu, or one derived from "
		  "state_dir)" },
	{ "user", set_text, AT(agent_config, user), .value = "NAME",
	  .help = "whom the half that parses and serves runs as (oncpu, or an id that is "
		  "nobody's)" },
	{ "policies", set_path, AT(agent_config, policies), .value = "FILE",
	  .help = "billing policies, added to the built-in ones or replacing them by name; the "
		  "form is that of /v1/policies (none)" },
	{ "policy", set_text, AT(agent_config, policy), .value = "NAME",
	  .help = "the host's own policy, whose bill is kept with each record (aws-lambda)" },
	{ "host", set_text, AT(agent_config, host), .value = "NAME",
	  .help = "the host's name in records (the host's own)" },
	{ .name = "log_level",
	  .set = set_level,
	  .value = "LEVEL",
	  .help = "error, warning, info or debug (info)" },
	{ "max_instances", set_number, AT(agent_config, max_instances), 1,
	  (1 << ONCPU_INSTANCE_BITS) - 1, .value = "N",
	  .help = "instances tracked at once; what is beyond is counted (4096)" },
	{ "max_threads", set_number, AT(agent_config, max_threads), 2, 1 << 22, .value = "N",
	  .help = "threads tracked at once; what is beyond is counted (65536)" },
	{ "ring_bytes", set_ring, AT(agent_config, ring_bytes), 0, 1 << 30, .value = "SIZE",
	  .help = "the event ring, a power of two: what the kernel keeps while the agent is "
		  "down (16MiB)" },
	{ "retention_age", set_age, AT(agent_config, retention_seconds), .value = "T",
	  .help = "how old a segment of the ledger gets; 0 = for ever (30d)" },
	{ "retention_bytes", set_bytes, AT(agent_config, retention_bytes), 0, INT64_MAX,
	  .value = "SIZE", .help = "how large the ledger gets; 0 = no limit (0)" },
	{ "reorder_ms", set_number, AT(agent_config, reorder_ms), 1, 60000, .value = "N",
	  .help = "how long an event that has a gap before it waits for the missing one (100)" },
	{ "audit", set_audit, AT(agent_config, audit_ns), .value = "T",
	  .help = "how often each instance is compared with the kernel's own total of its cgroup; "
		  "0 = never (10s)" },
	{ "where", set_switch, AT(agent_config, where), .value = "on|off",
	  .help = "watch where wall time goes: running, run queue, throttled, I/O, idle, frozen "
		  "(off)" },
	{ "irq", set_switch, AT(agent_config, irq), .value = "on|off",
	  .help = "measure what interrupts take out of on-CPU time: irq_ns and cpu_net_ns "
		  "(off)" },
	{ "without", set_text, AT(agent_config, without), .value = "LIST",
	  .help = "go without these as if the host had them not, by comma: those of oncpu doctor's "
		  "\"without\" lines (none)" },
	{ .name = "integrity",
	  .set = set_integrity,
	  .value = "none|chain",
	  .help = "chain: seal each record with a hash over it and the one before, for oncpu "
		  "verify (none)" },
	{ "integrity_key", set_path, AT(agent_config, integrity_key), .value = "FILE",
	  .help = "with integrity = chain: a secret of 16 to 256 bytes that the seals are made "
		  "with (none)" },
	{ .name = NULL },
};

static const struct key function_keys[] = {
	{ "cgroup", set_cgroup, .repeatable = true, .value = "PATTERN",
	  .help = "a cgroup's path as /proc/PID/cgroup shows it is one instance of the function; "
		  "'*' stands for any bytes of one component, '?' for one byte; repeatable" },
	{ "memory_mb", set_number, AT(config_function, facts.memory_mb), 1, 1 << 30, .value = "N",
	  .help = "its configured memory, which policies bill" },
	{ "version", set_text, AT(config_function, facts.version), .value = "TEXT",
	  .help = "stands in its records" },
	{ "quota_us", set_number, AT(config_function, facts.quota_us), 1, INT64_MAX, .value = "N",
	  .help = "its CPU quota, stands in its records" },
	{ "period_us", set_number, AT(config_function, facts.period_us), 1, INT64_MAX, .value = "N",
	  .help = "and the quota's period" },
	{ .name = NULL },
};

static const struct key mark_keys[] = {
	{ "file", set_path, AT(config_mark, file), .value = "PATH",
	  .help = "the library or program" },
	{ "symbol", set_text, AT(config_mark, symbol), .value = "NAME",
	  .help = "its function, whose call is the boundary" },
	{ .name = "boundary",
	  .set = set_boundary,
	  .value = "KIND",
	  .help = "start, invoke, response or done" },
	{ "id_arg", set_number, AT(config_mark, how.id_arg), 0, 5, .value = "N",
	  .help = "which argument points to the invocation's id, from 0 (none does)" },
	{ "function_arg", set_number, AT(config_mark, how.name_arg), 0, 5, .value = "N",
	  .help = "which argument points to the function's name (none does)" },
	{ "status_arg", set_number, AT(config_mark, how.status_arg), 0, 5, .value = "N",
	  .help = "which argument is the status, 0 being ok (none is)" },
	{ "function", set_text, AT(config_mark, how.function), .value = "NAME",
	  .help = "the function's name, where no argument tells it" },
	{ .name = NULL },
};

void config_describe(void (*visit)(void *user, const char *section, const char *key,
				   const char *value, const char *help),
		     void *user)
{
	static const struct {
		const char *section;
		const struct key *keys;
	} sections[] = { { "agent", agent_keys },
			 { "function \"NAME\"", function_keys },
			 { "mark \"NAME\"", mark_keys } };

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		for (const struct key *key = sections[i].keys; key->name; key++)
			visit(user, sections[i].section, key->name, key->value, key->help);
}

static const struct key *keys_of(enum section section)
{
	return section == SECTION_AGENT	     ? agent_keys
	       : section == SECTION_FUNCTION ? function_keys
					     : mark_keys;
}

/* Before a section is left: has it all that it needs? */
static int section_close(struct reading *r)
{
	const struct config_mark *mark;
	const char *missing;

	if (r->section != SECTION_MARK)
		return 0;
	mark = this_mark(r);
	missing = !mark->file[0]     ? "file"
		  : !mark->symbol[0] ? "symbol"
		  : !mark->how.kind  ? "boundary"
				     : NULL;
	if (missing) {
		r->line = mark->line;
		return refuse(r, "mark \"%s\" has no %s (add the line \"%s = …\")", mark->name,
			      missing, missing);
	}
	return 0;
}

static int begin_function(struct reading *r, const char *name)
{
	struct agent_config *config = r->config;
	struct config_function *function;

	for (size_t i = 0; i < config->function_count; i++)
		if (strcmp(config->functions[i].name, name) == 0)
			return refuse(r, "function \"%s\" stands in line %u already (join the two)",
				      name, config->functions[i].line);
	if (config->function_count == CONFIG_MAX_FUNCTIONS)
		return refuse(r, "more than %d functions", CONFIG_MAX_FUNCTIONS);
	function = &config->functions[config->function_count++];
	memset(function, 0, sizeof(*function));
	snprintf(function->name, sizeof(function->name), "%s", name);
	function->line = r->line;
	function->facts.memory_mb = function->facts.quota_us = function->facts.period_us = -1;
	r->section = SECTION_FUNCTION;
	return 0;
}

static int begin_mark(struct reading *r, const char *name)
{
	struct config_mark *mark;

	if (r->config->mark_count == CONFIG_MAX_MARKS)
		return refuse(r, "more than %d marks", CONFIG_MAX_MARKS);
	mark = &r->config->marks[r->config->mark_count++];
	memset(mark, 0, sizeof(*mark));
	snprintf(mark->name, sizeof(mark->name), "%s", name);
	mark->line = r->line;
	mark->how.id_arg = mark->how.name_arg = mark->how.status_arg = -1;
	r->section = SECTION_MARK;
	return 0;
}

static int unknown_section(struct reading *r, const char *name)
{
	static const char *const names[] = { "agent", "function", "mark", NULL };
	char word[32];
	const char *near;

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, " \t\""), name);
	near = config_nearest(word, names);
	if (near && strcmp(near, word) == 0 && strcmp(near, "agent") != 0)
		return refuse(r, "section [%s] wants a name (write [%s \"NAME\"])", name, near);
	return refuse(r, "unknown section [%s] (%s%s%s)", word, near ? "did you mean [" : "known: ",
		      near ? near : "[agent], [function \"NAME\"], [mark \"NAME\"]",
		      near ? "]?" : "");
}

/* `[function "thumb"]`: the kind to *ret_name's left, the quoted name copied out. */
static int section_begin(struct reading *r, char *header)
{
	char *open, *name, *close;
	size_t kind;

	if (section_close(r))
		return r->code;
	r->seen = 0;
	r->section = SECTION_NONE;
	close = strrchr(header, ']');
	if (!close)
		return refuse(r, "the section's ] is missing");
	*close = '\0';
	if (strcmp(header, "agent") == 0) {
		r->section = SECTION_AGENT;
		return 0;
	}
	open = strchr(header, '"');
	close = strrchr(header, '"');
	if (!open || close == open || close[1])
		return unknown_section(r, header);
	kind = strcspn(header, " \t\"");
	name = open + 1;
	*close = '\0';
	if (!*name || strlen(name) >= ONCPU_NAME_LEN || !text_is_clean(name, strlen(name)))
		return refuse(r, "the name is empty, longer than %u bytes or no clean text",
			      ONCPU_NAME_LEN - 1);
	if (kind == strlen("function") && strncmp(header, "function", kind) == 0)
		return begin_function(r, name);
	if (kind == strlen("mark") && strncmp(header, "mark", kind) == 0)
		return begin_mark(r, name);
	return unknown_section(r, header);
}

static int unknown_key(struct reading *r, const char *name)
{
	const char *names[32] = { NULL };
	const char *near;
	size_t n = 0;

	for (const struct key *key = keys_of(r->section); key->name && n < 31; key++)
		names[n++] = key->name;
	near = config_nearest(name, names);
	return refuse(r, "unknown key %s (%s%s%s)", name,
		      near ? "did you mean " : "the first known is ", near ? near : names[0],
		      near ? "?" : "");
}

/* inih's handler: 1 = fine. Section names come from our own reader, for inih cuts them. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	const struct key *keys;

	(void)section;
	if (r->code)
		return 0;
	if (r->section == SECTION_NONE) {
		refuse(r, "%s stands before any section (begin with [agent])", name);
		return 0;
	}
	keys = keys_of(r->section);
	for (size_t i = 0; keys[i].name; i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		if (!keys[i].repeatable && (r->seen & 1u << i)) {
			refuse(r, "%s is given twice in this section (delete one)", name);
			return 0;
		}
		r->seen |= 1u << i;
		return keys[i].set(r, &keys[i], value) == 0;
	}
	unknown_key(r, name);
	return 0;
}

/* inih's reader, like fgets. */
static char *next_line(char *buffer, int size, void *stream)
{
	struct reading *r = stream;
	char line[LINE_MAX_BYTES + 2], *at = line;
	size_t n;

	if (r->code || !fgets(line, sizeof(line), r->file))
		return NULL;
	r->line++;
	n = strlen(line);
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	else if (!feof(r->file))
		n = LINE_MAX_BYTES;
	if (n >= LINE_MAX_BYTES - 1 || n + 2 > (size_t)size) {
		refuse(r, "the line has %d bytes or more, or a NUL (shorten it)",
		       LINE_MAX_BYTES - 1);
		return NULL;
	}
	while (isspace((unsigned char)*at))
		at++;
	snprintf(buffer, (size_t)size, "%s\n", at);
	if (*at == '[' && section_begin(r, at + 1))
		return NULL;
	return buffer;
}

int config_read(struct agent_config *config, const char *path, char error[CONFIG_ERROR_LEN])
{
	_cleanup_file_ FILE *file = fopen(path, "re");
	struct reading r = { .config = config, .path = path, .file = file, .error = error };
	int bad;

	if (!file) {
		int code = -errno;

		snprintf(error, CONFIG_ERROR_LEN, "%s: %s (name another file with --config)", path,
			 strerror(errno));
		return code;
	}
	bad = ini_parse_stream(next_line, &r, on_key, &r);
	if (!r.code && ferror(file)) {
		snprintf(error, CONFIG_ERROR_LEN,
			 "%s: cannot be read: %s (name a file with --config)", path,
			 strerror(errno));
		return -EIO;
	}
	if (!r.code && bad != 0) {
		r.line = bad > 0 ? (unsigned)bad : r.line;
		refuse(&r, "neither a [section] nor \"key = value\"");
	}
	if (!r.code)
		section_close(&r);
	if (!r.code)
		snprintf(config->config_path, sizeof(config->config_path), "%s", path);
	return r.code;
}
