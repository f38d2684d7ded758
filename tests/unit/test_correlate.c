// SPDX-License-Identifier: GPL-2.0
/*
 * The correlator: every irregular order as a row of a table, then the law over random lives.
 *
 * A row is a line of events and the records that must come of it. Event n of a life happens at
 * (1000 + 100 n) ns with a total of 10 n ns, so that a boundary is 100 ns and 10 ns of CPU apart
 * from the next one, whatever order the events come in.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/correlate.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define REORDER_NS 1000
#define BOOT "0123456789abcdef0123456789abcdef"
#define DERIVED "i-01234567-0000000000000001-"
#define REALTIME_OFFSET 1700000000000000000ll

/* ---- events in, text out ---- */

struct bench {
	struct correlator *c;
	char text[8192];
	size_t used;
	uint64_t sequence;
};

static void say(struct bench *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	b->used += (size_t)vsnprintf(b->text + b->used, sizeof(b->text) - b->used, format, args);
	va_end(args);
	assert_true(b->used < sizeof(b->text));
}

static void say_part(struct bench *b, const char *name, int64_t cpu, int64_t wall)
{
	if (cpu || wall)
		say(b, " %s=%lld/%lld", name, (long long)cpu, (long long)wall);
}

static void say_count(struct bench *b, const char *name, int64_t value)
{
	if (value)
		say(b, " %s=%lld", name, (long long)value);
}

static void say_flags(struct bench *b, uint64_t flags)
{
	for (int i = 0; i < RECORD_FLAG_COUNT; i++)
		if (flags & 1ull << i)
			say(b, " %s", record_flag_name(i));
	assert_int_equal(flags >> RECORD_FLAG_COUNT, 0);
}

static void say_id(struct bench *b, const char *id, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		say(b, id[i] > ' ' && id[i] <= '~' ? "%c" : "\\%02x", (unsigned char)id[i]);
}

static void on_invocation(void *user, const struct invocation_record *r)
{
	struct bench *b = user;

	assert_int_equal(r->sequence, ++b->sequence);
	assert_string_equal(r->host, "box");
	assert_string_equal(r->boot_id, BOOT);
	assert_int_equal(r->end_realtime_ns - r->start_realtime_ns, r->wall_ns);
	say(b, "%s", b->used ? " | " : "");
	say_id(b, r->id, r->id_len);
	say(b, " %s", record_status_name(r->status));
	if (strcmp(r->function, "unknown"))
		say(b, " fn=%s", r->function);
	if (r->cold_start)
		say(b, " cold");
	if (r->init_wall_ns != -1 || r->init_cpu_ns != -1)
		say_part(b, "init", r->init_cpu_ns, r->init_wall_ns);
	say(b, " cpu=%lld/%lld", (long long)r->cpu_ns, (long long)r->wall_ns);
	say_part(b, "after", r->after_response_cpu_ns, r->after_response_wall_ns);
	say_part(b, "between", r->between_cpu_ns, r->between_wall_ns);
	say_count(b, "freezes", r->freeze_count);
	say_part(b, "freeze", r->freeze_cpu_ns, r->freeze_wall_ns);
	for (uint32_t i = 0; i < r->segment_count; i++)
		say_part(b, "awake", r->segments[i].cpu_ns, r->segments[i].wall_ns);
	say_count(b, "bound", r->cpu_error_bound_ns);
	say_count(b, "queue", r->run_queue_ns);
	say_count(b, "vol", r->voluntary);
	say_count(b, "invol", r->involuntary);
	say_count(b, "threads", r->threads);
	say_count(b, "lost", r->events_lost);
	say_count(b, "marks", r->marks_lost);
	if (r->continues_len) {
		say(b, " from=");
		say_id(b, r->continues, r->continues_len);
	}
	say_flags(b, r->flags);
}

static void on_instance(void *user, const struct instance_record *r)
{
	struct bench *b = user;

	assert_int_equal(r->sequence, ++b->sequence);
	assert_int_equal(r->init_cpu_ns + r->invocations_cpu_ns + r->freeze_cpu_ns +
				 r->between_cpu_ns,
			 r->total_cpu_ns);
	say(b, "%sexit", b->used ? " | " : "");
	if (strcmp(r->function, "unknown"))
		say(b, " fn=%s", r->function);
	say(b, " total=%lld", (long long)r->total_cpu_ns);
	say_count(b, "init", r->init_cpu_ns);
	say_count(b, "invocations", r->invocations_cpu_ns);
	say_count(b, "freeze", r->freeze_cpu_ns);
	say_count(b, "between", r->between_cpu_ns);
	say_part(b, "last", r->last_between_cpu_ns, r->last_between_wall_ns);
	say_count(b, "n", r->invocations);
	say_count(b, "unmatched", r->unmatched);
	say_count(b, "lost", r->events_lost);
	say_count(b, "marks", r->marks_lost);
	say_flags(b, r->flags);
}

static void bench_open(struct bench *b, uint32_t max_instances)
{
	struct correlator_config config = {
		.host = "box",
		.boot_id = BOOT,
		.realtime_offset_ns = REALTIME_OFFSET,
		.reorder_ns = REORDER_NS,
		.max_instances = max_instances,
		.user = b,
		.on_invocation = on_invocation,
		.on_instance = on_instance,
	};

	memset(b, 0, sizeof(*b));
	assert_int_equal(correlator_new(&config, &b->c), 0);
}

static void say_counters(struct bench *b)
{
	const struct correlator_counters *n = correlator_counters(b->c);

	say(b, "%s#", b->used ? " " : "");
	say_count(b, "duplicates", (int64_t)n->duplicates);
	say_count(b, "reordered", (int64_t)n->reordered);
	say_count(b, "lost", (int64_t)n->lost);
	say_count(b, "unmatched", (int64_t)n->unmatched);
	say_count(b, "open", (int64_t)n->instances_open);
}

static struct oncpu_event event_at(uint64_t uid, uint64_t n, uint32_t kind)
{
	return (struct oncpu_event){ .kind = kind,
				     .uid = uid,
				     .n = n,
				     .time_ns = 1000 + 100 * n,
				     .total_ns = 10 * n,
				     .tgid = 7,
				     .tid = 7 };
}

/*
 * KIND[:id][,key=value]…   a letter of `kinds`; keys: n, k total, t time, p tgid, h tid, m mark
 * number, s status, b bound, l steal level, f flag's bit, g flags, q run delay, v, i context
 * switches, c threads, F function, u uid
 * -                        the next event is lost     @N  a tick at N     !  flush
 * ~                        shows in the output when it is reached
 */
static const char kinds[] = ".ISVREPUFTXY";

static struct oncpu_event parse_event(char *token, uint64_t n)
{
	const char *kind = strchr(kinds, token[0]);
	struct oncpu_event e;
	char *at;

