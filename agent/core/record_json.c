// SPDX-License-Identifier: GPL-2.0
/*
 * Records as JSON. The order of the fields is design.md's; it means nothing to readers.
 *
 * Beyond that page: "id_hex" and "continues_hex" hold the raw bytes of an id that is no clean text,
 * "status_code" a status that is none of ours, "marks_lost" and "events_lost" what is not 0,
 * "doubt" what was found out after the record was stored.
 */
#include "core/record_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "core/billing.h"

#define NS_PER_S 1000000000
#define NS_PER_MS 1000000

/* The civil date of a day number, days counted from 1970-01-01 (proleptic Gregorian calendar). */
static void date_of_day(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t shifted = day + 719468; /* from 0000-03-01, so that leap days end a year */
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t in_era = shifted - era * 146097;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * in_year + 2) / 153; /* 0 = March */

	*ret_day = (int)(in_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = (int)(year + era * 400 + (*ret_month <= 2));
}

static char *put_number(char *at, unsigned value, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		at[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return at + digits;
}

int realtime_format(int64_t realtime_ns, char *buffer, size_t size)
{
	int64_t seconds = realtime_ns / NS_PER_S, ns = realtime_ns % NS_PER_S, day, rest;
	char text[] = "0000-00-00T00:00:00.000000000Z";
	int year, month, monthday;

	if (size < sizeof(text))
		return -ENOSPC;
	if (ns < 0) {
		ns += NS_PER_S;
		seconds--;
	}
	day = seconds / 86400;
	rest = seconds % 86400;
	if (rest < 0) {
		rest += 86400;
		day--;
	}
	date_of_day(day, &year, &month, &monthday);
	put_number(text, (unsigned)year, 4);
	put_number(text + 5, (unsigned)month, 2);
	put_number(text + 8, (unsigned)monthday, 2);
	put_number(text + 11, (unsigned)(rest / 3600), 2);
	put_number(text + 14, (unsigned)(rest / 60 % 60), 2);
	put_number(text + 17, (unsigned)(rest % 60), 2);
	put_number(text + 20, (unsigned)ns, 9);
	memcpy(buffer, text, sizeof(text));
	return 0;
}

int record_id_format(const char *host, const char *boot_id, uint64_t sequence, char *buffer,
		     size_t size)
{
	char text[RECORD_HOST_LEN + RECORD_BOOT_LEN + 24];
	int n = snprintf(text, sizeof(text), "%.*s-%.8s-%llu", RECORD_HOST_LEN - 1, host, boot_id,
			 (unsigned long long)sequence);

	if (n < 0 || (size_t)n >= size)
		return -ENOSPC;
	memcpy(buffer, text, (size_t)n + 1);
	return 0;
}

static void put_time(struct json_writer *w, const char *name, int64_t realtime_ns)
{
	char text[40];

	realtime_format(realtime_ns, text, sizeof(text));
	jw_key_string(w, name, text);
}

static void put_head(struct json_writer *w, const char *schema, const char *host,
		     const char *boot_id, uint64_t sequence)
{
	char id[RECORD_HOST_LEN + RECORD_BOOT_LEN + 24];

	record_id_format(host, boot_id, sequence, id, sizeof(id));
	jw_key_string(w, "schema", schema);
	jw_key_string(w, "record_id", id);
}

/* An id from outside; its raw bytes too when the text does not say them all. */
static void put_id(struct json_writer *w, const char *name, const char *hex_name, const char *id,
		   size_t length)
{
	if (length > ONCPU_ID_LEN)
		length = ONCPU_ID_LEN;
	jw_key(w, name);
	jw_bytes(w, id, length);
	if (!text_is_clean(id, length)) {
		jw_key(w, hex_name);
		jw_hex(w, id, length);
	}
}

/* -1 is unknown: null. */
static void put_optional(struct json_writer *w, const char *name, int64_t value)
{
	if (value == -1)
		jw_key_null(w, name);
	else
		jw_key_int64(w, name, value);
}

static void put_split(struct json_writer *w, const char *name, int64_t wall_ns, int64_t cpu_ns)
{
	jw_key(w, name);
	jw_object_open(w);
	jw_key_int64(w, "wall_ns", wall_ns);
	jw_key_int64(w, "cpu_ns", cpu_ns);
	jw_object_close(w);
}

void record_flags_json(struct json_writer *w, uint64_t flags)
{
	jw_key(w, "flags");
	jw_array_open(w);
	for (unsigned i = 0; i < RECORD_FLAG_COUNT; i++)
		if (flags >> i & 1)
			jw_string(w, record_flag_name((enum record_flag)i));
	jw_array_close(w);
}

static void put_billed(struct json_writer *w, const struct invocation_record *record)
{
	const struct policies *presets = policies_embedded();

	jw_key(w, "billed");
	jw_object_open(w);
	for (uint32_t i = 0; i < record->billed_count && i < RECORD_MAX_BILLED; i++) {
		const struct record_billed *billed = &record->billed[i];
		const struct policy *policy = policies_find(presets, billed->policy);

		jw_key(w, billed->policy);
		jw_object_open(w);
		if (policy && presets->rules[policy->time].granularity_ns % NS_PER_MS == 0 &&
		    billed->billed_ns % NS_PER_MS == 0)
			jw_key_int64(w, "billed_ms", billed->billed_ns / NS_PER_MS);
		else
			jw_key_int64(w, "billed_ns", billed->billed_ns);
		jw_key_uint64(w, "version", billed->version);
		jw_object_close(w);
	}
	jw_object_close(w);
}

static void put_who(struct json_writer *w, const struct invocation_record *r)
{
	put_id(w, "id", "id_hex", r->id, r->id_len);
	jw_key_string(w, "function", r->function);
	jw_key_string(w, "instance", r->instance);
	jw_key_string(w, "host", r->host);
	if (r->version[0])
		jw_key_string(w, "version", r->version);
	else
		jw_key_null(w, "version");
	jw_key_null(w, "tenant");
	jw_key_null(w, "trace_id");
	jw_key_string(w, "trigger", "other");
	put_time(w, "start", r->start_realtime_ns);
	put_time(w, "end", r->end_realtime_ns);
	jw_key_string(w, "status", record_status_name(r->status));
	if (r->status < 0 || r->status >= ONCPU_STATUS_COUNT)
		jw_key_int64(w, "status_code", r->status);
	jw_key_bool(w, "cold_start", r->cold_start);
}

static void put_sizes(struct json_writer *w, const struct invocation_record *r)
{
	put_optional(w, "memory_mb", r->memory_mb);
	put_optional(w, "max_memory_bytes", r->max_memory_bytes);
	if (r->quota_us < 0 || r->period_us < 0) {
		jw_key_null(w, "cpu_quota");
		return;
	}
	jw_key(w, "cpu_quota");
	jw_object_open(w);
	jw_key_int64(w, "quota_us", r->quota_us);
	jw_key_int64(w, "period_us", r->period_us);
	jw_object_close(w);
}

static void put_accounts(struct json_writer *w, const struct invocation_record *r)
{
	jw_key_int64(w, "wall_ns", r->wall_ns);
	jw_key_int64(w, "cpu_ns", r->cpu_ns);
	jw_key_int64(w, "cpu_error_bound_ns", r->cpu_error_bound_ns);
	if (r->init_wall_ns == -1)
		jw_key_null(w, "init");
	else
		put_split(w, "init", r->init_wall_ns, r->init_cpu_ns);
	put_split(w, "after_response", r->after_response_wall_ns, r->after_response_cpu_ns);
	put_split(w, "between", r->between_wall_ns, r->between_cpu_ns);
	jw_key(w, "freeze");
	jw_object_open(w);
	jw_key_int64(w, "count", r->freeze_count);
	jw_key_int64(w, "wall_ns", r->freeze_wall_ns);
	jw_key_int64(w, "cpu_ns", r->freeze_cpu_ns);
	jw_object_close(w);
}

static void put_scheduling(struct json_writer *w, const struct invocation_record *r)
{
	jw_key(w, "extensions");
	jw_array_open(w);
	for (uint32_t i = 0; i < r->extension_count && i < RECORD_MAX_EXTENSIONS; i++) {
		jw_object_open(w);
		put_id(w, "name", "name_hex", r->extensions[i].name, r->extensions[i].name_len);
		jw_key_int64(w, "cpu_ns", r->extensions[i].cpu_ns);
		jw_object_close(w);
	}
	jw_array_close(w);
	put_optional(w, "run_queue_ns", r->run_queue_ns);
	jw_key(w, "context_switches");
	jw_object_open(w);
	put_optional(w, "voluntary", r->voluntary);
	put_optional(w, "involuntary", r->involuntary);
	jw_object_close(w);
	put_optional(w, "threads", r->threads);
	jw_key(w, "segments");
	jw_array_open(w);
	for (uint32_t i = 0; i < r->segment_count && i < RECORD_MAX_SEGMENTS; i++) {
		jw_object_open(w);
		jw_key_int64(w, "wall_ns", r->segments[i].wall_ns);
		jw_key_int64(w, "cpu_ns", r->segments[i].cpu_ns);
		jw_object_close(w);
	}
	jw_array_close(w);
}

/* All or nothing: a part alone would say that the others were 0. */
static void put_where(struct json_writer *w, const struct record_where *where)
{
	if (where->running_ns == -1) {
		jw_key_null(w, "where");
		return;
	}
	jw_key(w, "where");
	jw_object_open(w);
	jw_key_int64(w, "running_ns", where->running_ns);
	jw_key_int64(w, "run_queue_ns", where->run_queue_ns);
	jw_key_int64(w, "throttled_ns", where->throttled_ns);
	jw_key_int64(w, "blocked_io_ns", where->blocked_io_ns);
	jw_key_int64(w, "idle_ns", where->idle_ns);
	jw_key_int64(w, "frozen_ns", where->frozen_ns);
	jw_object_close(w);
}

static void put_taken(struct json_writer *w, const struct invocation_record *r)
{
	put_optional(w, "steal_ns", r->steal_ns);
	put_optional(w, "irq_ns", r->irq_ns);
	put_optional(w, "cpu_net_ns", r->cpu_net_ns);
}

void record_audit_json(struct json_writer *w, int64_t count, int64_t mismatches,
		       int64_t difference_ns, int64_t worst_ns)
{
	if (!count) {
		jw_key_null(w, "audit");
		return;
	}
	jw_key(w, "audit");
	jw_object_open(w);
	jw_key_int64(w, "count", count);
	jw_key_int64(w, "mismatches", mismatches);
	jw_key_int64(w, "difference_ns", difference_ns);
	jw_key_int64(w, "worst_ns", worst_ns);
	jw_object_close(w);
}

static void put_doubt(struct json_writer *w, const struct record_doubt *doubt)
{
	if (!doubt->cause[0])
		return;
	jw_key(w, "doubt");
	jw_object_open(w);
	jw_key_int64(w, "difference_ns", doubt->difference_ns);
	jw_key_string(w, "cause", doubt->cause);
	jw_object_close(w);
}

static void put_seal(struct json_writer *w, const struct record_seal *seal)
{
	if (!seal->position)
		return;
	jw_key(w, "integrity");
	jw_object_open(w);
	jw_key_uint64(w, "position", seal->position);
	jw_key(w, "previous");
	jw_hex(w, seal->previous, sizeof(seal->previous));
	jw_key(w, "hash");
	jw_hex(w, seal->hash, sizeof(seal->hash));
	jw_object_close(w);
}

static void put_lost(struct json_writer *w, int64_t marks, int64_t events)
{
	if (marks)
		jw_key_int64(w, "marks_lost", marks);
	if (events)
		jw_key_int64(w, "events_lost", events);
}

int invocation_record_json(const struct invocation_record *record, char *buffer, size_t size)
{
	struct json_writer w;

	jw_begin(&w, buffer, size);
	jw_object_open(&w);
	put_head(&w, "oncpu.invocation/1", record->host, record->boot_id, record->sequence);
	put_who(&w, record);
	put_sizes(&w, record);
	put_accounts(&w, record);
	put_scheduling(&w, record);
	put_where(&w, &record->where);
	put_taken(&w, record);
	if (record->continues_len)
		put_id(&w, "continues", "continues_hex", record->continues, record->continues_len);
	else
		jw_key_null(&w, "continues");
	put_billed(&w, record);
	put_lost(&w, record->marks_lost, record->events_lost);
	record_flags_json(&w, record->flags);
	put_doubt(&w, &record->doubt);
	put_seal(&w, &record->seal);
	jw_object_close(&w);
	return jw_end(&w);
}

int instance_record_json(const struct instance_record *record, char *buffer, size_t size)
{
	struct json_writer w;

	jw_begin(&w, buffer, size);
	jw_object_open(&w);
	put_head(&w, "oncpu.instance/1", record->host, record->boot_id, record->sequence);
	jw_key_string(&w, "function", record->function);
	jw_key_string(&w, "instance", record->instance);
	jw_key_string(&w, "host", record->host);
	jw_key_uint64(&w, "uid", record->uid);
	jw_key_uint64(&w, "cgroup_id", record->cgroup_id);
	put_time(&w, "start", record->start_realtime_ns);
	put_time(&w, "end", record->end_realtime_ns);
	jw_key_int64(&w, "total_cpu_ns", record->total_cpu_ns);
	jw_key_int64(&w, "init_cpu_ns", record->init_cpu_ns);
	jw_key_int64(&w, "invocations_cpu_ns", record->invocations_cpu_ns);
	jw_key_int64(&w, "freeze_cpu_ns", record->freeze_cpu_ns);
	jw_key_int64(&w, "between_cpu_ns", record->between_cpu_ns);
	put_split(&w, "last_between", record->last_between_wall_ns, record->last_between_cpu_ns);
	jw_key_int64(&w, "invocations", record->invocations);
	jw_key_int64(&w, "unmatched", record->unmatched);
	record_audit_json(&w, record->audits, record->audit_mismatches, record->audit_difference_ns,
			  record->audit_worst_ns);
	put_lost(&w, record->marks_lost, record->events_lost);
	record_flags_json(&w, record->flags);
	put_seal(&w, &record->seal);
	jw_object_close(&w);
	return jw_end(&w);
}
