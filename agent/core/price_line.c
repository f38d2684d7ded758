// SPDX-License-Identifier: GPL-2.0
/* A line, read in one pass. See price_line.h. */
#include "core/price_line.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000
#define MESSAGE_MAX 2048
#define MAX_MB (1 << 24)

struct text {
	const char *at, *end;
};

static bool is(struct text t, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(t.end - t.at) == n && memcmp(t.at, word, n) == 0;
}

static void skip_blanks(struct text *t)
{
	while (t->at < t->end &&
	       (*t->at == ' ' || *t->at == '\t' || *t->at == '\r' || *t->at == '\n'))
		t->at++;
}

/* A decimal number × 10^scale, exactly; digits beyond are refused unless they are 0. */
static bool take_decimal(struct text *t, int scale, int64_t *ret_value)
{
	int64_t value = 0;
	bool negative = t->at < t->end && *t->at == '-', any = false, fraction = false;

	for (t->at += negative; t->at < t->end; t->at++) {
		if (*t->at == '.' && !fraction && any) {
			fraction = true;
			continue;
		}
		if (*t->at < '0' || *t->at > '9')
			break;
		if (fraction && scale == 0) {
			if (*t->at != '0')
				return false;
			continue;
		}
		scale -= fraction;
		any = true;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *t->at - '0', &value))
			return false;
	}
	while (scale-- > 0)
		if (__builtin_mul_overflow(value, 10, &value))
			return false;
	*ret_value = negative ? -value : value;
	return any;
}

/* ---- JSON, as far as it is needed ---- */

/* What a byte ends or begins: most bytes of a line are none of these. */
enum { ENDS_SCALAR = 1, IN_STRING = 2, IN_NEST = 4 };
static const unsigned char classes[256] = {
	[','] = ENDS_SCALAR,	       [' '] = ENDS_SCALAR,  ['\t'] = ENDS_SCALAR,
	['\r'] = ENDS_SCALAR,	       ['\n'] = ENDS_SCALAR, ['}'] = ENDS_SCALAR | IN_NEST,
	[']'] = ENDS_SCALAR | IN_NEST, ['{'] = IN_NEST,	     ['['] = IN_NEST,
	['"'] = IN_STRING | IN_NEST,   ['\\'] = IN_STRING,
};

static const char *run_to(const char *at, const char *end, unsigned char class)
{
	while (at < end && !(classes[(unsigned char)*at] & class))
		at++;
	return at;
}

/* After the closing quote, or NULL. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++;; at += 2) {
		at = run_to(at, end, IN_STRING);
		if (at >= end)
			return NULL;
		if (*at == '"')
			return at + 1;
	}
}

/* After a value of any kind, or NULL. */
static const char *skip_value(const char *at, const char *end)
{
	int depth = 0;

	if (at < end && *at != '"' && *at != '{' && *at != '[')
		return run_to(at, end, ENDS_SCALAR);
	for (; (at = run_to(at, end, IN_NEST)) < end; at++) {
		if (*at == '"') {
			at = skip_string(at, end);
			if (!at || !depth)
				return at;
			at--;
		} else if (*at == '{' || *at == '[') {
			depth++;
		} else if (--depth == 0) {
			return at + 1;
		}
	}
	return NULL;
}

enum member { MEMBER, MEMBER_LAST, MEMBER_BROKEN };

/* The next member of an object whose brace has been taken. */
static enum member next_member(struct text *t, struct text *ret_key, struct text *ret_value)
{
	skip_blanks(t);
	if (t->at < t->end && *t->at == ',') {
		t->at++;
		skip_blanks(t);
	}
	if (t->at < t->end && *t->at == '}')
		return t->at++, MEMBER_LAST;
	if (t->at >= t->end || *t->at != '"')
		return MEMBER_BROKEN;
	ret_key->at = t->at + 1;
	t->at = skip_string(t->at, t->end);
	if (!t->at)
		return MEMBER_BROKEN;
	ret_key->end = t->at - 1;
	skip_blanks(t);
	if (t->at >= t->end || *t->at++ != ':')
		return MEMBER_BROKEN;
	skip_blanks(t);
	ret_value->at = t->at;
	t->at = skip_value(t->at, t->end);
	if (!t->at)
		return MEMBER_BROKEN;
	ret_value->end = t->at;
	return MEMBER;
}

