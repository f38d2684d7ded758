/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's chain of records while it is written: its end, as committed and as it stands in the
 * open transaction. It goes on through segments, restarts and retention: each segment's row of the
 * table chain says where it began and ended.
 */
#ifndef ONCPU_LEDGER_CHAIN_H
#define ONCPU_LEDGER_CHAIN_H

#include "base/digest.h"
#include "core/seal.h"
#include "ledger/internal.h"

struct chain_tip {
	uint64_t position; /* 0: no record has been sealed yet */
	uint8_t hash[DIGEST_BYTES];
};
struct chain_row {
	char method[DIGEST_METHOD_LEN];
	struct chain_tip anchor, tip;
};

struct chain {
	struct digest *digest; /* NULL: records are not sealed */
	char method[DIGEST_METHOD_LEN];
	struct chain_tip committed, pending;
	uint8_t packed[SEAL_BYTES]; /* of the record being put */
};

/* Without sealing, an end that is found is still handed on. 0, -ENOMEM, -ENOTSUP. */
int chain_new(bool seal, const struct digest_key *key, struct chain **ret_chain);
void chain_free(struct chain **chain);
/* The row of a segment; *ret_any is false where there is none. */
int chain_read(sqlite3 *db, struct chain_row *ret_row, bool *ret_any);
/* Takes the chain's end from a segment, unless it is known already. -EINVAL: made with another key.
 */
int chain_load(struct chain *chain, sqlite3 *db);

/* The seal of a record that has none yet, into chain->packed; chain_take() makes it the end. NULL
 * in *ret_packed: records are not sealed. */
int chain_seal_invocation(struct chain *chain, const struct invocation_record *record,
			  const uint8_t **ret_packed);
int chain_seal_instance(struct chain *chain, const struct instance_record *record,
			const uint8_t **ret_packed);
void chain_take(struct chain *chain);
void chain_commit(struct chain *chain);
void chain_rollback(struct chain *chain);
#define CHAIN_SQL                                                                                  \
	"INSERT INTO chain(one,method,anchor_position,anchor_hash,position,hash) "                 \
	"VALUES(1,?1,?2,?3,?4,?5) ON CONFLICT(one) DO UPDATE SET method=excluded.method,"          \
	"position=excluded.position,hash=excluded.hash"
/* False: there is no chain to write of. */
bool chain_bind(const struct chain *chain, sqlite3_stmt *st);

/* One step: the record's JSON and its predecessor's hash to its own. */
int chain_hash(struct digest *digest, const uint8_t previous[DIGEST_BYTES], const char *json,
	       size_t length, uint8_t ret_hash[DIGEST_BYTES]);

#endif
