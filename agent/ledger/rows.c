// SPDX-License-Identifier: GPL-2.0
/*
 * Records to columns and back. One table says for each plain integer of a record where it lies and
 * what its column is called; the SQL is made from it.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/seal.h"
#include "ledger/internal.h"

/* A segment of an older schema than `since` has no such column, and `missing` is its value. */
struct column {
	const char *name;
	size_t offset;
	int since;
	const char *missing;
};
/* clang-format off */
#define INVOCATION(field) { #field, offsetof(struct invocation_record, field), 1, NULL }
#define INSTANCE(field) { #field, offsetof(struct instance_record, field), 1, NULL }
#define INVOCATION_SINCE(version, name, field) \
	{ name, offsetof(struct invocation_record, field), version, "-1" }
#define INSTANCE_SINCE(version, field) \
	{ #field, offsetof(struct instance_record, field), version, "0" }
/* clang-format on */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct column invocation_columns[] = {
	INVOCATION(flags),
	INVOCATION(start_realtime_ns),
	INVOCATION(end_realtime_ns),
	INVOCATION(wall_ns),
	INVOCATION(cpu_ns),
	INVOCATION(cpu_error_bound_ns),
	INVOCATION(init_wall_ns),
	INVOCATION(init_cpu_ns),
	INVOCATION(after_response_wall_ns),
	INVOCATION(after_response_cpu_ns),
	INVOCATION(between_wall_ns),
	INVOCATION(between_cpu_ns),
	INVOCATION(freeze_count),
	INVOCATION(freeze_wall_ns),
	INVOCATION(freeze_cpu_ns),
	INVOCATION(run_queue_ns),
	INVOCATION(voluntary),
	INVOCATION(involuntary),
	INVOCATION(threads),
	INVOCATION(memory_mb),
	INVOCATION(max_memory_bytes),
	INVOCATION(quota_us),
	INVOCATION(period_us),
	INVOCATION(marks_lost),
	INVOCATION(events_lost),
	INVOCATION_SINCE(2, "where_running_ns", where.running_ns),
	INVOCATION_SINCE(2, "where_run_queue_ns", where.run_queue_ns),
	INVOCATION_SINCE(2, "where_throttled_ns", where.throttled_ns),
	INVOCATION_SINCE(2, "where_blocked_io_ns", where.blocked_io_ns),
	INVOCATION_SINCE(2, "where_idle_ns", where.idle_ns),
	INVOCATION_SINCE(2, "where_frozen_ns", where.frozen_ns),
	INVOCATION_SINCE(2, "steal_ns", steal_ns),
	INVOCATION_SINCE(2, "irq_ns", irq_ns),
	INVOCATION_SINCE(2, "cpu_net_ns", cpu_net_ns),
};

static const struct column instance_columns[] = {
	INSTANCE(uid),
	INSTANCE(cgroup_id),
	INSTANCE(flags),
	INSTANCE(start_realtime_ns),
	INSTANCE(end_realtime_ns),
	INSTANCE(total_cpu_ns),
	INSTANCE(init_cpu_ns),
	INSTANCE(invocations_cpu_ns),
	INSTANCE(freeze_cpu_ns),
	INSTANCE(between_cpu_ns),
	INSTANCE(last_between_wall_ns),
	INSTANCE(last_between_cpu_ns),
	INSTANCE(invocations),
	INSTANCE(unmatched),
	INSTANCE(events_lost),
	INSTANCE(marks_lost),
	INSTANCE_SINCE(2, audits),
	INSTANCE_SINCE(2, audit_mismatches),
	INSTANCE_SINCE(2, audit_difference_ns),
	INSTANCE_SINCE(2, audit_worst_ns),
};

#define BILLED_NAMES                                                                               \
	"billed0_policy,billed0_ns,billed1_policy,billed1_ns,"                                     \
	"billed2_policy,billed2_ns,billed3_policy,billed3_ns"
/* The record's key and names, in the order that read_head() expects. */
#define HEAD_NAMES                                                                                 \
	"r.record_key,"                                                                            \
	"(SELECT host FROM boots WHERE boot_key=r.record_key>>40),"                                \
	"(SELECT boot_id FROM boots WHERE boot_key=r.record_key>>40),"                             \
	"(SELECT text FROM texts WHERE text_key=r.function),"                                      \
	"(SELECT text FROM texts WHERE text_key=r.instance)"
#define HEAD_COLUMNS 5
_Static_assert(SEQUENCE_BITS == 40, "the SQL above shifts by 40");

static size_t append_names(char *buffer, size_t size, const struct column *columns, size_t count,
			   const char *before, int version)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < count && used < size; i++)
		used += columns[i].since <= version
				? (size_t)snprintf(buffer + used, size - used, ",%s%s", before,
						   columns[i].name)
				: (size_t)snprintf(buffer + used, size - used, ",%s",
						   columns[i].missing);
	return used;
}

