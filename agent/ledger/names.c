// SPDX-License-Identifier: GPL-2.0
/*
 * Keys of names in the segment being written: a small direct-mapped cache before the dictionary
 * tables, so that memory stays flat with any number of instances. Emptied when a transaction is
 * rolled back, for it may hold keys that were never committed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/internal.h"

#define TEXT_SLOTS 4096u
#define POLICY_SLOTS 8u

struct names {
	bool any;
	struct {
		bool used;
		int64_t key;
		char text[RECORD_INSTANCE_LEN];
	} texts[TEXT_SLOTS];
	struct {
		bool used;
		int64_t key;
		char policy[24];
		uint32_t version;
	} policies[POLICY_SLOTS];
	struct {
		bool used;
		int64_t key;
		char host[RECORD_HOST_LEN];
		char boot_id[RECORD_BOOT_LEN];
	} boot;
};

int names_new(struct names **ret_names)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	*ret_names = names;
	return 0;
}

void names_free(struct names **names)
{
	free(*names);
	*names = NULL;
}

void names_clear(struct names *names)
{
	if (names->any)
		memset(names, 0, sizeof(*names));
}

static int run(sqlite3_stmt *st, bool *ret_row, int64_t *ret_key)
{
	int rc = sqlite3_step(st), again;

	*ret_row = rc == SQLITE_ROW;
	if (*ret_row)
		*ret_key = sqlite3_column_int64(st, 0);
	again = sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : again ? again : rc;
}

/* `find` gives the key, or `add` makes the row (both have the same parameters bound). */
static int find_or_add(sqlite3_stmt *find, sqlite3_stmt *add, int64_t *ret_key)
{
	bool row;
	int64_t unused;
	int rc = run(find, &row, ret_key);

	if (rc != SQLITE_OK || row)
		return rc;
	rc = run(add, &row, &unused);
	if (rc == SQLITE_OK)
		*ret_key = sqlite3_last_insert_rowid(sqlite3_db_handle(add));
	return rc;
}

static unsigned slot_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return (hash ^ hash >> 15) % TEXT_SLOTS;
}

int names_text(struct names *names, const struct names_statements *st, const char *text,
	       int64_t *ret_key)
{
	unsigned slot = slot_of(text);
	int rc;

	if (names->texts[slot].used && strcmp(names->texts[slot].text, text) == 0) {
		*ret_key = names->texts[slot].key;
		return SQLITE_OK;
	}
	sqlite3_bind_text(st->text_find, 1, text, -1, SQLITE_STATIC);
	sqlite3_bind_text(st->text_add, 1, text, -1, SQLITE_STATIC);
	rc = find_or_add(st->text_find, st->text_add, ret_key);
	if (rc == SQLITE_OK && strlen(text) < sizeof(names->texts[slot].text)) {
		names->any = names->texts[slot].used = true;
		names->texts[slot].key = *ret_key;
		strcpy(names->texts[slot].text, text);
	}
	return rc;
}

int names_boot(struct names *names, const struct names_statements *st, const char *host,
	       const char *boot_id, int64_t *ret_key)
{
	int rc;

	if (names->boot.used && strcmp(names->boot.boot_id, boot_id) == 0 &&
	    strcmp(names->boot.host, host) == 0) {
		*ret_key = names->boot.key;
		return SQLITE_OK;
	}
	sqlite3_bind_text(st->boot_find, 1, boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(st->boot_find, 2, host, -1, SQLITE_STATIC);
	sqlite3_bind_text(st->boot_add, 1, boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(st->boot_add, 2, host, -1, SQLITE_STATIC);
	rc = find_or_add(st->boot_find, st->boot_add, ret_key);
	if (rc == SQLITE_OK && strlen(host) < RECORD_HOST_LEN &&
	    strlen(boot_id) < RECORD_BOOT_LEN) {
		names->any = names->boot.used = true;
		names->boot.key = *ret_key;
		strcpy(names->boot.host, host);
		strcpy(names->boot.boot_id, boot_id);
	}
	return rc;
}

int names_policy(struct names *names, const struct names_statements *st, const char *policy,
		 uint32_t version, int64_t *ret_key)
{
	unsigned slot = (slot_of(policy) + version) % POLICY_SLOTS;
	int rc;

	if (names->policies[slot].used && names->policies[slot].version == version &&
	    strcmp(names->policies[slot].policy, policy) == 0) {
		*ret_key = names->policies[slot].key;
		return SQLITE_OK;
	}
	sqlite3_bind_text(st->policy_find, 1, policy, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st->policy_find, 2, version);
	sqlite3_bind_text(st->policy_add, 1, policy, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st->policy_add, 2, version);
	rc = find_or_add(st->policy_find, st->policy_add, ret_key);
	if (rc == SQLITE_OK && strlen(policy) < sizeof(names->policies[slot].policy)) {
		names->any = names->policies[slot].used = true;
		names->policies[slot].key = *ret_key;
		names->policies[slot].version = version;
		strcpy(names->policies[slot].policy, policy);
	}
	return rc;
}
