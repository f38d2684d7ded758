/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oncpu verify: the ledger against its seals, or records in JSON lines from anywhere. Of an export
 * each record is checked by itself, and against the one before where that is its predecessor.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "core/record_json.h"
#include "core/seal.h"

struct export
{
	struct digest *digest;
	struct ledger_through *through;
	uint64_t line, records, unsealed, gaps;
	struct record_seal last;
	char host[RECORD_HOST_LEN]; /* whose chain `last` is in */
};

static void print_hash(const uint8_t hash[DIGEST_BYTES])
{
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		printf("%02x", hash[i]);
}

/* ---- the ledger ---- */

static int verify_ledger(const char *directory, const struct digest_key *key,
			 struct ledger_through *through)
{
	struct ledger_verified v;

	if (ledger_verify(directory, key, through, &v))
		return command_fail("%s", ledger_error());
	if (v.set_aside)
		fprintf(stderr,
			"oncpu: warning: %" PRIu64 " damaged segments are set aside in %s and not "
			"checked\n",
			v.set_aside, directory);
	if (v.unsealed)
		fprintf(stderr,
			"oncpu: warning: %" PRIu64
			" records have no seal: they were stored without "
			"integrity = chain\n",
			v.unsealed);
	if (v.bad[0])
		return command_fail("%s", v.bad);
	if (!v.records)
		return command_fail("no record in %s has a seal (set integrity = chain)",
				    directory);
	printf("%" PRIu64 " records in %" PRIu64 " segments are as they were stored: %" PRIu64
	       " to %" PRIu64 " of the chain (%s)\n",
	       v.records, v.segments, v.first_position, v.last_position, v.method);
	if (v.anchor_position)
		printf("what came before, up to %" PRIu64 ", is gone: retention\n",
		       v.anchor_position);
	printf("its end, for --through: %" PRIu64 ":", v.last_position);
	print_hash(v.last_hash);
	putchar('\n');
	return 0;
}

/* ---- an export ---- */

static int bad_line(const struct export *e, const json_t *record, const char *why)
{
	const char *id = json_string_value(json_object_get(record, "record_id"));

	return command_fail("line %" PRIu64 ": record %s %s", e->line, id ? id : "?", why);
}

/* 0, or the exit code. */
static int check_line(struct export *e, const json_t *record)
{
	const char *host = json_string_value(json_object_get(record, "host"));
	char canonical[RECORD_JSON_MAX];
	uint8_t hash[DIGEST_BYTES];
	struct record_seal seal;
	int n;

	if (!host || !json_is_string(json_object_get(record, "record_id")))
		return command_fail("line %" PRIu64 " is no record of oncpu in JSON", e->line);
	if (seal_of(record, &seal))
		return bad_line(e, record, "has a seal that makes no sense");
	if (!seal.position)
		return e->unsealed++, 0;
	n = seal_canonical(record, canonical, sizeof(canonical));
	if (n < 0 ||
	    digest_of(e->digest, seal.previous, DIGEST_BYTES, canonical, (size_t)n, hash) ||
	    memcmp(hash, seal.hash, DIGEST_BYTES) != 0)
		return bad_line(e, record,
				"is not as it was stored, or sealed with another key (--key)");
	if (e->last.position && !strcmp(host, e->host)) {
		bool next = seal.position == e->last.position + 1;

		if (next && memcmp(seal.previous, e->last.hash, DIGEST_BYTES) != 0)
			return bad_line(e, record, "does not follow the one before it");
		if (seal.position == e->last.position)
			return bad_line(e, record, "is there twice");
		e->gaps += !next;
	}
	if (e->through && e->through->position == seal.position &&
	    !memcmp(e->through->hash, seal.hash, DIGEST_BYTES))
		e->through->found = true;
	snprintf(e->host, sizeof(e->host), "%s", host);
	e->last = seal;
	e->records++;
	return 0;
}

static int verify_export(const char *path, const struct digest_key *key,
			 struct ledger_through *through)
{
	struct export e = { .through = through };
	_cleanup_file_ FILE *f = strcmp(path, "-") ? fopen(path, "re") : fdopen(0, "r");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int code = 0;