static int insert_sql(char *buffer, size_t size, const char *table, const char *fixed,
		      const struct column *columns, size_t count, int parameters)
{
	char names[1280 + 8], marks[384] = "?1";
	size_t used = strlen(marks);
	int n;

	append_names(names, sizeof(names) - 8, columns, count, "", LEDGER_SCHEMA_VERSION);
	strcat(names, ",seal");
	parameters++;
	for (int i = 2; i <= parameters; i++)
		used += (size_t)snprintf(marks + used, sizeof(marks) - used, ",?%d", i);
	n = snprintf(buffer, size, "INSERT OR IGNORE INTO %s(%s%s) VALUES(%s)", table, fixed, names,
		     marks);
	return n > 0 && (size_t)n < size && used < sizeof(marks) ? 0 : -ENOSPC;
}

#define INVOCATION_FIXED                                                                           \
	"record_key,function,instance,version,id,continues,segments,extensions,status,cold_"       \
	"start," BILLED_NAMES
#define INVOCATION_FIXED_COUNT (10 + 2 * RECORD_MAX_BILLED)
#define INSTANCE_FIXED_COUNT 3

int rows_insert_invocation_sql(char *buffer, size_t size)
{
	return insert_sql(buffer, size, "invocations", INVOCATION_FIXED, invocation_columns,
			  COUNT(invocation_columns),
			  INVOCATION_FIXED_COUNT + (int)COUNT(invocation_columns));
}

int rows_insert_instance_sql(char *buffer, size_t size)
{
	return insert_sql(buffer, size, "instances", "record_key,function,instance",
			  instance_columns, COUNT(instance_columns),
			  INSTANCE_FIXED_COUNT + (int)COUNT(instance_columns));
}

int rows_select_invocation_sql(int version, char *buffer, size_t size)
{
	char names[1280];
	int n;

	append_names(names, sizeof(names), invocation_columns, COUNT(invocation_columns), "r.",
		     version);
	n = snprintf(buffer, size,
		     "SELECT " HEAD_NAMES ",(SELECT text FROM texts WHERE text_key=r.version),"
		     "id,continues,segments,extensions,status,cold_start," BILLED_NAMES
		     "%s,%s FROM invocations AS r",
		     names, version < 4 ? "NULL" : "r.seal");
	return n > 0 && (size_t)n < size ? 0 : -ENOSPC;
}

int rows_select_instance_sql(int version, char *buffer, size_t size)
{
	char names[1280];
	int n;

	append_names(names, sizeof(names), instance_columns, COUNT(instance_columns), "r.",
		     version);
	n = snprintf(buffer, size, "SELECT " HEAD_NAMES "%s,%s FROM instances AS r", names,
		     version < 4 ? "NULL" : "r.seal");
	return n > 0 && (size_t)n < size ? 0 : -ENOSPC;
}

/* Binds the plain integers from parameter `at` on; the first error of all, since bind resets none.
 */
static int bind_integers(sqlite3_stmt *st, int at, const void *record, const struct column *columns,
			 size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t value;

		memcpy(&value, (const char *)record + columns[i].offset, sizeof(value));
		int rc = sqlite3_bind_int64(st, at + (int)i, value);
		if (rc)
			return rc;
	}
	return SQLITE_OK;
}

static void read_integers(sqlite3_stmt *st, int at, void *record, const struct column *columns,
			  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t value = sqlite3_column_int64(st, at + (int)i);

		memcpy((char *)record + columns[i].offset, &value, sizeof(value));
	}
}

static int bind_id(sqlite3_stmt *st, int at, const char *id, uint32_t length)
{
	if (length == 0)
		return sqlite3_bind_null(st, at);
	return sqlite3_bind_blob(st, at, id, (int)(length < ONCPU_ID_LEN ? length : ONCPU_ID_LEN),
				 SQLITE_STATIC);
}

_Static_assert(sizeof(struct record_segment) == 16, "two integers, stored as they stand");

