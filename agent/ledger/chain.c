// SPDX-License-Identifier: GPL-2.0
/* See chain.h. */
#include "ledger/chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/record_json.h"

int chain_new(bool seal, const struct digest_key *key, struct chain **ret_chain)
{
	struct chain *chain = calloc(1, sizeof(*chain));
	int r = 0;

	if (!chain)
		return ledger_fail(-ENOMEM, "ledger: out of memory");
	if (seal)
		r = digest_new(key, &chain->digest);
	if (r < 0) {
		free(chain);
		return ledger_fail(r, "ledger: libcrypto has no SHA-256 for us: records cannot be "
				      "sealed (integrity = none)");
	}
	if (seal)
		snprintf(chain->method, sizeof(chain->method), "%s", digest_method(chain->digest));
	*ret_chain = chain;
	return 0;
}

void chain_free(struct chain **chain)
{
	if (*chain)
		digest_free(&(*chain)->digest);
	free(*chain);
	*chain = NULL;
}

static void read_tip(sqlite3_stmt *st, int at, struct chain_tip *tip)
{
	const void *hash = sqlite3_column_blob(st, at + 1);

	tip->position = (uint64_t)sqlite3_column_int64(st, at);
	memset(tip->hash, 0, sizeof(tip->hash));
	if (hash && sqlite3_column_bytes(st, at + 1) == DIGEST_BYTES)
		memcpy(tip->hash, hash, DIGEST_BYTES);
}

int chain_read(sqlite3 *db, struct chain_row *ret_row, bool *ret_any)
{
	sqlite3_stmt *st = NULL;
	const unsigned char *method;
	int version, rc, r = schema_version(db, &version);

	*ret_any = false;
	if (r < 0 || version < 4)
		return r;
	r = database_prepare(
		db, "SELECT method,anchor_position,anchor_hash,position,hash FROM chain", &st);
	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		method = sqlite3_column_text(st, 0);
		snprintf(ret_row->method, sizeof(ret_row->method), "%s",
			 method ? (const char *)method : "");
		read_tip(st, 1, &ret_row->anchor);
		read_tip(st, 3, &ret_row->tip);
		*ret_any = true;
	} else if (rc != SQLITE_DONE) {
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	}
	sqlite3_finalize(st);
	return r;
}

int chain_load(struct chain *chain, sqlite3 *db)
{
	struct chain_row row;
	bool any;
	int r = chain_read(db, &row, &any);

	if (r < 0 || !any || chain->committed.position)
		return r;
	if (chain->digest && strcmp(chain->method, row.method) != 0)
		return ledger_fail(
			-EINVAL,
			"ledger: %s is sealed with %s, and now it should be %s: one chain has one "
			"key (give it that integrity_key, or name another state_dir)",
			sqlite3_db_filename(db, NULL), row.method, chain->method);
	memcpy(chain->method, row.method, sizeof(chain->method));
	chain->committed = chain->pending = row.tip;
	return 0;
}

int chain_hash(struct digest *digest, const uint8_t previous[DIGEST_BYTES], const char *json,
	       size_t length, uint8_t ret_hash[DIGEST_BYTES])
{
	char canonical[RECORD_JSON_MAX];
	int n = seal_canonical_line(json, length, canonical, sizeof(canonical));

	if (n < 0)
		return n;
	return digest_of(digest, previous, DIGEST_BYTES, canonical, (size_t)n, ret_hash);
}

static int seal_json(struct chain *chain, const char *json, int length, const uint8_t **ret_packed)
{
	struct record_seal seal = { .position = chain->pending.position + 1 };
	int r = length;

	memcpy(seal.previous, chain->pending.hash, sizeof(seal.previous));
	if (r >= 0)
		r = chain_hash(chain->digest, seal.previous, json, (size_t)length, seal.hash);
	if (r < 0)
		return ledger_fail(r, "ledger: record %llu of the chain cannot be sealed: %s",
				   (unsigned long long)seal.position, strerror(-r));
	seal_pack(&seal, chain->packed);
	*ret_packed = chain->packed;
	return 0;
}

int chain_seal_invocation(struct chain *chain, const struct invocation_record *record,
			  const uint8_t **ret_packed)
{
	char json[RECORD_JSON_MAX];

	if (!chain->digest)
		return 0;
	return seal_json(chain, json, invocation_record_json(record, json, sizeof(json)),
			 ret_packed);
}

int chain_seal_instance(struct chain *chain, const struct instance_record *record,
			const uint8_t **ret_packed)
{
	char json[RECORD_JSON_MAX];

	if (!chain->digest)
		return 0;
	return seal_json(chain, json, instance_record_json(record, json, sizeof(json)), ret_packed);
}

void chain_take(struct chain *chain)
{
	struct record_seal seal;

	if (!chain->digest)
		return;
	seal_unpack(chain->packed, &seal);
	chain->pending.position = seal.position;
	memcpy(chain->pending.hash, seal.hash, sizeof(seal.hash));
}

void chain_commit(struct chain *chain)
{
	chain->committed = chain->pending;
}

void chain_rollback(struct chain *chain)
{
	chain->pending = chain->committed;
}

bool chain_bind(const struct chain *chain, sqlite3_stmt *st)
{
	if (!chain->digest && !chain->committed.position)
		return false;
	sqlite3_bind_text(st, 1, chain->method, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)chain->committed.position);
	sqlite3_bind_blob(st, 3, chain->committed.hash, DIGEST_BYTES, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, (int64_t)chain->pending.position);
	sqlite3_bind_blob(st, 5, chain->pending.hash, DIGEST_BYTES, SQLITE_STATIC);
	return true;
}
