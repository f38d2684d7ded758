// SPDX-License-Identifier: GPL-2.0
/*
 * The ledger against its seals. Each segment is read in one transaction, its records in the order
 * of the chain, so that an agent may go on writing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/record_json.h"
#include "ledger/chain.h"

struct verification {
	struct ledger_verified *result;
	struct ledger_through *through;
	struct digest *digest;
	struct chain_tip at; /* the last good record */
	bool begun;	     /* `at` is known */
	const char *file;
	struct row_policies policies;
};

/* The two record tables of a segment, each in the order of the chain. */
struct cursor {
	sqlite3_stmt *st;
	bool instances, any;
	struct record_seal seal;
	char id[256], json[RECORD_JSON_MAX];
	int length;
};

__attribute__((format(printf, 2, 3))) static int bad(struct verification *v, const char *format,
						     ...)
{
	va_list arguments;
	int n = snprintf(v->result->bad, sizeof(v->result->bad), "%s: ", v->file);

	va_start(arguments, format);
	vsnprintf(v->result->bad + n, sizeof(v->result->bad) - (size_t)n, format, arguments);
	va_end(arguments);
	return 1;
}

/* ---- reading ---- */

static int cursor_next(struct verification *v, struct cursor *c)
{
	static _Thread_local struct invocation_record invocation;
	struct instance_record instance;
	int rc = sqlite3_step(c->st);

	c->any = rc == SQLITE_ROW;
	if (rc == SQLITE_DONE)
		return 0;
	if (rc != SQLITE_ROW)
		return ledger_fail_db(sqlite3_db_handle(c->st), rc, "cannot read", v->file);
	if (c->instances) {
		rows_read_instance(c->st, &instance);
		c->seal = instance.seal;
		c->length = instance_record_json(&instance, c->json, sizeof(c->json));
		record_id_format(instance.host, instance.boot_id, instance.sequence, c->id,
				 sizeof(c->id));
	} else {
		rows_read_invocation(c->st, &v->policies, &invocation);
		c->seal = invocation.seal;
		c->length = invocation_record_json(&invocation, c->json, sizeof(c->json));
		record_id_format(invocation.host, invocation.boot_id, invocation.sequence, c->id,
				 sizeof(c->id));
	}
	return c->length < 0 ? c->length : 0;
}

static int cursor_open(struct verification *v, sqlite3 *db, bool instances, struct cursor *c)
{
	char select[6144], sql[6300];
	int r;

	memset(c, 0, sizeof(*c));
	c->instances = instances;
	r = instances ? rows_select_instance_sql(LEDGER_SCHEMA_VERSION, select, sizeof(select))
		      : rows_select_invocation_sql(LEDGER_SCHEMA_VERSION, select, sizeof(select));
	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql), "%s WHERE r.seal IS NOT NULL ORDER BY r.seal", select);
	r = database_prepare(db, sql, &c->st);
	return r < 0 ? r : cursor_next(v, c);
}

static int count_unsealed(struct verification *v, sqlite3 *db, int version)
{
	sqlite3_stmt *st = NULL;
	int rc, r = database_prepare(
			db,
			version < 4
				? "SELECT (SELECT count(*) FROM invocations)+"
				  "(SELECT count(*) FROM instances)"
				: "SELECT (SELECT count(*) FROM invocations WHERE seal IS NULL)+"
				  "(SELECT count(*) FROM instances WHERE seal IS NULL)",
			&st);

	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		v->result->unsealed += (uint64_t)sqlite3_column_int64(st, 0);
	else
		r = ledger_fail_db(db, rc, "cannot read", v->file);
	sqlite3_finalize(st);
	return r;
}

/* ---- checking ---- */

static bool same(const uint8_t a[DIGEST_BYTES], const uint8_t b[DIGEST_BYTES])
{
	return memcmp(a, b, DIGEST_BYTES) == 0;
}

static void pass_through(struct verification *v, uint64_t position,
			 const uint8_t hash[DIGEST_BYTES])
{
	if (v->through && v->through->position == position && same(v->through->hash, hash))
		v->through->found = true;
}

/* 0, 1 = bad, -errno */
static int check_record(struct verification *v, const struct cursor *c)
{
	uint8_t hash[DIGEST_BYTES];
	int r;

	if (c->seal.position != v->at.position + 1)
		return bad(v,
			   "record %s has position %llu of the chain, where %llu should follow: "
			   "records are missing, or this one is twice",
			   c->id, (unsigned long long)c->seal.position,
			   (unsigned long long)v->at.position + 1);
	r = chain_hash(v->digest, c->seal.previous, c->json, (size_t)c->length, hash);
	if (r < 0 && r != -EINVAL)
		return r;
	if (r < 0 || !same(hash, c->seal.hash))
		return bad(v, "record %s (position %llu) is not as it was stored", c->id,
			   (unsigned long long)c->seal.position);
	if (!same(c->seal.previous, v->at.hash))
		return bad(v, "record %s (position %llu) does not follow the one before it", c->id,
			   (unsigned long long)c->seal.position);
	v->at.position = c->seal.position;
	memcpy(v->at.hash, c->seal.hash, sizeof(v->at.hash));
	if (!v->result->first_position)
		v->result->first_position = c->seal.position;
	v->result->records++;
	pass_through(v, v->at.position, v->at.hash);
	return 0;
}