static int bind_segments(sqlite3_stmt *st, int at, const struct invocation_record *record)
{
	if (!record->segment_count)
		return sqlite3_bind_null(st, at);
	return sqlite3_bind_blob(st, at, record->segments,
				 (int)(record->segment_count * sizeof(record->segments[0])),
				 SQLITE_STATIC);
}

_Static_assert(sizeof(struct record_extension) == 80, "stored as it stands");

static int bind_extensions(sqlite3_stmt *st, int at, const struct invocation_record *record)
{
	if (!record->extension_count)
		return sqlite3_bind_null(st, at);
	return sqlite3_bind_blob(st, at, record->extensions,
				 (int)(record->extension_count * sizeof(record->extensions[0])),
				 SQLITE_STATIC);
}

static void bind_seal(sqlite3_stmt *st, int at, const struct row_keys *keys)
{
	if (keys->seal)
		sqlite3_bind_blob(st, at, keys->seal, SEAL_BYTES, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
}

int rows_bind_invocation(sqlite3_stmt *st, const struct row_keys *keys,
			 const struct invocation_record *record)
{
	sqlite3_bind_int64(st, 1, keys->record);
	sqlite3_bind_int64(st, 2, keys->function);
	sqlite3_bind_int64(st, 3, keys->instance);
	sqlite3_bind_int64(st, 4, keys->version);
	bind_id(st, 5, record->id, record->id_len);
	bind_id(st, 6, record->continues, record->continues_len);
	bind_segments(st, 7, record);
	bind_extensions(st, 8, record);
	sqlite3_bind_int64(st, 9, record->status);
	sqlite3_bind_int64(st, 10, record->cold_start);
	for (uint32_t i = 0; i < RECORD_MAX_BILLED; i++) {
		if (i < record->billed_count) {
			sqlite3_bind_int64(st, 11 + 2 * (int)i, keys->billed[i]);
			sqlite3_bind_int64(st, 12 + 2 * (int)i, record->billed[i].billed_ns);
		} else {
			sqlite3_bind_null(st, 11 + 2 * (int)i);
			sqlite3_bind_null(st, 12 + 2 * (int)i);
		}
	}
	bind_seal(st, INVOCATION_FIXED_COUNT + (int)COUNT(invocation_columns) + 1, keys);
	return bind_integers(st, INVOCATION_FIXED_COUNT + 1, record, invocation_columns,
			     COUNT(invocation_columns));
}

int rows_bind_instance(sqlite3_stmt *st, const struct row_keys *keys,
		       const struct instance_record *record)
{
	sqlite3_bind_int64(st, 1, keys->record);
	sqlite3_bind_int64(st, 2, keys->function);
	sqlite3_bind_int64(st, 3, keys->instance);
	bind_seal(st, INSTANCE_FIXED_COUNT + (int)COUNT(instance_columns) + 1, keys);
	return bind_integers(st, INSTANCE_FIXED_COUNT + 1, record, instance_columns,
			     COUNT(instance_columns));
}

/* What fits; the file may come from anywhere. */
static void read_text(sqlite3_stmt *st, int at, char *buffer, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, at);

	snprintf(buffer, size, "%s", text ? (const char *)text : "");
}

static uint32_t read_id(sqlite3_stmt *st, int at, char id[ONCPU_ID_LEN])
{
	const void *bytes = sqlite3_column_blob(st, at);
	int n = sqlite3_column_bytes(st, at);

	if (!bytes || n <= 0)
		return 0;
	if (n > (int)ONCPU_ID_LEN)
		n = ONCPU_ID_LEN;
	memcpy(id, bytes, (size_t)n);
	return (uint32_t)n;
}

/* What fits, and whole ones only: the file may come from anywhere. */
static void read_segments(sqlite3_stmt *st, int at, struct invocation_record *record)
{
	const void *bytes = sqlite3_column_blob(st, at);
	size_t count = (size_t)sqlite3_column_bytes(st, at) / sizeof(record->segments[0]);

	if (!bytes)
		return;
	record->segment_count = count < RECORD_MAX_SEGMENTS ? (uint32_t)count : RECORD_MAX_SEGMENTS;
	memcpy(record->segments, bytes, record->segment_count * sizeof(record->segments[0]));
}