	if (!f)
		return command_fail("%s: %s", path, strerror(errno));
	if (digest_new(key, &e.digest))
		return command_fail("libcrypto has no SHA-256 for us");
	while (!code && (n = getline(&line, &room, f)) > 0) {
		json_t *record;

		e.line++;
		if (line[0] == '\n')
			continue;
		record = json_loadb(line, (size_t)n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
		code = record ? check_line(&e, record)
			      : command_fail("line %" PRIu64 " is no JSON, or not whole", e.line);
		json_decref(record);
	}
	if (!code && ferror(f))
		code = command_fail("%s: %s", path, strerror(errno));
	digest_free(&e.digest);
	if (code)
		return code;
	if (e.unsealed)
		fprintf(stderr, "oncpu: warning: %" PRIu64 " records have no seal\n", e.unsealed);
	if (!e.records)
		return command_fail("no record in %s has a seal (set integrity = chain)", path);
	printf("%" PRIu64 " records are as they were stored", e.records);
	if (e.gaps)
		printf("; %" PRIu64 " of them do not stand behind their predecessor here", e.gaps);
	putchar('\n');
	return 0;
}

/* ---- the command ---- */

/* POSITION:HASH */
static int parse_through(const char *text, struct ledger_through *through)
{
	const char *colon = strchr(text, ':');
	char number[24];
	unsigned byte;

	if (!colon || (size_t)(colon - text) >= sizeof(number) ||
	    strlen(colon + 1) != 2 * DIGEST_BYTES ||
	    strspn(colon + 1, "0123456789abcdef") != 2 * DIGEST_BYTES)
		return -EINVAL;
	snprintf(number, sizeof(number), "%.*s", (int)(colon - text), text);
	if (parse_uint64(number, 1, INT64_MAX, &through->position))
		return -EINVAL;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		if (sscanf(colon + 1 + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		through->hash[i] = (uint8_t)byte;
	}
	return 0;
}

static int command_verify(int argc, char **argv)
{
	struct ledger_through through = { 0 }, *wanted = NULL;
	char error[DIGEST_ERROR_LEN];
	struct digest_key key = { 0 };
	struct place place;
	int c, code;

	place_defaults(&place);
	while ((c = command_next(&verify_command, argc, argv)) != -1) {
		if (c == 's') {
			place.state_dir = optarg;
		} else if (c == 'k') {
			if (digest_key_read(optarg, &key, error))
				return command_fail("%s", error);
		} else if (c == 'T') {
			if (parse_through(optarg, &through))
				return command_fail("--through %s is not POSITION:HASH, as verify "
						    "prints it",
						    optarg),
				       2;
			wanted = &through;
		} else {
			return command_misused("verify", argc, argv);
		}
	}
	if (optind + 1 < argc)
		return command_fail("verify takes one file (%s)", argv[optind + 1]), 2;
	code = optind < argc ? verify_export(argv[optind], &key, wanted)
			     : verify_ledger(place.state_dir, &key, wanted);
	if (!code && wanted && !wanted->found)
		return command_fail("position %" PRIu64 " with that hash is not among them: the "
				    "chain is another one, or was cut",
				    wanted->position);
	return code;
}

static const struct command_option options[] = {
	{ "key", 'k', "FILE", "the integrity_key that the records are sealed with (none)" },
	{ "through", 'T', "POSITION:HASH",
	  "this record must be among them: an end printed before" },
	OPTION_STATE_DIR,
	OPTIONS_END,
};
const struct command verify_command = {
	.name = "verify",
	.summary = "hold a ledger, or an export, against the hash chain of its records",
	.options = options,
	.synopsis = "[OPTION...]\n[OPTION...] FILE",
	.description =
		"Where the configuration says integrity = chain, each record is sealed: it carries "
		"its "
		"position in the host's chain, and a hash over itself and its predecessor's hash. "
		"verify reads the whole ledger, or FILE (- is stdin) with what oncpu invocations "
		"--json "
		"has printed, and names the first record that is not as it was stored.\n\n"
		"A chain without a key shows damage and mistakes. Who can write to the ledger can "
		"make "
		"a chain anew: that needs the key, if there is one. That the newest records were "
		"cut "
		"off shows only against an end that was kept elsewhere: --through.\n\n"
		"Of an export each record is checked by itself, so that a selection can be; "
		"records "
		"that are missing from it are not missed.\n\n"
		"What is hashed: the predecessor's hash, 32 bytes (zero for the first record), "
		"then the "
		"record in JSON without \"integrity\", without what was found out after it was "
		"stored "
		"(\"doubt\", and its flag audit_mismatch), without members that are null, each "
		"object's "
		"members sorted by the bytes of their names, without white space, billed_ms as "
		"billed_ns. SHA-256; HMAC-SHA-256 where there is a key.",
	.exits = "Exits 0 if all is as it was stored, 1 if not or if nothing has a seal, 2 when "
		 "misused.",
	.examples = "  oncpu verify\n  oncpu invocations --json --last 0 | oncpu verify -",
	.section = 1,
	.run = command_verify,
};
