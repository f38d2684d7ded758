/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes records as one line of JSON (no newline), through the bounded writer of
 * base/json_writer.h. Field names are the contract oncpu.invocation/1 and oncpu.instance/1: never
 * renamed.
 */
#ifndef ONCPU_CORE_RECORD_JSON_H
#define ONCPU_CORE_RECORD_JSON_H

#include <stddef.h>

#include "core/record.h"

/* Bytes written without the NUL, or -ENOSPC (buffer untouched past its size). */
#define RECORD_JSON_MAX 16384 /* enough for any record */
int invocation_record_json(const struct invocation_record *record, char *buffer, size_t size);
int instance_record_json(const struct instance_record *record, char *buffer, size_t size);
struct json_writer;
/* Members as records have them: "flags":[…]; "audit":{…}, null where count is 0. */
void record_flags_json(struct json_writer *w, uint64_t flags);
void record_audit_json(struct json_writer *w, int64_t count, int64_t mismatches,
		       int64_t difference_ns, int64_t worst_ns);
/* "host-bootid8-sequence"; 0 or -ENOSPC. */
int record_id_format(const char *host, const char *boot_id, uint64_t sequence, char *buffer,
		     size_t size);
/* RFC 3339 UTC with nine decimals. */
int realtime_format(int64_t realtime_ns, char *buffer, size_t size);

#endif