	assert_non_null(kind);
	e = event_at(1, n, (uint32_t)(kind - kinds));
	at = token + 1;
	if (*at == ':') {
		size_t length = strcspn(++at, ",");

		memcpy(e.id, at, length);
		e.id_len = (uint32_t)length;
		at += length;
	}
	while (*at == ',') {
		char key = at[1];
		char *value = at + 3, *end;
		long long number = strtoll(value, &end, 0);

		at += strcspn(value, ",") + 3;
		switch (key) {
		case 'n':
			e.n = (uint64_t)number;
			e.time_ns = 1000 + 100 * e.n;
			e.total_ns = 10 * e.n;
			break;
		case 'k':
			e.total_ns = (uint64_t)number;
			break;
		case 't':
			e.time_ns = (uint64_t)number;
			break;
		case 'p':
			e.tgid = e.tid = (uint32_t)number;
			break;
		case 'h':
			e.tid = (uint32_t)number;
			break;
		case 'm':
			e.mark_number = (uint64_t)number;
			break;
		case 's':
			e.status = (int32_t)number;
			break;
		case 'b':
			e.bound_ns = (uint64_t)number;
			break;
		case 'l':
			e.steal_ns = (uint64_t)number;
			break;
		case 'f':
			e.flags = 1u << number;
			break;
		case 'g':
			e.flags = (uint32_t)number;
			break;
		case 'q':
			e.run_delay_ns = (uint64_t)number;
			break;
		case 'v':
			e.voluntary = (uint64_t)number;
			break;
		case 'i':
			e.involuntary = (uint64_t)number;
			break;
		case 'c':
			e.threads = (uint32_t)number;
			break;
		case 'F':
			memcpy(e.function, value, strcspn(value, ","));
			break;
		case 'u':
			e.uid = (uint64_t)number;
			break;
		default:
			fail_msg("unknown key %c", key);
		}
	}
	return e;
}

static void run(struct bench *b, const char *line)
{
	char copy[2048], *save = NULL;
	uint64_t n = 1;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
		struct oncpu_event e;

		if (*t == '-') {
			n++;
		} else if (*t == '@') {
			assert_int_equal(correlator_tick(b->c, strtoull(t + 1, NULL, 0)), 0);
		} else if (*t == '!') {
			assert_int_equal(correlator_flush(b->c), 0);
		} else if (*t == '~') {
			say(b, "%s~", b->used ? " " : "");
		} else {
			/* `n` first: it sets the time and the total of that number */
			e = parse_event(t, n);
			n = e.n + 1;
			assert_int_equal(correlator_feed(b->c, &e), 0);
		}
	}
}

struct row {
	const char *name, *events, *records;
};

static void check_rows(const struct row *rows, size_t count)
{
	int bad = 0;

	for (size_t i = 0; i < count; i++) {
		struct bench b;

		bench_open(&b, 16);
		run(&b, rows[i].events);
		say_counters(&b);
		if (strcmp(b.text, rows[i].records)) {
			print_error("%s: %s\n  expected %s\n  got      %s\n", rows[i].name,
				    rows[i].events, rows[i].records, b.text);
			bad++;
		}
		correlator_free(&b.c);
		assert_null(b.c);
	}
	assert_int_equal(bad, 0);
}