static bool is_object(struct text value)
{
	return value.at < value.end && *value.at == '{';
}

/* A whole number, or null, which leaves what was there. */
static bool integer(struct text value, int64_t *ret_value)
{
	int64_t number;

	if (is(value, "null"))
		return true;
	if (!take_decimal(&value, 0, &number) || value.at != value.end)
		return false;
	*ret_value = number;
	return true;
}

/* A string's bytes; what has escapes is put right by the one who needs it. */
static struct text string_of(struct text value)
{
	if (value.end - value.at < 2 || *value.at != '"')
		return (struct text){ value.at, value.at };
	return (struct text){ value.at + 1, value.end - 1 };
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static size_t put_code(char *to, uint32_t code)
{
	if (code < 0x80)
		return to[0] = (char)code, 1;
	if (code < 0x800)
		return to[0] = (char)(0xc0 | code >> 6), to[1] = (char)(0x80 | (code & 63)), 2;
	if (code < 0x10000) {
		to[0] = (char)(0xe0 | code >> 12);
		to[1] = (char)(0x80 | (code >> 6 & 63));
		to[2] = (char)(0x80 | (code & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | code >> 18);
	to[1] = (char)(0x80 | (code >> 12 & 63));
	to[2] = (char)(0x80 | (code >> 6 & 63));
	to[3] = (char)(0x80 | (code & 63));
	return 4;
}

/* Of "uXXXX", and of "uXXXX\uYYYY" where that is a pair; *at is then its last byte. A lone
 * surrogate is '?'. */
static uint32_t take_code(const char **at, const char *end)
{
	uint32_t code = 0, low = 0;

	for (int i = 1; i <= 4; i++)
		code = code << 4 | (uint32_t)(hex((*at)[i]) & 15);
	*at += 4;
	if (code < 0xd800 || code > 0xdfff)
		return code;
	if (code > 0xdbff || end - *at < 7 || (*at)[1] != '\\' || (*at)[2] != 'u')
		return '?';
	for (int i = 3; i <= 6; i++)
		low = low << 4 | (uint32_t)(hex((*at)[i]) & 15);
	if (low < 0xdc00 || low > 0xdfff)
		return '?';
	*at += 6;
	return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* Undoes the escapes of as much as fits; the bytes written. */
static size_t unescape(struct text from, char *to, size_t size)
{
	static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	size_t n = 0;

	for (; from.at < from.end && n < size; from.at++) {
		const char *which;

		if (*from.at != '\\' || from.at + 1 == from.end) {
			to[n++] = *from.at;
			continue;
		}
		from.at++;
		which = strchr(plain, *from.at);
		if (which && *from.at) {
			to[n++] = meant[which - plain];
		} else if (*from.at == 'u' && from.end - from.at > 4) {
			if (size - n < 4)
				break;
			n += put_code(to + n, take_code(&from.at, from.end));
		}
	}
	return n;
}

static void set_function(struct text name, char function[ONCPU_NAME_LEN])
{
	function[unescape(name, function, ONCPU_NAME_LEN - 1)] = '\0';
}

/* ---- a record ---- */

/* What a bill can rest on: after all of it the rest of a line is not looked into. */
enum needed {
	NEED_SCHEMA,
	NEED_FUNCTION,
	NEED_START,
	NEED_END,
	NEED_COLD,
	NEED_MEMORY,
	NEED_PEAK,
	NEED_QUOTA,
	NEED_WALL,
	NEED_CPU,
	NEED_INIT,
	NEED_AFTER,
	NEED_BETWEEN,
	NEED_FREEZE,
	NEED_SEGMENTS,
	NEED_COUNT
};
#define NEED_ALL ((1u << NEED_COUNT) - 1)

struct record {
	struct invocation_record r;
	unsigned seen; /* bits of enum needed */
	bool schema, wall, cpu, bad;
	struct text function, start, end;
};

/* Two members of a nested object, each a whole number. */
static bool pair(struct text value, const char *first, int64_t *ret_first, const char *second,
		 int64_t *ret_second)
{
	struct text key, inner;
	enum member m;

	if (is(value, "null"))
		return true;
	if (!is_object(value))
		return false;
	value.at++;
	while ((m = next_member(&value, &key, &inner)) == MEMBER)
		if ((is(key, first) && !integer(inner, ret_first)) ||
		    (is(key, second) && !integer(inner, ret_second)))
			return false;
	return m == MEMBER_LAST;
}

static bool segments(struct text value, struct invocation_record *r)
{
	struct text all = value;

	if (value.at >= value.end || *value.at != '[')
		return false;
	for (all.at++;;) {
		struct record_segment *s;
		struct text one = all;

		skip_blanks(&all);
		if (all.at < all.end && *all.at == ',')
			all.at++;
		skip_blanks(&all);
		if (all.at < all.end && *all.at == ']')
			return true;
		if (r->segment_count == RECORD_MAX_SEGMENTS)
			return false;
		s = &r->segments[r->segment_count++];
		one.at = all.at;
		all.at = one.end = skip_value(all.at, all.end);
		if (!all.at || !is_object(one) ||
		    !pair(one, "wall_ns", &s->wall_ns, "cpu_ns", &s->cpu_ns))
			return false;
	}
}

/* Notes that it was there, and is true if it was. */
static bool is_member(struct record *x, struct text key, const char *name, enum needed needed)
{
	if (!is(key, name))
		return false;
	x->seen |= 1u << needed;
	return true;
}

static bool take_member(struct record *x, struct text key, struct text value)
{
	struct invocation_record *r = &x->r;

	switch (key.end - key.at) {
	case 3:
		if (is_member(x, key, "end", NEED_END))
			x->end = string_of(value);
		break;
	case 4:
		if (is_member(x, key, "init", NEED_INIT))
			return pair(value, "wall_ns", &r->init_wall_ns, "cpu_ns", &r->init_cpu_ns);
		break;
	case 5:
		if (is_member(x, key, "start", NEED_START))
			x->start = string_of(value);
		break;
	case 6:
		if (is_member(x, key, "schema", NEED_SCHEMA))
			x->schema = is(value, "\"oncpu.invocation/1\"");
		else if (is_member(x, key, "cpu_ns", NEED_CPU))
			return x->cpu = !is(value, "null") && integer(value, &r->cpu_ns);
		else if (is_member(x, key, "freeze", NEED_FREEZE))
			return pair(value, "wall_ns", &r->freeze_wall_ns, "cpu_ns",
				    &r->freeze_cpu_ns);
		break;
	case 7:
		if (is_member(x, key, "wall_ns", NEED_WALL))
			return x->wall = !is(value, "null") && integer(value, &r->wall_ns);
		if (is_member(x, key, "between", NEED_BETWEEN))
			return pair(value, "wall_ns", &r->between_wall_ns, "cpu_ns",
				    &r->between_cpu_ns);
		break;
	case 8:
		if (is_member(x, key, "function", NEED_FUNCTION))
			x->function = string_of(value);
		else if (is_member(x, key, "segments", NEED_SEGMENTS))
			return segments(value, r);
		break;
	case 9:
		if (is_member(x, key, "memory_mb", NEED_MEMORY))
			return integer(value, &r->memory_mb);
		if (is_member(x, key, "cpu_quota", NEED_QUOTA))
			return pair(value, "quota_us", &r->quota_us, "period_us", &r->period_us);
		break;
	case 10:
		if (is_member(x, key, "cold_start", NEED_COLD))
			r->cold_start = is(value, "true");
		break;
	case 14:
		if (is_member(x, key, "after_response", NEED_AFTER))
			return pair(value, "wall_ns", &r->after_response_wall_ns, "cpu_ns",
				    &r->after_response_cpu_ns);
		break;
	case 16:
		if (is_member(x, key, "max_memory_bytes", NEED_PEAK))
			return integer(value, &r->max_memory_bytes);
		break;
	}
	return true;
}

static void copy_time(struct text time, char to[31])
{
	size_t n = (size_t)(time.end - time.at);

	if (n == 30)
		memcpy(to, time.at, n);
	to[n == 30 ? n : 0] = '\0';
}

static void give_record(const struct record *x, struct price_line *line)
{
	if (!x->schema || !x->wall || !x->cpu || x->bad || x->function.at == x->function.end)
		return;
	line->kind = PRICE_LINE_RECORD;
	line->key = bill_key_of_record(&x->r);
	bill_times_of_record(&x->r, line->times);
	set_function(x->function, line->function);
	copy_time(x->start, line->start);
	copy_time(x->end, line->end);
}

/* ---- a REPORT ---- */

/* What a report says, in ns, MB; -1 = nothing. */
struct report {
	int64_t duration, billed, init, restore, billed_restore, cpu;
	int64_t memory_mb, peak_mb;
};

static void give_report(const struct report *r, struct price_line *line)
{
	if (r->duration < 0 || r->memory_mb <= 0 || r->memory_mb > MAX_MB || r->peak_mb > MAX_MB)
		return;
	line->kind = PRICE_LINE_REPORT;
	line->key =
		(struct bill_key){ .memory_mb = r->memory_mb,
				   .used_mb = r->peak_mb < 0 ? -1
							     : bill_memory_class(r->peak_mb << 20),
				   .vcpu_milli = -1,
				   .no_cpu = r->cpu < 0 };
	line->stated_ns = r->billed;
	line->times[BILL_AWAKE] = r->duration;
	line->times[BILL_USED_CPU] = r->cpu < 0 ? 0 : r->cpu;
	line->times[BILL_INIT_WALL] = r->init < 0 ? 0 : r->init;
	line->times[BILL_RESTORE] = r->billed_restore >= 0 ? r->billed_restore
				    : r->restore >= 0	   ? r->restore
							   : 0;
}

#define REPORT_NONE                                                                                \
	{                                                                                          \
		-1, -1, -1, -1, -1, -1, -1, -1                                                     \
	}

static int64_t *report_field(struct report *r, struct text label, int *ret_scale)
{
	static const struct {
		const char *label;
		size_t offset;
		int scale; /* of ms to ns, of MB */
	} fields[] = {
		{ "Duration", offsetof(struct report, duration), 6 },
		{ "Billed Duration", offsetof(struct report, billed), 6 },
		{ "Memory Size", offsetof(struct report, memory_mb), 0 },
		{ "Max Memory Used", offsetof(struct report, peak_mb), 0 },
		{ "Init Duration", offsetof(struct report, init), 6 },
		{ "Restore Duration", offsetof(struct report, restore), 6 },
		{ "Billed Restore Duration", offsetof(struct report, billed_restore), 6 },
		{ "On-CPU", offsetof(struct report, cpu), 6 },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (is(label, fields[i].label)) {
			*ret_scale = fields[i].scale;
			return (int64_t *)((char *)r + fields[i].offset);
		}
	}
	return NULL;
}

/* "Label: value unit", again and again; a field that is not known has a value of one word. */
static bool read_report(struct text t, struct report *ret_report)
{
	while (skip_blanks(&t), t.at < t.end) {
		struct text label = { t.at, memchr(t.at, ':', (size_t)(t.end - t.at)) };
		int64_t *field;
		int scale = 0;

		if (!label.end)
			return true;
		t.at = label.end + 1;
		skip_blanks(&t);
		field = report_field(ret_report, label, &scale);
		if (field && (!take_decimal(&t, scale, field) || *field < 0 ||
			      (t.at < t.end && *t.at != ' ' && *t.at != '\t')))
			return false;
		while (t.at < t.end && *t.at != ' ' && *t.at != '\t')
			t.at++;
		skip_blanks(&t);
		if (t.end - t.at >= 2 && (!memcmp(t.at, "ms", 2) || !memcmp(t.at, "MB", 2)) &&
		    (t.end - t.at == 2 || t.at[2] == ' ' || t.at[2] == '\t' || t.at[2] == '\r' ||
		     t.at[2] == '\n' || t.at[2] == '"'))
			t.at += 2;
		else if (field)
			return false; /* a number of something else */
	}
	return true;
}

static void take_text(struct text t, struct price_line *line)
{
	static const char mark[] = "REPORT RequestId: ";
	struct report r = REPORT_NONE;

	t.at = memmem(t.at, (size_t)(t.end - t.at), mark, sizeof(mark) - 1);
	if (!t.at)
		return;
	t.at += strlen("REPORT ");
	if (read_report(t, &r))
		give_report(&r, line);
}

/* ---- platform.report ---- */

static bool decimal_ms(struct text value, int64_t *ret_ns)
{
	return take_decimal(&value, 6, ret_ns) && value.at == value.end && *ret_ns >= 0;
}

static bool take_metric(struct report *r, struct text key, struct text value)
{
	return is(key, "durationMs")		    ? decimal_ms(value, &r->duration)
	       : is(key, "billedDurationMs")	    ? decimal_ms(value, &r->billed)
	       : is(key, "initDurationMs")	    ? decimal_ms(value, &r->init)
	       : is(key, "restoreDurationMs")	    ? decimal_ms(value, &r->restore)
	       : is(key, "billedRestoreDurationMs") ? decimal_ms(value, &r->billed_restore)
	       : is(key, "onCpuMs")		    ? decimal_ms(value, &r->cpu)
	       : is(key, "memorySizeMB")	    ? integer(value, &r->memory_mb)
	       : is(key, "maxMemoryUsedMB")	    ? integer(value, &r->peak_mb)
						    : true;
}

/* record.metrics of a platform.report. */
static void take_platform(struct text object, struct price_line *line)
{
	struct report r = REPORT_NONE;
	struct text key, value, metrics = { NULL, NULL };

	for (object.at++; next_member(&object, &key, &value) == MEMBER;)
		if (is(key, "metrics") && is_object(value))
			metrics = value;
	if (!metrics.at)
		return;
	for (metrics.at++; next_member(&metrics, &key, &value) == MEMBER;)
		if (!take_metric(&r, key, value))
			return;
	give_report(&r, line);
}

/* ---- a line ---- */

/* "/aws/lambda/thumb" and "123456789012:/aws/lambda/thumb" are both thumb. */
static void set_log_group(struct text group, char function[ONCPU_NAME_LEN])
{
	const char *slash = memrchr(group.at, '/', (size_t)(group.end - group.at));

	if (slash)
		group.at = slash + 1;
	set_function(group, function);
}

/* What is left ends as an object does: it was not cut off. */
static bool ends_object(struct text rest)
{
	while (rest.end > rest.at && strchr(" \t\r\n", rest.end[-1]))
		rest.end--;
	return rest.end > rest.at && rest.end[-1] == '}';
}

/* An object may wrap another one as its message, once. */
static void take_object(struct text t, bool wrapped, struct price_line *line)
{
	struct record x = { .r = { .memory_mb = -1,
				   .max_memory_bytes = -1,
				   .quota_us = -1,
				   .period_us = -1,
				   .init_wall_ns = -1,
				   .init_cpu_ns = -1 } };
	struct text key, value, message = { 0 }, group = { 0 }, object = { 0 };
	bool platform = false;
	char text[MESSAGE_MAX];
	enum member m;

	t.at++;
	while ((m = next_member(&t, &key, &value)) == MEMBER) {
		x.bad |= !take_member(&x, key, value);
		if (x.schema && x.seen == NEED_ALL && ends_object(t)) {
			m = MEMBER_LAST;
			break;
		}
		if (x.schema) /* a record is nothing else */
			continue;
		if (is(key, "message") || is(key, "@message"))
			message = value;
		else if (is(key, "logGroup") || is(key, "@log"))
			group = string_of(value);
		else if (is(key, "type"))
			platform = is(value, "\"platform.report\"");
		else if (is(key, "record"))
			object = value;
	}
	if (m == MEMBER_BROKEN)
		return;
	if (x.schema) {
		give_record(&x, line);
	} else if (platform && object.at && is_object(object)) {
		take_platform(object, line);
	} else if (message.at && *message.at == '"') {
		size_t n = unescape(string_of(message), text, sizeof(text));

		take_text((struct text){ text, text + n }, line);
	} else if (message.at && is_object(message) && !wrapped) {
		take_object(message, true, line);
	}
	if (line->kind == PRICE_LINE_REPORT && group.at)
		set_log_group(group, line->function);
}

void price_line_parse(const char *at, size_t length, struct price_line *ret_line)
{
	struct text t = { at, at + length };

	ret_line->kind = PRICE_LINE_NEITHER;
	ret_line->function[0] = ret_line->start[0] = ret_line->end[0] = '\0';
	ret_line->stated_ns = -1;
	memset(ret_line->times, 0, sizeof(ret_line->times));
	skip_blanks(&t);
	if (t.at < t.end && *t.at == '{')
		take_object(t, false, ret_line);
	else
		take_text(t, ret_line);
}