static void read_extensions(sqlite3_stmt *st, int at, struct invocation_record *record)
{
	const void *bytes = sqlite3_column_blob(st, at);
	size_t count = (size_t)sqlite3_column_bytes(st, at) / sizeof(record->extensions[0]);

	if (!bytes)
		return;
	count = count < RECORD_MAX_EXTENSIONS ? count : RECORD_MAX_EXTENSIONS;
	memcpy(record->extensions, bytes, count * sizeof(record->extensions[0]));
	for (size_t i = 0; i < count; i++)
		if (record->extensions[i].name_len > ONCPU_ID_LEN)
			record->extensions[i].name_len = ONCPU_ID_LEN;
	record->extension_count = (uint32_t)count;
}

static void read_seal(sqlite3_stmt *st, int at, struct record_seal *seal)
{
	const void *bytes = sqlite3_column_blob(st, at);

	if (bytes && sqlite3_column_bytes(st, at) == SEAL_BYTES)
		seal_unpack(bytes, seal);
}

static uint64_t read_sequence(sqlite3_stmt *st)
{
	return (uint64_t)sqlite3_column_int64(st, 0) & ((1ull << SEQUENCE_BITS) - 1);
}

static void read_billed(sqlite3_stmt *st, int at, const struct row_policies *policies,
			struct invocation_record *record)
{
	for (int i = 0; i < RECORD_MAX_BILLED; i++) {
		struct record_billed *billed = &record->billed[record->billed_count];

		if (sqlite3_column_type(st, at + 2 * i) == SQLITE_NULL)
			break;
		for (unsigned k = 0; k < policies->count; k++) {
			if (policies->list[k].key != sqlite3_column_int64(st, at + 2 * i))
				continue;
			memcpy(billed->policy, policies->list[k].name, sizeof(billed->policy));
			billed->version = policies->list[k].version;
			billed->billed_ns = sqlite3_column_int64(st, at + 2 * i + 1);
			record->billed_count++;
			break;
		}
	}
}

void rows_read_invocation(sqlite3_stmt *st, const struct row_policies *policies,
			  struct invocation_record *ret_record)
{
	struct invocation_record *r = ret_record;
	int at = HEAD_COLUMNS;

	memset(r, 0, sizeof(*r));
	r->sequence = read_sequence(st);
	read_text(st, 1, r->host, sizeof(r->host));
	read_text(st, 2, r->boot_id, sizeof(r->boot_id));
	read_text(st, 3, r->function, sizeof(r->function));
	read_text(st, 4, r->instance, sizeof(r->instance));
	read_text(st, at++, r->version, sizeof(r->version));
	r->id_len = read_id(st, at++, r->id);
	r->continues_len = read_id(st, at++, r->continues);
	read_segments(st, at++, r);
	read_extensions(st, at++, r);
	r->status = sqlite3_column_int(st, at++);
	r->cold_start = sqlite3_column_int(st, at++) != 0;
	read_billed(st, at, policies, r);
	at += 2 * RECORD_MAX_BILLED;
	read_integers(st, at, r, invocation_columns, COUNT(invocation_columns));
	read_seal(st, at + (int)COUNT(invocation_columns), &r->seal);
}

void rows_read_instance(sqlite3_stmt *st, struct instance_record *ret_record)
{
	struct instance_record *r = ret_record;

	memset(r, 0, sizeof(*r));
	r->sequence = read_sequence(st);
	read_text(st, 1, r->host, sizeof(r->host));
	read_text(st, 2, r->boot_id, sizeof(r->boot_id));
	read_text(st, 3, r->function, sizeof(r->function));
	read_text(st, 4, r->instance, sizeof(r->instance));
	read_integers(st, HEAD_COLUMNS, r, instance_columns, COUNT(instance_columns));
	read_seal(st, HEAD_COLUMNS + (int)COUNT(instance_columns), &r->seal);
}

int rows_load_policies(sqlite3 *db, struct row_policies *ret_policies)
{
	struct row_policies policies = { 0 };
	sqlite3_stmt *st = NULL;
	int r = database_prepare(db, "SELECT policy_key,name,version FROM policies ORDER BY 1",
				 &st);
	int rc;

	if (r < 0)
		return r;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && policies.count < COUNT(policies.list)) {
		struct row_policy *policy = &policies.list[policies.count++];

		policy->key = sqlite3_column_int64(st, 0);
		read_text(st, 1, policy->name, sizeof(policy->name));
		policy->version = (uint32_t)sqlite3_column_int64(st, 2);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		r = ledger_fail_db(db, rc, "cannot read", sqlite3_db_filename(db, NULL));
	sqlite3_finalize(st);
	if (r == 0)
		*ret_policies = policies;
	return r;
}