static void test_correlate_normal_lives(void **state)
{
	static const struct row rows[] = {
		{ "one invocation", "I S:a E X",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "exit total=40 init=20 invocations=10 between=10 last=10/100 n=1 #" },
		{ "a whole life", "I S:a R E V:b E V:c R E X",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 | b ok cpu=10/100 between=10/100 "
		  "| "
		  "c ok cpu=20/200 after=10/100 between=10/100 | "
		  "exit total=100 init=20 invocations=50 between=30 last=10/100 n=3 #" },
		{ "no invocation at all", "I X", "exit total=20 init=20 #" },
		{ "the runtime says when init is over", "I Y S:a E S,f=11 E X",
		  "a ok cold init=20/100 cpu=10/100 between=10/100 | " DERIVED
		  "2 ok cpu=10/100 between=10/100 id_missing | exit total=70 init=20 "
		  "invocations=20 between=30 last=10/100 n=2 id_missing #" },
		{ "ready, and never a trigger", "I Y X",
		  "exit total=30 init=20 between=10 last=10/100 #" },
		{ "frozen between", "I S:a E F T V:b E X",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/100 between=20/200 freezes=1 freeze=10/100 | exit total=80 init=20 "
		  "invocations=20 freeze=10 between=30 last=10/100 n=2 #" },
		{ "frozen in mid-invocation and in init", "I F T S:a F T F T R F T E X",
		  "a ok cold init=30/200 cpu=50/800 after=20/200 freezes=4 freeze=40/400 "
		  "awake=10/100 awake=10/100 awake=20/200 awake=10/100 | "
		  "exit total=130 init=30 invocations=50 freeze=40 between=10 last=10/100 n=1 #" },
		{ "the trigger is written before the thaw", "I S:a E F V:b T E X",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/200 between=10/100 freezes=1 freeze=20/200 | exit total=80 init=20 "
		  "invocations=20 freeze=20 between=20 last=10/100 n=2 #" },
		{ "freezes are counted for each record", "I S:a F T E F T V:b F T E X",
		  "a ok cold init=20/100 cpu=20/300 freezes=1 freeze=10/100 awake=10/100 "
		  "awake=10/100 | "
		  "b ok cpu=20/300 between=20/200 freezes=2 freeze=20/200 awake=10/100 "
		  "awake=10/100 | "
		  "exit total=120 init=20 "
		  "invocations=40 freeze=30 between=30 last=10/100 n=2 #" },
		{ "exit while frozen", "I S:a E F X",
		  "a ok cold init=20/100 cpu=10/100 | exit total=50 init=20 invocations=10 "
		  "freeze=10 "
		  "between=10 last=10/100 n=1 #" },
		{ "suspended, resumed by its own trigger", "I S:a P U V:b E V:c E X",
		  "a suspended cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/100 between=20/200 from=a continues | c ok cpu=10/100 "
		  "between=10/100 | "
		  "exit total=90 init=20 invocations=30 between=40 last=10/100 n=3 #" },
		{ "suspended after the response, twice", "I S:a R P V:b P V:c E X",
		  "a suspended cold init=20/100 cpu=20/200 after=10/100 | "
		  "b suspended cpu=10/100 between=10/100 from=a continues | "
		  "c ok cpu=10/100 between=10/100 from=b continues | exit total=90 init=20 "
		  "invocations=40 between=30 last=10/100 n=3 #" },
		{ "reported done in mid-handler", "I S:a E,s=4 V:b E X",
		  "a suspended cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/100 between=10/100 from=a continues | exit total=60 init=20 "
		  "invocations=20 between=20 last=10/100 n=2 #" },
		{ "two instances side by side",
		  "I S:a I,n=1,u=2 S:x,n=2,u=2 E,n=3 X,n=4 E,n=3,u=2 X,n=4,u=2",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "exit total=40 init=20 invocations=10 between=10 last=10/100 n=1 | "
		  "x ok cold init=20/100 cpu=10/100 | "
		  "exit total=40 init=20 invocations=10 between=10 last=10/100 n=1 #" },
		{ "held by a holder: every trigger is a start",
		  "I,f=6 S:a,f=11 E,f=11 S:b,f=11 E,f=11 X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=10/100 | "
		  "exit total=60 init=20 invocations=20 between=20 last=10/100 n=2 #" },
		{ "counts are differences", "I S:a,q=5,v=10,i=20,c=2 E,q=9,v=13,i=21,c=4 X",
		  "a ok cold init=20/100 cpu=10/100 queue=4 vol=3 invol=1 threads=4 | "
		  "exit total=40 init=20 invocations=10 between=10 last=10/100 n=1 #" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_correlate_irregular_orders(void **state)
{
	static const struct row rows[] = {
		{ "done without start", "I E S:a E X",
		  "a ok cold init=30/200 cpu=10/100 done_without_start | exit total=50 init=30 "
		  "invocations=10 between=10 last=10/100 n=1 unmatched=1 done_without_start "
		  "# unmatched=1" },
		{ "ready, done without start: the start after it is the first", "I Y E S:a E X",
		  "a ok cold init=20/100 cpu=10/100 between=20/200 done_without_start | exit "
		  "total=60 init=20 invocations=10 between=30 last=10/100 n=1 unmatched=1 "
		  "done_without_start # unmatched=1" },
		{ "start twice", "I S:a E S:b E X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=10/100 start_twice | "
		  "exit total=60 init=20 invocations=20 between=20 last=10/100 n=2 start_twice #" },
		{ "start twice before done", "I S:a S:b E X",
		  "a ok cold init=20/100 cpu=10/100 start_before_done | b ok cpu=10/100 "
		  "start_twice | "
		  "exit total=50 init=20 invocations=20 between=10 last=10/100 n=2 start_twice "
		  "start_before_done #" },
		{ "the next before done", "I S:a V:b R V:c E X",
		  "a ok cold init=20/100 cpu=10/100 start_before_done | "
		  "b ok cpu=20/200 after=10/100 start_before_done | c ok cpu=10/100 | exit "
		  "total=70 "
		  "init=20 invocations=40 between=10 last=10/100 n=3 start_before_done #" },
		{ "done twice", "I S:a E E V:b E X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=20/200 done_twice | "
		  "exit total=70 init=20 invocations=20 between=30 last=10/100 n=2 unmatched=1 "
		  "done_twice # unmatched=1" },
		{ "done twice, and nothing after", "I S:a E E X",
		  "a ok cold init=20/100 cpu=10/100 | exit total=50 init=20 invocations=10 "
		  "between=20 "
		  "last=20/200 n=1 unmatched=1 done_twice # unmatched=1" },
		{ "an invoke first", "I V:a E X",
		  "a ok cold init=20/100 cpu=10/100 invoke_without_start | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 invoke_without_start #" },
		{ "an id used twice", "I S:a E V:b E V:a E X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=10/100 | "
		  "a ok cpu=10/100 between=10/100 id_reused | exit total=80 init=20 invocations=30 "
		  "between=30 last=10/100 n=3 id_reused #" },
		{ "done for another id does not end this one", "I S:a E:b E:a X",
		  "a ok cold init=20/100 cpu=20/200 done_without_start | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=1 unmatched=1 done_without_start "
		  "# unmatched=1" },
		{ "an id that only begins like it", "I S:ab E:a E X",
		  "ab ok cold init=20/100 cpu=20/200 done_without_start | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=1 unmatched=1 done_without_start "
		  "# unmatched=1" },
		{ "an id that goes on after it", "I S:a E:ab E X",
		  "a ok cold init=20/100 cpu=20/200 done_without_start | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=1 unmatched=1 done_without_start "
		  "# unmatched=1" },
		{ "exit in mid-invocation", "I S:a X",
		  "a crashed cold init=20/100 cpu=10/100 exit_in_invocation | exit total=30 "
		  "init=20 "
		  "invocations=10 n=1 exit_in_invocation #" },
		{ "exit after the response", "I S:a R X",
		  "a crashed cold init=20/100 cpu=20/200 after=10/100 exit_in_invocation | exit "
		  "total=40 "
		  "init=20 invocations=20 n=1 exit_in_invocation #" },
		{ "a response to nothing, and two", "I R S:a R R E R X",
		  "a ok cold init=30/200 cpu=30/300 after=20/200 | exit total=80 init=30 "
		  "invocations=30 between=20 last=20/200 n=1 unmatched=3 # unmatched=3" },
		{ "suspend and ready out of place", "I P S:a Y E P X",
		  "a ok cold init=30/200 cpu=20/200 | exit total=70 init=30 invocations=20 "
		  "between=20 "
		  "last=20/200 n=1 unmatched=3 # unmatched=3" },
		{ "done by a child", "I S:a E,p=8 X",
		  "a ok cold init=20/100 cpu=10/100 child_mark | exit total=40 init=20 "
		  "invocations=10 "
		  "between=10 last=10/100 n=1 child_mark #" },
		{ "done by another thread", "I S:a,h=8 E,h=9 X",
		  "a ok cold init=20/100 cpu=10/100 thread_race | exit total=40 init=20 "
		  "invocations=10 "
		  "between=10 last=10/100 n=1 thread_race #" },
		{ "a holder may be any thread", "I S:a,f=11,p=8 E,f=11,p=9 X",
		  "a ok cold init=20/100 cpu=10/100 | exit total=40 init=20 invocations=10 "
		  "between=10 "
		  "last=10/100 n=1 #" },
		{ "called from outside, reported by the function", "I S:a,f=11,p=8 E X",
		  "a ok cold init=20/100 cpu=10/100 | exit total=40 init=20 invocations=10 "
		  "between=10 last=10/100 n=1 #" },
		{ "done says the id that the start did not", "I S E:z X",
		  DERIVED "1 ok cold init=20/100 cpu=10/100 id_missing | exit total=40 init=20 "
			  "invocations=10 between=10 last=10/100 n=1 id_missing #" },
		{ "a response to another id", "I S:a R:b E:a X",
		  "a ok cold init=20/100 cpu=20/200 | exit total=50 init=20 invocations=20 "
		  "between=10 last=10/100 n=1 unmatched=1 # unmatched=1" },
		{ "a held program's own marks",
		  "I,f=6 S:m,g=2112 S:a,f=6 R,f=6 E,f=6 V:b,f=6 E:m,g=2112 X,f=6",
		  "m ok cold init=20/100 cpu=50/500 | exit total=80 init=20 invocations=50 "
		  "between=10 last=10/100 n=1 unmatched=4 # unmatched=4" },
		{ "frozen twice, thawed twice, ready twice", "I Y Y F F T T S:a E X",
		  "a ok cold init=20/100 cpu=10/100 between=40/400 freezes=1 freeze=20/200 | exit "
		  "total=100 init=20 invocations=10 freeze=20 between=50 last=10/100 n=1 "
		  "unmatched=3 # unmatched=3" },
		{ "the thaw is lost", "I S:a E F V:b,f=11 - E V:c E X !",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=0/200 between=10/100 freezes=1 "
		  "freeze=30/300 lost=1 events_lost | c ok cpu=10/100 between=10/100 events_lost | "
		  "exit total=100 init=20 invocations=20 freeze=30 between=30 last=10/100 n=3 "
		  "lost=1 events_lost # lost=1" },
		{ "the thaw is lost, and the trigger", "I S:a E F - - F T V:c E X !",
		  "a ok cold init=20/100 cpu=10/100 | c ok cpu=10/100 between=20/200 freezes=2 "
		  "freeze=40/400 lost=2 events_lost | exit total=110 init=20 invocations=20 "
		  "freeze=40 between=30 last=10/100 n=2 lost=2 events_lost # lost=2" },
		{ "ready is the first we see", "Y,n=5 V:c E X !",
		  "c ok cpu=10/100 between=10/100 agent_started_mid | exit total=80 init=50 "
		  "invocations=10 between=20 last=10/100 n=1 agent_started_mid # lost=4" },
		{ "flags of a boundary on both its sides", "I S:a V:b,g=14 E X",
		  "a ok cold init=20/100 cpu=10/100 start_before_done stale_slot torn_read | b ok "
		  "cpu=10/100 stale_slot torn_read id_truncated | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=2 start_before_done stale_slot "
		  "torn_read id_truncated #" },
		{ "statuses", "I S:a E,s=1 V:b E,s=2 V:c E,s=3 V:d E,s=77 V:e E,s=-1 X",
		  "a error cold init=20/100 cpu=10/100 | b timeout cpu=10/100 between=10/100 | "
		  "c crashed cpu=10/100 between=10/100 | d error cpu=10/100 between=10/100 | "
		  "e error cpu=10/100 between=10/100 | exit total=120 init=20 invocations=50 "
		  "between=50 "
		  "last=10/100 n=5 #" },
		{ "a total that falls is kept signed", "I S:a,k=50 E,k=40 V:b,k=35 E,k=60 X,k=60",
		  "a ok cold init=50/100 cpu=-10/100 negative_split | "
		  "b ok cpu=25/100 between=-5/100 negative_split | exit total=60 init=50 "
		  "invocations=15 "
		  "between=-5 last=0/100 n=2 negative_split #" },
		{ "flags of events", "I,f=0 S:a,f=1 E,f=2 V:b,f=8 E V:c,f=9 E,f=0 X",
		  "a ok cold init=20/100 cpu=10/100 adopted stale_slot torn_read | "
		  "b ok cpu=10/100 between=10/100 moved | "
		  "c ok cpu=10/100 between=10/100 untracked_threads | exit total=80 init=20 "
		  "invocations=30 between=30 last=10/100 n=3 adopted stale_slot torn_read moved "
		  "untracked_threads #" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_correlate_order_and_gaps(void **state)
{
	static const struct row rows[] = {
		{ "done before start is sorted", "I E,n=3 S:a,n=2 X,n=4",
		  "a ok cold init=20/100 cpu=10/100 out_of_order | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 out_of_order # reordered=1" },
		{ "backwards", "X,n=4 E,n=3 S:a,n=2 I,n=1",
		  "a ok cold init=20/100 cpu=10/100 out_of_order | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 out_of_order # reordered=3" },
		{ "duplicates, handled and held", "I I,n=1 S:a,n=2 X,n=4 X,n=4 S:z,n=2 E,n=3",
		  "a ok cold init=20/100 cpu=10/100 | exit total=40 init=20 invocations=10 "
		  "between=10 "
		  "last=10/100 n=1 out_of_order # duplicates=3 reordered=1" },
		{ "after the exit", "I S:a E X S:a,n=2 X,n=4 I,n=1",
		  "a ok cold init=20/100 cpu=10/100 | exit total=40 init=20 invocations=10 "
		  "between=10 "
		  "last=10/100 n=1 # duplicates=3" },
		/* event 3 is lost; 4 came at 1400 and waits for 1000 */
		{ "a gap waits, then counts as lost", "I S:a - E @2400 ~ @2401 ~ V:b E X",
		  "~ | a ok cold init=20/100 cpu=20/200 lost=1 events_lost ~ | "
		  "b ok cpu=10/100 between=10/100 events_lost | exit total=70 init=20 "
		  "invocations=30 "
		  "between=20 last=10/100 n=2 lost=1 events_lost # lost=1" },
		{ "the missing one comes at the last moment", "I S:a - E @2400 R,n=3 X,n=5",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 out_of_order | exit total=50 "
		  "init=20 "
		  "invocations=20 between=10 last=10/100 n=1 out_of_order # reordered=1" },
		{ "the missing one comes too late", "I S:a - E @2401 R,n=3 X,n=5",
		  "a ok cold init=20/100 cpu=20/200 lost=1 events_lost | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=1 lost=1 events_lost "
		  "# duplicates=1 lost=1" },
		{ "time of events closes a gap too", "I S:a - E V:b,t=2400 ~ E,t=2401 ~ X,t=3000",
		  "~ | a ok cold init=20/100 cpu=20/200 lost=1 events_lost | "
		  "b ok cpu=10/1 between=10/1000 events_lost ~ | exit total=70 init=20 "
		  "invocations=30 between=20 last=10/599 n=2 lost=1 events_lost "
		  "# lost=1" },
		{ "flush", "I S:a E - - X ~ !",
		  "a ok cold init=20/100 cpu=10/100 ~ | exit total=60 init=20 invocations=10 "
		  "between=30 "
		  "last=30/300 n=1 lost=2 events_lost # lost=2" },
		{ "a gap between: on the next record", "I S:a E - V:b E X !",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/100 between=20/200 lost=1 events_lost | exit total=70 "
		  "init=20 invocations=20 between=30 last=10/100 n=2 lost=1 events_lost "
		  "# lost=1" },
		{ "two gaps", "I S:a - R - E X !",
		  "a ok cold init=20/100 cpu=40/400 after=20/200 lost=2 events_lost | exit "
		  "total=70 "
		  "init=20 invocations=40 between=10 last=10/100 n=1 lost=2 events_lost "
		  "# lost=2" },
		{ "start and end lost: accounts merge, no time is lost", "I S:a - - E X !",
		  "a ok cold init=20/100 cpu=30/300 lost=2 events_lost | exit total=60 init=20 "
		  "invocations=30 between=10 last=10/100 n=1 lost=2 events_lost "
		  "# lost=2" },
		{ "out of order behind a gap", "I S:a - X,n=5 E,n=4 !",
		  "a ok cold init=20/100 cpu=20/200 lost=1 events_lost | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=1 lost=1 out_of_order events_lost "
		  "# reordered=1 lost=1" },
		{ "in order again after that", "I S:a - R,n=5 R,n=4 ! E,n=6 - V:b E X !",
		  "a ok cold init=20/100 cpu=40/400 after=20/200 lost=1 out_of_order events_lost | "
		  "b ok cpu=10/100 between=20/200 lost=1 events_lost | exit total=100 init=20 "
		  "invocations=50 between=30 last=10/100 n=2 unmatched=1 lost=2 out_of_order "
		  "events_lost # reordered=1 lost=2 unmatched=1" },
		{ "the end is lost", "I S:a - V:b E X !",
		  "a ok cold init=20/100 cpu=20/200 lost=1 start_before_done events_lost | "
		  "b ok cpu=10/100 events_lost | exit total=60 init=20 invocations=30 between=10 "
		  "last=10/100 n=2 lost=1 start_before_done events_lost # lost=1" },
		/* what was before is nobody's init: in the instance's account, in no record */
		{ "the agent starts in mid-invocation", "E,n=7 V:b E X !",
		  "b ok cpu=10/100 done_without_start agent_started_mid | exit total=100 init=80 "
		  "invocations=10 between=10 last=10/100 n=1 unmatched=1 done_without_start "
		  "agent_started_mid # lost=6 unmatched=1" },
		{ "an init that is not the first is none", "I,n=5 V:a E X !",
		  "a ok cpu=10/100 agent_started_mid | exit total=80 init=60 invocations=10 "
		  "between=10 last=10/100 n=1 agent_started_mid # lost=4" },
		{ "the agent starts between two", "V:a,n=7 E X !",
		  "a ok cpu=10/100 agent_started_mid | exit total=90 init=70 invocations=10 "
		  "between=10 last=10/100 n=1 agent_started_mid # lost=6" },
		{ "the agent sees the end only", "X,n=7 !",
		  "exit total=70 init=70 agent_started_mid # lost=6" },
		{ "the first events come last", "S:a,n=2 I,n=1 E,n=3 X",
		  "a ok cold init=20/100 cpu=10/100 out_of_order | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 out_of_order # reordered=1" },
		{ "what comes behind the exit, later", "I X V:b !",
		  "exit total=20 init=20 # unmatched=1" },
		{ "what comes behind the exit", "I S:a E - X V:b !",
		  "a ok cold init=20/100 cpu=10/100 | exit total=50 init=20 invocations=10 "
		  "between=20 "
		  "last=20/200 n=1 lost=1 events_lost # lost=1 unmatched=1" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_correlate_mark_numbers(void **state)
{
	static const struct row rows[] = {
		{ "all seen", "I S:a,m=1 R,m=2 E,m=3 V:b,m=4 E,m=5 X",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 | b ok cpu=10/100 between=10/100 "
		  "| "
		  "exit total=70 init=20 invocations=30 between=20 last=10/100 n=2 #" },
		{ "one missing within", "I S:a,m=1 E,m=3 V:b,m=4 E,m=5 X",
		  "a ok cold init=20/100 cpu=10/100 marks=1 marks_lost | "
		  "b ok cpu=10/100 between=10/100 | exit total=60 init=20 invocations=20 "
		  "between=20 "
		  "last=10/100 n=2 marks=1 marks_lost #" },
		{ "two missing between", "I S:a,m=1 E,m=2 V:b,m=5 E,m=6 X",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/100 between=10/100 marks=2 marks_lost | exit total=60 init=20 "
		  "invocations=20 between=20 last=10/100 n=2 marks=2 marks_lost #" },
		{ "the done was missed", "I S:a,m=1 V:b,m=3 E,m=4 X",
		  "a ok cold init=20/100 cpu=10/100 marks=1 start_before_done marks_lost | "
		  "b ok cpu=10/100 | exit total=50 init=20 invocations=20 between=10 last=10/100 "
		  "n=2 "
		  "marks=1 start_before_done marks_lost #" },
		{ "the first of a fresh process were missed", "I S:a,m=3 E,m=4 X",
		  "a ok cold init=20/100 cpu=10/100 marks=2 marks_lost | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 marks=2 marks_lost #" },
		{ "whoever was there before us counts from anywhere", "I,f=0 S:a,m=30 E,m=31 X",
		  "a ok cold init=20/100 cpu=10/100 adopted | exit total=40 init=20 invocations=10 "
		  "between=10 last=10/100 n=1 adopted #" },
		{ "so does it if we came in mid-life", "V:a,n=9,m=30 E,m=32 X !",
		  "a ok cpu=10/100 marks=1 marks_lost agent_started_mid | exit total=110 init=90 "
		  "invocations=10 between=10 last=10/100 n=1 marks=1 marks_lost agent_started_mid "
		  "# lost=8" },
		{ "children go on with their parent's count",
		  "I S:a,m=1 E,m=2 V:b,m=3,p=8 E,m=4,p=8 V:c,m=3 E,m=4 X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=10/100 | "
		  "c ok cpu=10/100 between=10/100 | exit total=80 init=20 invocations=30 "
		  "between=30 "
		  "last=10/100 n=3 #" },
		{ "a child's own gap", "I S:a,m=1 E,m=2 V:b,m=3,p=8 E,m=6,p=8 V:c,m=3 E,m=4 X",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/100 between=10/100 marks=2 marks_lost | c ok cpu=10/100 "
		  "between=10/100 | exit total=80 init=20 invocations=30 between=30 last=10/100 "
		  "n=3 "
		  "marks=2 marks_lost #" },
		{ "two threads' first marks cross", "I S:a,m=2 R,m=1 E,m=3 X",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 | exit total=50 init=20 "
		  "invocations=20 between=10 last=10/100 n=1 #" },
		{ "not a second time", "I S:a,m=2 R,m=1 V:b,m=1 E,m=3 X",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 start_before_done | b ok "
		  "cpu=10/100 marks=1 marks_lost | exit total=60 init=20 invocations=30 between=10 "
		  "last=10/100 n=2 marks=1 start_before_done marks_lost #" },
		{ "an exec counts from one", "I S:a,m=1 E,m=2 V:b,m=1 E,m=2 X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=10/100 | exit "
		  "total=60 "
		  "init=20 invocations=20 between=20 last=10/100 n=2 #" },
		{ "an exec does not hide a gap", "I S:a,m=1 R,m=3 V:b,m=1 E,m=2 X",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 marks=1 start_before_done "
		  "marks_lost "
		  "| b ok cpu=10/100 | exit total=60 init=20 invocations=30 between=10 last=10/100 "
		  "n=2 "
		  "marks=1 start_before_done marks_lost #" },
		{ "nor do many children",
		  "I S:a,m=1 R,m=2,p=20 R,m=4,p=20 R,m=2,p=21 R,m=2,p=22 R,m=2,p=23 R,m=2,p=24 "
		  "R,m=2,p=25 R,m=2,p=26 R,m=2,p=27 R,m=2,p=28 E,m=2 X",
		  "a ok cold init=20/100 cpu=110/1100 after=100/1000 marks=1 marks_lost | exit "
		  "total=140 init=20 invocations=110 between=10 last=10/100 n=1 unmatched=9 "
		  "marks=1 "
		  "marks_lost # unmatched=9" },
		{ "configured symbols have no numbers", "I S:a,f=10 E,f=10 V:b E X",
		  "a ok cold init=20/100 cpu=10/100 | b ok cpu=10/100 between=10/100 | exit "
		  "total=60 "
		  "init=20 invocations=20 between=20 last=10/100 n=2 #" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_correlate_ids_and_names(void **state)
{
	static const char id64[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	static const struct row rows[] = {
		{ "no id", "I S E X",
		  DERIVED "1 ok cold init=20/100 cpu=10/100 id_missing | exit total=40 init=20 "
			  "invocations=10 between=10 last=10/100 n=1 id_missing #" },
		{ "unreadable", "I S,f=4 E X",
		  DERIVED
		  "1 ok cold init=20/100 cpu=10/100 id_unreadable id_missing | exit total=40 "
		  "init=20 invocations=10 between=10 last=10/100 n=1 id_unreadable id_missing #" },
		{ "cut", "I S:a,f=3 E X",
		  "a ok cold init=20/100 cpu=10/100 id_truncated | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 id_truncated #" },
		{ "a control character",
		  "I S:a\x01"
		  "b E X",
		  "a\\01b ok cold init=20/100 cpu=10/100 id_not_text | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 id_not_text #" },
		{ "not UTF-8", "I S:\xff E X",
		  "\\ff ok cold init=20/100 cpu=10/100 id_not_text | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 id_not_text #" },
		{ "UTF-8", "I S:\xc3\xa4 E X",
		  "\\c3\\a4 ok cold init=20/100 cpu=10/100 | exit total=40 init=20 invocations=10 "
		  "between=10 last=10/100 n=1 #" },
		{ "named by the configuration", "I,F=thumb S:a,F=thumb E X",
		  "a ok fn=thumb cold init=20/100 cpu=10/100 | exit fn=thumb total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 #" },
		{ "named by the mark", "I S:a,F=thumb E V:b E X",
		  "a ok fn=thumb cold init=20/100 cpu=10/100 | b ok fn=thumb cpu=10/100 "
		  "between=10/100 "
		  "| exit fn=thumb total=60 init=20 invocations=20 between=20 last=10/100 n=2 #" },
		{ "named otherwise: the configuration's stands", "I,F=thumb S:a,F=other E V:b E X",
		  "a ok fn=thumb cold init=20/100 cpu=10/100 name_mismatch | "
		  "b ok fn=thumb cpu=10/100 between=10/100 | exit fn=thumb total=60 init=20 "
		  "invocations=20 between=20 last=10/100 n=2 name_mismatch #" },
		{ "a name that is not text", "I,F=th\x02m\xff S:a E X",
		  "a ok fn=th?m? cold init=20/100 cpu=10/100 | exit fn=th?m? total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 #" },
		{ "what is text of it stays", "I,F=th\xc3\xa4\xffm\xc3\xa4 S:a E X",
		  "a ok fn=th\xc3\xa4?m\xc3\xa4 cold init=20/100 cpu=10/100 | exit "
		  "fn=th\xc3\xa4?m\xc3\xa4 total=40 init=20 invocations=10 between=10 last=10/100 "
		  "n=1 #" },
		{ "a name that was cut", "I S:a,f=12,F=thumb E X",
		  "a ok fn=thumb cold init=20/100 cpu=10/100 name_truncated | exit fn=thumb "
		  "total=40 "
		  "init=20 invocations=10 between=10 last=10/100 n=1 name_truncated #" },
	};
	struct oncpu_event e = event_at(1, 2, ONCPU_EV_START);
	struct bench b;

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
	/* full fields without a NUL */
	bench_open(&b, 1);
	run(&b, "I");
	memcpy(e.id, id64, ONCPU_ID_LEN);
	e.id_len = ONCPU_ID_LEN;
	memset(e.function, 'f', sizeof(e.function));
	assert_int_equal(correlator_feed(b.c, &e), 0);
	e = event_at(1, 3, ONCPU_EV_SUSPEND);
	assert_int_equal(correlator_feed(b.c, &e), 0);
	run(&b, "V:b,n=4 E X");
	assert_non_null(strstr(b.text, id64));
	assert_non_null(strstr(b.text, " from="));
	assert_non_null(strstr(strstr(b.text, " from="), id64));
	assert_non_null(strstr(b.text,
			       " fn=fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
			       " "));
	correlator_free(&b.c);
}

static void test_correlate_bounds(void **state)
{
	static const struct row rows[] = {
		{ "both ends", "I S:a,b=5 E,b=7",
		  "a ok cold init=20/100 cpu=10/100 bound=12 # open=1" },
		{ "no bound is past all bounds", "I S:a,b=-5,l=0 E,b=4,l=50",
		  "a ok cold init=20/100 cpu=10/100 bound=9223372036854775807 # open=1" },
		{ "one end", "I S:a,b=0,l=9 E,b=7,l=9",
		  "a ok cold init=20/100 cpu=10/100 bound=7 # open=1" },
		{ "steal in between", "I S:a,b=5,l=100 E,b=7,l=150",
		  "a ok cold init=20/100 cpu=10/100 bound=62 # open=1" },
		{ "nobody else ran: exact, whatever was stolen", "I S:a,l=100 E,l=150",
		  "a ok cold init=20/100 cpu=10/100 # open=1" },
		{ "no more than a tick of steal", "I S:a,b=1 E,l=9000000",
		  "a ok cold init=20/100 cpu=10/100 bound=4000001 # open=1" },
		{ "a level that fell", "I S:a,b=1,l=100 E,l=50",
		  "a ok cold init=20/100 cpu=10/100 bound=1 # open=1" },
		{ "the response is inside: no matter", "I S:a R,b=50 E,b=2",
		  "a ok cold init=20/100 cpu=20/200 after=10/100 bound=2 # open=1" },
		{ "the next start is an end", "I S:a,b=1 V:b,b=3 E,b=7",
		  "a ok cold init=20/100 cpu=10/100 bound=4 start_before_done | "
		  "b ok cpu=10/100 bound=10 # open=1" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void count_open(void *user, const struct instance_view *view)
{
	(void)view;
	++*(int *)user;
}

static void test_correlate_limits(void **state)
{
	const struct correlator_counters *n;
	struct correlator_config config = { .max_instances = 0 };
	struct oncpu_event e;
	struct bench b;
	int open = 0;

	(void)state;
	assert_int_equal(correlator_new(&config, &b.c), -EINVAL);
	bench_open(&b, 2);
	n = correlator_counters(b.c);
	run(&b, "I I,n=1,u=2");
	e = event_at(3, 1, ONCPU_EV_INIT);
	assert_int_equal(correlator_feed(b.c, &e), -ENOSPC);
	assert_int_equal(n->refused, 1);
	assert_int_equal(n->instances_open, 2);
	run(&b, "X,n=2"); /* room again at once */
	assert_int_equal(correlator_feed(b.c, &e), 0);
	correlator_each(b.c, count_open, &open);
	assert_int_equal(open, 2);
	assert_int_equal(n->instances_closed, 1);
	assert_int_equal(n->events, 5);
	correlator_free(&b.c);
	correlator_free(&b.c);

	/* 64 may wait for a gap, whatever the time */
	bench_open(&b, 1);
	n = correlator_counters(b.c);
	run(&b, "I");
	for (uint64_t i = 0; i < 65; i++) {
		assert_int_equal(n->lost, 0);
		e = event_at(1, 67 - i, ONCPU_EV_RESPONSE);
		e.time_ns = 1200;
		assert_int_equal(correlator_feed(b.c, &e), 0);
	}
	assert_int_equal(n->lost, 1);
	assert_int_equal(n->reordered, 64);
	assert_int_equal(n->unmatched, 65);
	correlator_free(&b.c);
}

static void test_correlate_malformed(void **state)
{
	struct oncpu_event bad[] = {
		event_at(0, 1, ONCPU_EV_INIT), event_at(1, 0, ONCPU_EV_INIT),
		event_at(1, 1, ONCPU_EV_NONE), event_at(1, 1, ONCPU_EV_KIND_COUNT),
		event_at(1, 1, UINT32_MAX),    event_at(1, 1, ONCPU_EV_START),
		event_at(1, 1, ONCPU_EV_START)
	};
	struct bench b;

	(void)state;
	bad[5].id_len = ONCPU_ID_LEN + 1;
	bad[6].id_len = UINT32_MAX;
	bench_open(&b, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(correlator_feed(b.c, &bad[i]), -EINVAL);
		assert_int_equal(correlator_counters(b.c)->malformed, i + 1);
	}
	assert_int_equal(correlator_counters(b.c)->instances_open, 0);
	assert_int_equal(correlator_counters(b.c)->events, 0);
	run(&b, "I X");
	assert_string_equal(b.text, "exit total=20 init=20");
	correlator_free(&b.c);
}

/* ---- what the configuration adds ---- */

static void bill_it(void *user, struct invocation_record *r)
{
	(void)user;
	r->billed_count = 1;
	r->billed[0].billed_ns = r->memory_mb;
}

static int facts_of(void *user, const char *function, struct function_facts *ret_facts)
{
	(void)user;
	if (strcmp(function, "thumb"))
		return -ENOENT;
	*ret_facts = (struct function_facts){ 512, 50000, 100000, "7" };
	return 0;
}

static void keep_invocation(void *user, const struct invocation_record *r)
{
	*(struct invocation_record *)user = *r;
}

/* Feeds a START and an END with these integrals, the END's life a wall of `wall` later. */
static struct record_where where_between(const uint64_t start[ONCPU_WHERE_COUNT],
					 const uint64_t end[ONCPU_WHERE_COUNT], uint64_t wall,
					 uint32_t start_flags, uint32_t end_flags)
{
	struct invocation_record r;
	struct correlator_config config = { .max_instances = 2,
					    .user = &r,
					    .on_invocation = keep_invocation };
	struct correlator *c;
	struct oncpu_event e = event_at(1, 1, ONCPU_EV_INIT);

	assert_int_equal(correlator_new(&config, &c), 0);
	assert_int_equal(correlator_feed(c, &e), 0);
	e = event_at(1, 2, ONCPU_EV_START);
	e.flags = start_flags;
	memcpy(e.where_ns, start, sizeof(e.where_ns));
	assert_int_equal(correlator_feed(c, &e), 0);
	e = event_at(1, 3, ONCPU_EV_END);
	e.time_ns = 1200 + wall;
	e.flags = end_flags;
	memcpy(e.where_ns, end, sizeof(e.where_ns));
	assert_int_equal(correlator_feed(c, &e), 0);
	correlator_free(&c);
	assert_int_equal(r.wall_ns, wall);
	return r.where;
}

/* Exactly the wall time, or nothing at all. */
static void test_correlate_where(void **state)
{
	static const uint64_t begin[ONCPU_WHERE_COUNT] = { 100, 200, 300, 400, 500, 600 };
	static const struct {
		const char *name;
		uint64_t end[ONCPU_WHERE_COUNT], wall;
		uint32_t flags[2];
		struct record_where want;
	} rows[] = {
		{ "each in its place",
		  { 101, 202, 304, 408, 516, 632 },
		  63,
		  { ONCPU_EVF_WHERE, ONCPU_EVF_WHERE },
		  { 1, 2, 4, 8, 16, 32 } },
		{ "not watched at the start",
		  { 101, 202, 304, 408, 516, 632 },
		  63,
		  { 0, ONCPU_EVF_WHERE },
		  { -1, -1, -1, -1, -1, -1 } },
		{ "not whole at the end",
		  { 101, 202, 304, 408, 516, 632 },
		  63,
		  { ONCPU_EVF_WHERE, 0 },
		  { -1, -1, -1, -1, -1, -1 } },
		{ "a nanosecond short",
		  { 101, 202, 304, 408, 516, 632 },
		  64,
		  { ONCPU_EVF_WHERE, ONCPU_EVF_WHERE },
		  { -1, -1, -1, -1, -1, -1 } },
		{ "a moment's change",
		  { 5100, 190, 300, 400, 505, 600 },
		  4995,
		  { ONCPU_EVF_WHERE, ONCPU_EVF_WHERE },
		  { 4990, 0, 0, 0, 5, 0 } },
		{ "more than a moment",
		  { 5000100, 200, 300, 400, 500, 600 - 2000000ull },
		  3000000,
		  { ONCPU_EVF_WHERE, ONCPU_EVF_WHERE },
		  { -1, -1, -1, -1, -1, -1 } },
		{ "nothing at all",
		  { 100, 200, 300, 400, 500, 600 },
		  0,
		  { ONCPU_EVF_WHERE, ONCPU_EVF_WHERE },
		  { 0, 0, 0, 0, 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record_where got = where_between(begin, rows[i].end, rows[i].wall,
							rows[i].flags[0], rows[i].flags[1]);

		if (memcmp(&got, &rows[i].want, sizeof(got)))
			fail_msg("%s: %lld %lld %lld %lld %lld %lld", rows[i].name,
				 (long long)got.running_ns, (long long)got.run_queue_ns,
				 (long long)got.throttled_ns, (long long)got.blocked_io_ns,
				 (long long)got.idle_ns, (long long)got.frozen_ns);
	}
}

/* A START, and an END 1,000 ns of CPU later, with these readings. */
static struct invocation_record taken_between(const uint64_t steal[2], const uint64_t irq[2],
					      const uint32_t flags[2])
{
	struct invocation_record r;
	struct correlator_config config = { .max_instances = 2,
					    .user = &r,
					    .on_invocation = keep_invocation };
	struct correlator *c;
	struct oncpu_event e = event_at(1, 1, ONCPU_EV_INIT);

	assert_int_equal(correlator_new(&config, &c), 0);
	assert_int_equal(correlator_feed(c, &e), 0);
	for (int i = 0; i < 2; i++) {
		e = event_at(1, 2 + (uint64_t)i, i ? ONCPU_EV_END : ONCPU_EV_START);
		e.total_ns = 5000 + 1000 * (uint64_t)i;
		e.steal_ns = steal[i];
		e.irq_ns = irq[i];
		e.flags = flags[i];
		assert_int_equal(correlator_feed(c, &e), 0);
	}
	correlator_free(&c);
	assert_int_equal(r.cpu_ns, 1000); /* whatever was taken: the bill's number stays */
	return r;
}

/* Said only where it was measured from the start to the end. */
static void test_correlate_what_was_taken(void **state)
{
	enum { S = ONCPU_EVF_STEAL, I = ONCPU_EVF_IRQ };
	static const struct {
		uint64_t steal[2], irq[2];
		uint32_t flags[2];
		int64_t want[3]; /* steal, irq, net */
	} rows[] = {
		{ { 5, 5 }, { 7, 7 }, { 0, 0 }, { -1, -1, -1 } },
		{ { 5, 25 }, { 7, 7 }, { S, S }, { 20, -1, -1 } },
		{ { 5, 25 }, { 7, 307 }, { S | I, S | I }, { 20, 300, 700 } },
		{ { 5, 25 }, { 7, 307 }, { S, S | I }, { 20, -1, -1 } }, /* begun in between */
		{ { 5, 25 }, { 7, 307 }, { I, 0 }, { -1, -1, -1 } },
		{ { 0, 0 }, { 7, 1500 }, { I, I }, { -1, 1000, 0 } }, /* hooks around the slice */
		{ { 0, 0 }, { 7, 7 }, { I, I }, { -1, 0, 1000 } },
		{ { 25, 5 }, { 7, 7 }, { S, S }, { 0, -1, -1 } }, /* read stale at its end */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct invocation_record r =
			taken_between(rows[i].steal, rows[i].irq, rows[i].flags);

		if (r.steal_ns != rows[i].want[0] || r.irq_ns != rows[i].want[1] ||
		    r.cpu_net_ns != rows[i].want[2])
			fail_msg("%zu: %lld %lld %lld", i, (long long)r.steal_ns,
				 (long long)r.irq_ns, (long long)r.cpu_net_ns);
	}
}

static void test_correlate_facts_and_bill(void **state)
{
	struct invocation_record r;
	struct correlator_config config = { .max_instances = 2,
					    .user = &r,
					    .on_invocation = keep_invocation,
					    .bill = bill_it,
					    .facts = facts_of };
	struct bench b = { 0 };

	(void)state;
	assert_int_equal(correlator_new(&config, &b.c), 0);
	run(&b, "I,F=thumb S:a E X"); /* no on_instance: nothing is called */
	assert_string_equal(r.version, "7");
	assert_int_equal(r.memory_mb, 512);
	assert_int_equal(r.quota_us, 50000);
	assert_int_equal(r.period_us, 100000);
	assert_int_equal(r.max_memory_bytes, -1);
	assert_int_equal(r.where.running_ns, -1); /* nobody measured it */
	assert_int_equal(r.where.idle_ns, -1);
	assert_int_equal(r.steal_ns, -1);
	assert_int_equal(r.irq_ns, -1);
	assert_int_equal(r.cpu_net_ns, -1);
	assert_int_equal(r.billed[0].billed_ns, 512);
	run(&b, "I,u=2,F=other S:a,u=2 E,u=2");
	assert_string_equal(r.version, "$LATEST");
	assert_int_equal(r.memory_mb, -1);
	assert_int_equal(r.quota_us, -1);
	assert_int_equal(correlator_sequence(b.c), 3);
	correlator_free(&b.c);
}

/* ---- the law, over random lives ---- */

#define LIVES 3
#define LIFE_MOST 200

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13; /* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t n)
{
	return random_next() % n;
}

struct delivery {
	uint64_t at;
	struct oncpu_event e;
};

struct books {
	int64_t init, cpu, between, freeze, records;
	int64_t lost, marks;
	bool closed;
	struct instance_record end;
};

struct property {
	struct books books[LIVES + 1];
	uint64_t sequence;
};

static int by_delivery(const void *a, const void *b)
{
	const struct delivery *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->e.uid != y->e.uid ? (x->e.uid < y->e.uid ? -1 : 1)
				    : (x->e.n > y->e.n) - (x->e.n < y->e.n);
}

static struct books *books_of(struct property *p, const char *instance)
{
	return &p->books[strtoull(instance + strlen("i-01234567-"), NULL, 16)];
}

static void add_invocation(void *user, const struct invocation_record *r)
{
	struct property *p = user;
	struct books *k = books_of(p, r->instance);

	assert_int_equal(r->sequence, ++p->sequence);
	assert_false(k->closed);
	assert_true(k->records == 0 || r->init_cpu_ns == -1);
	assert_true(k->records == 0 || !r->cold_start);
	if (r->cold_start)
		k->init = r->init_cpu_ns;
	k->cpu += r->cpu_ns;
	k->between += r->between_cpu_ns;
	k->freeze += r->freeze_cpu_ns;
	k->lost += r->events_lost;
	k->marks += r->marks_lost;
	k->records++;
	assert_true(r->id_len > 0 && r->id_len <= ONCPU_ID_LEN);
	assert_true(r->status >= 0 && r->status < ONCPU_STATUS_COUNT);
	assert_true(r->cpu_error_bound_ns >= 0);
	assert_int_equal(r->flags >> RECORD_FLAG_COUNT, 0);
	if (r->events_lost)
		assert_true(r->flags & 1ull << RECORD_FLAG_EVENTS_LOST);
	assert_int_equal(!!r->marks_lost, !!(r->flags & 1ull << RECORD_FLAG_MARKS_LOST));
	assert_int_equal(!!r->continues_len, !!(r->flags & 1ull << RECORD_FLAG_CONTINUES));
}

static void add_instance(void *user, const struct instance_record *r)
{
	struct property *p = user;
	struct books *k = &p->books[r->uid];

	assert_int_equal(r->sequence, ++p->sequence);
	assert_false(k->closed);
	k->closed = true;
	k->end = *r;
}

/* One life of `count` events in their order, ending with its exit. */
static void make_life(uint64_t uid, uint64_t count, struct oncpu_event *events)
{
	static const uint8_t likely[] = { ONCPU_EV_INVOKE,  ONCPU_EV_END,    ONCPU_EV_INVOKE,
					  ONCPU_EV_END,	    ONCPU_EV_START,  ONCPU_EV_END,
					  ONCPU_EV_FREEZE,  ONCPU_EV_THAW,   ONCPU_EV_RESPONSE,
					  ONCPU_EV_SUSPEND, ONCPU_EV_RESUME, ONCPU_EV_READY,
					  ONCPU_EV_INIT };
	uint64_t total = below(1ull << 40), time = 1000 + below(1ull << 40), mark = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct oncpu_event *e = &events[i];

		total += below(8) ? below(100000) : -below(50000);
		time += below(16) ? below(400) : below(2) ? -below(300) : below(3000);
		mark += below(10) ? 1 : below(4);
		*e = event_at(uid, i + 1, likely[below(sizeof(likely))]);
		e->total_ns = total;
		e->time_ns = time;
		e->flags = below(4) ? 0 : 1u << below(13);
		e->bound_ns = below(2) ? below(1000) : 0;
		e->steal_ns = below(5000000);
		e->run_delay_ns = below(1000);
		e->mark_number = below(3) ? mark : 0;
		e->tgid = (uint32_t)(below(4) ? 7 : 1 + below(12));
		e->tid = (uint32_t)(below(4) ? 7 : 1 + below(12));
		e->status = (int32_t)below(7) - 1;
		e->threads = (uint32_t)below(9);
		if (e->kind == ONCPU_EV_START || e->kind == ONCPU_EV_INVOKE || !below(8)) {
			e->id_len = below(8) ? 1 : (uint32_t)below(ONCPU_ID_LEN + 1);
			e->id[0] = (char)('a' + below(20));
		}
		if (!below(20))
			e->function[0] = (char)below(256);
	}
	events[0].kind = below(8) ? ONCPU_EV_INIT : events[0].kind;
	events[count - 1].kind = ONCPU_EV_EXIT;
}

/* Puts a life on its way: late, twice, or never. Gives the number of deliveries. */
static size_t deliver(const struct oncpu_event *events, uint64_t count, uint64_t window,
		      uint64_t drops, struct delivery *out)
{
	size_t used = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (i + 1 < count && drops && !below(drops))
			continue;
		for (int copies = below(12) ? 1 : 3; copies; copies--)
			out[used++] = (struct delivery){ i * 4 + below(window), events[i] };
	}
	return used;
}

static void check_books(const struct books *k, uint64_t count, const struct oncpu_event *exit_event)
{
	const struct instance_record *r = &k->end;

	assert_true(k->closed);
	assert_true(count > 0);
	assert_int_equal(r->total_cpu_ns, (int64_t)exit_event->total_ns);
	assert_int_equal(r->init_cpu_ns + r->invocations_cpu_ns + r->freeze_cpu_ns +
				 r->between_cpu_ns,
			 r->total_cpu_ns);
	assert_int_equal(r->invocations, k->records);
	assert_int_equal(r->invocations_cpu_ns, k->cpu);
	assert_int_equal(r->between_cpu_ns, k->between + r->last_between_cpu_ns);
	if (k->init)
		assert_int_equal(r->init_cpu_ns, k->init);
	assert_true(r->events_lost >= k->lost);
	assert_true(r->marks_lost >= k->marks);
}

static void test_correlate_law_over_random_lives(void **state)
{
	static struct oncpu_event events[LIVES + 1][LIFE_MOST];
	static struct delivery way[LIVES * LIFE_MOST * 3];

	(void)state;
	for (uint64_t seed = 1; seed <= 6000; seed++) {
		struct property p = { 0 };
		struct correlator_config config = { .host = "box",
						    .boot_id = BOOT,
						    .reorder_ns = REORDER_NS,
						    .max_instances = LIVES,
						    .user = &p,
						    .on_invocation = add_invocation,
						    .on_instance = add_instance };
		const struct correlator_counters *n;
		uint64_t counts[LIVES + 1], all = 0, window, drops, refused = 0;
		struct correlator *c;
		size_t used = 0;

		random_state = seed * 0x9e3779b97f4a7c15ull;
		window = 1 + (below(3) ? below(40) : below(600));
		drops = below(3) ? 0 : 2 + below(30);
		for (uint64_t uid = 1; uid <= LIVES; uid++) {
			counts[uid] = 1 + below(LIFE_MOST);
			all += counts[uid];
			make_life(uid, counts[uid], events[uid]);
			used += deliver(events[uid], counts[uid], window, drops, way + used);
		}
		qsort(way, used, sizeof(*way), by_delivery);
		assert_int_equal(correlator_new(&config, &c), 0);
		for (size_t i = 0; i < used; i++) {
			refused += correlator_feed(c, &way[i].e) != 0;
			if (!below(50))
				correlator_tick(c, way[i].e.time_ns);
		}
		assert_int_equal(refused, 0);
		correlator_flush(c);
		n = correlator_counters(c);
		for (uint64_t uid = 1; uid <= LIVES; uid++)
			check_books(&p.books[uid], counts[uid], &events[uid][counts[uid] - 1]);
		/* handled, come again, or lost: nothing else */
		assert_int_equal(n->events, used);
		assert_int_equal(n->events - n->duplicates, all - n->lost);
		assert_int_equal(n->instances_closed, LIVES);
		assert_int_equal(n->instances_open, 0);
		assert_int_equal(correlator_sequence(c), n->invocations + LIVES);
		if (!drops && window <= 4)
			assert_int_equal(n->lost, 0);
		correlator_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_correlate_normal_lives),
		cmocka_unit_test(test_correlate_irregular_orders),
		cmocka_unit_test(test_correlate_order_and_gaps),
		cmocka_unit_test(test_correlate_mark_numbers),
		cmocka_unit_test(test_correlate_ids_and_names),
		cmocka_unit_test(test_correlate_bounds),
		cmocka_unit_test(test_correlate_limits),
		cmocka_unit_test(test_correlate_malformed),
		cmocka_unit_test(test_correlate_facts_and_bill),
		cmocka_unit_test(test_correlate_where),
		cmocka_unit_test(test_correlate_what_was_taken),
		cmocka_unit_test(test_correlate_law_over_random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