static int check_begin(struct verification *v, const struct chain_row *row)
{
	if (strcmp(row->method, digest_method(v->digest)) != 0)
		return ledger_fail(-EINVAL, "ledger: %s is sealed with %s, not with %s (%s)",
				   v->file, row->method, digest_method(v->digest),
				   strncmp(row->method, "hmac", 4) ? "leave --key out"
								   : "give its --key");
	if (!v->begun) {
		v->at = row->anchor;
		v->begun = true;
		v->result->anchor_position = row->anchor.position;
		snprintf(v->result->method, sizeof(v->result->method), "%s", row->method);
		pass_through(v, row->anchor.position, row->anchor.hash);
		return 0;
	}
	if (row->anchor.position > v->at.position)
		return bad(v, "records %llu to %llu of the chain are missing before it",
			   (unsigned long long)v->at.position + 1,
			   (unsigned long long)row->anchor.position);
	if (row->anchor.position != v->at.position || !same(row->anchor.hash, v->at.hash))
		return bad(v, "it does not follow the segment before it");
	return 0;
}

static int check_records(struct verification *v, sqlite3 *db, const struct chain_row *row)
{
	struct cursor *c = calloc(2, sizeof(*c));
	int r = c ? rows_load_policies(db, &v->policies)
		  : ledger_fail(-ENOMEM, "ledger: out of memory");

	if (r == 0)
		r = cursor_open(v, db, false, &c[0]);
	if (r == 0)
		r = cursor_open(v, db, true, &c[1]);
	while (r == 0 && (c[0].any || c[1].any)) {
		bool instance = !c[0].any || (c[1].any && c[1].seal.position < c[0].seal.position);

		r = check_record(v, &c[instance]);
		if (r == 0)
			r = cursor_next(v, &c[instance]);
	}
	for (int i = 0; c && i < 2; i++)
		sqlite3_finalize(c[i].st);
	free(c);
	if (r == 0 && row->tip.position > v->at.position)
		return bad(v, "records %llu to %llu of the chain are missing at its end",
			   (unsigned long long)v->at.position + 1,
			   (unsigned long long)row->tip.position);
	if (r == 0 && (row->tip.position != v->at.position || !same(row->tip.hash, v->at.hash)))
		return bad(v, "its last record is not the one that it says it is");
	return r;
}

static int verify_segment(struct verification *v, sqlite3 *db)
{
	struct chain_row row;
	int version, r = database_exec(db, "BEGIN");
	bool any = false;

	if (r == 0)
		r = schema_version(db, &version);
	if (r == 0)
		r = count_unsealed(v, db, version);
	if (r == 0)
		r = chain_read(db, &row, &any);
	if (r != 0 || !any)
		return r;
	r = check_begin(v, &row);
	return r ? r : check_records(v, db, &row);
}

static int verify_file(struct verification *v, const char *directory,
		       const struct segment_file *file)
{
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	int r = path_join(path, sizeof(path), directory, file->file);

	v->file = file->file;
	if (r == 0)
		r = database_open_read(path, &db);
	if (r == 0 && db) {
		r = verify_segment(v, db);
		v->result->segments++;
	}
	sqlite3_close(db);
	if (r == -EUCLEAN)
		r = bad(v, "is damaged: %.300s", ledger_error());
	return r;
}

int ledger_verify(const char *directory, const struct digest_key *key,
		  struct ledger_through *through, struct ledger_verified *ret_verified)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct ledger_verified result = { 0 };
	struct verification v = { .result = &result, .through = through };
	size_t count = 0;
	int r = segment_list(directory, true, &files, &count);

	if (r == 0 && count == 0)
		r = ledger_fail(-ENOENT, "ledger: there is none in %s (name it with --state-dir)",
				directory);
	if (r == 0 && digest_new(key, &v.digest))
		r = ledger_fail(-ENOTSUP, "ledger: libcrypto has no SHA-256 for us");
	for (size_t i = 0; i < count && r == 0; i++) {
		if (files[i].corrupt)
			result.set_aside++;
		else
			r = verify_file(&v, directory, &files[i]);
	}
	digest_free(&v.digest);
	if (r < 0)
		return ledger_edge(r);
	result.last_position = result.records ? v.at.position : 0;
	memcpy(result.last_hash, v.at.hash, sizeof(result.last_hash));
	*ret_verified = result;
	return 0;
}
