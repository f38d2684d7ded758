/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seal of a record: its place in the host's chain, and a hash over it and its predecessor's.
 *
 *	hash = SHA-256(previous ‖ canonical)	or HMAC-SHA-256 of the same, where there is a key
 *
 * `previous` is the predecessor's hash, 32 zero bytes for the first record. `canonical` is the
 * record in JSON (oncpu-record(5)) in one form that no tool and no version changes: without
 * "integrity" and without members that are null, the members of each object in the order of their
 * names' bytes, no white space, "billed_ms": N as "billed_ns": N·10⁶; strings as they are in our
 * JSON: UTF-8, with \u00XX for U+0000…1F and U+007F…9F, and \" and \\. What was found out after
 * the record was sealed is no part of it: "doubt", and with it the flag "audit_mismatch". Fields
 * that a later version adds are null in older records, and so change no hash.
 */
#ifndef ONCPU_CORE_SEAL_H
#define ONCPU_CORE_SEAL_H

#include <jansson.h>
#include <stddef.h>

#include "core/record.h"

/* Bytes written, or -ENOSPC; -EINVAL: an object that is no record of ours (a number that is no
 * integer). */
int seal_canonical(const json_t *record, char *buffer, size_t size);
/* The same of a line of JSON; -EINVAL: it is none. */
int seal_canonical_line(const char *line, size_t length, char *buffer, size_t size);
/* The seal that a line carries as its "integrity"; position 0: none. -EINVAL: it makes no sense. */
int seal_of(const json_t *record, struct record_seal *ret_seal);

/* As the ledger stores it: position, 8 bytes, most significant first; previous; hash. */
#define SEAL_BYTES 72
void seal_pack(const struct record_seal *seal, uint8_t bytes[SEAL_BYTES]);
void seal_unpack(const uint8_t bytes[SEAL_BYTES], struct record_seal *ret_seal);

#endif
