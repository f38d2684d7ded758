/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agent's configuration: one plain value, read once at start by the privileged half and shared
 * by both. Bounded: nothing in it grows with the file.
 *
 *	[agent]
 *	state_dir = /var/lib/oncpu        ; ledger segments and the lock
 *	socket = /run/oncpu/oncpu.sock    ; the API
 *	socket_group = adm                ; who may ask besides root and the agent's user
 *	listen = 127.0.0.1:9464           ; the API on TCP, too; other hosts need a token
 *	token_file = /etc/oncpu/token     ; what "Authorization: Bearer …" must say there
 *	user = oncpu                      ; whom the parsing and serving half runs as
 *	retention_age = 30d               ; 0 = for ever
 *	retention_bytes = 20GiB           ; 0 = no limit
 *	integrity = chain                 ; seal each record: core/seal.h
 *	integrity_key = /etc/oncpu/key    ; and with a key
 *	audit = 10s                       ; compare with the kernel's own books; 0 = never
 *	where = on                        ; watch where wall time goes; off
 *	irq = on                          ; measure what interrupts take out of on-CPU time; off
 *	policies = /etc/oncpu/policies.json ; adds and replaces billing policies, by name
 *	policy = aws-lambda               ; the host's own: whose bill each record keeps
 *
 *	[function "thumb"]
 *	cgroup = /faas/thumb-*            ; repeatable; '*' within one component, '?' one byte
 *	memory_mb = 128
 *
 *	[mark "their receive_invoke"]
 *	file = /usr/lib/libruntime.so.1
 *	symbol = runtime_next
 *	boundary = invoke                 ; start, invoke, response or done
 *	id_arg = 1                        ; 0-based register argument
 */
#ifndef ONCPU_DAEMON_CONFIG_H
#define ONCPU_DAEMON_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "core/correlate.h"
#include "core/policy.h"
#include "kern/kern.h"

#define CONFIG_PATH_LEN 256 /* bytes of a path, NUL included */
#define CONFIG_USER_LEN 33
#define CONFIG_SYMBOL_LEN 160
#define CONFIG_ERROR_LEN 640
#define CONFIG_MAX_FUNCTIONS 1024
#define CONFIG_MAX_MARKS 64
#define CONFIG_SOCKET_LEN 108 /* sun_path */
#define CONFIG_ADDRESS_LEN 64

/* Whom the worker runs as where there is no user oncpu: an id that is nobody's, from the range that
 * systemd gives to dynamic users. Not `nobody`: functions run as that, and could stop or trace it.
 */
#define CONFIG_SPARE_USER "61185"

#define CONFIG_DEFAULT_FILE "/etc/oncpu/oncpu.conf"
#define CONFIG_DEFAULT_STATE_DIR "/var/lib/oncpu"
#define CONFIG_DEFAULT_SOCKET "/run/oncpu/oncpu.sock"
#define CONFIG_DEFAULT_PIN_DIR "/sys/fs/bpf/oncpu"
#define CONFIG_DEFAULT_AUDIT_NS 10000000000ull

struct config_function {
	char name[ONCPU_NAME_LEN];
	unsigned line;
	struct function_facts facts;
};

struct config_mark {
	char name[ONCPU_NAME_LEN];
	unsigned line;
	char file[CONFIG_PATH_LEN];
	char symbol[CONFIG_SYMBOL_LEN];
	struct kern_symbol how;
};

struct agent_config {
	char config_path[CONFIG_PATH_LEN]; /* the file read, "" = none */
	char state_dir[CONFIG_PATH_LEN];   /* absolute; the ledger's segments lie in it */
	char socket[CONFIG_SOCKET_LEN];
	char socket_group[CONFIG_USER_LEN]; /* "" = the user's own group */
	char listen[CONFIG_ADDRESS_LEN];    /* "" = no TCP */
	char token_file[CONFIG_PATH_LEN];   /* "" = none */
	char pin_dir[CONFIG_PATH_LEN];
	char user[CONFIG_USER_LEN];
	char policies[CONFIG_PATH_LEN]; /* a file, "" = the presets alone */
	char policy[POLICY_NAME_LEN];	/* "" = aws-lambda */
	char host[RECORD_HOST_LEN];
	enum log_level log_level;
	uint32_t max_instances, max_threads, ring_bytes;
	uint64_t retention_seconds, retention_bytes;
	bool seal;			     /* records, in a chain */
	char integrity_key[CONFIG_PATH_LEN]; /* "" = none */
	uint64_t reorder_ms;
	char without[128]; /* kern_parse_without's list */
	bool where;	   /* watch where wall time goes */
	uint64_t audit_ns; /* how often each instance is compared with its cpu.stat; 0 = never */
	bool irq;	   /* measure what interrupts take */

	struct config_function functions[CONFIG_MAX_FUNCTIONS];
	size_t function_count;
	struct kern_pattern patterns[ONCPU_MAX_PATTERNS];
	unsigned pattern_lines[ONCPU_MAX_PATTERNS];
	size_t pattern_count;
	struct config_mark marks[CONFIG_MAX_MARKS];
	size_t mark_count;
};

/* Everything at its default, but for what config_finish derives. It is large: allocate it. */
void config_defaults(struct agent_config *config);

/*
 * Reads a file on top of *config. 0, or -errno with one line "FILE:LINE: cause (cure)" in error;
 * config is then half written. A file that does not exist: -ENOENT.
 */
int config_read(struct agent_config *config, const char *path, char error[CONFIG_ERROR_LEN]);

/* Derives what is still empty (pin_dir, user, host), makes state_dir absolute, checks the whole. */
int config_finish(struct agent_config *config, char error[CONFIG_ERROR_LEN]);

/* CONFIG_DEFAULT_PIN_DIR, with a hash of the state directory unless that is the default one. */
int config_pin_dir(const char *state_dir, char *buffer, size_t size);

/* 0 or -ENOENT; *ret_facts is written on success only. */
int config_facts(const struct agent_config *config, const char *function,
		 struct function_facts *ret_facts);

/* Each key that a file may have, section by section: what it takes and a phrase on it. */
void config_describe(void (*visit)(void *user, const char *section, const char *key,
				   const char *value, const char *help),
		     void *user);

/* The policies that the configuration asks for. 0, or -errno with one line in error. */
int config_policies(const char *path, const char *host_policy, struct policies **ret_policies,
		    char error[CONFIG_ERROR_LEN]);

/* Of a NULL-terminated list, the name nearest to `word`, or NULL when none is near. */
const char *config_nearest(const char *word, const char *const *names);

#endif
