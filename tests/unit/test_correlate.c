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
 * number, s status, b bound, l steal level, f flags, q run delay, v, i context switches, c threads,
 * F function, u uid
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
		  "a ok cold init=30/200 cpu=50/800 after=20/200 freezes=4 freeze=40/400 | "
		  "exit total=130 init=30 invocations=50 freeze=40 between=10 last=10/100 n=1 #" },
		{ "the trigger is written before the thaw", "I S:a E F V:b T E X",
		  "a ok cold init=20/100 cpu=10/100 | "
		  "b ok cpu=10/200 between=10/100 freezes=1 freeze=20/200 | exit total=80 init=20 "
		  "invocations=20 freeze=20 between=20 last=10/100 n=2 #" },
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
		{ "the agent starts between two", "V:a,n=7 E X !",
		  "a ok cpu=10/100 agent_started_mid | exit total=90 init=70 invocations=10 "
		  "between=10 last=10/100 n=1 agent_started_mid # lost=6" },
		{ "the agent sees the end only", "X,n=7 !",
		  "exit total=70 init=70 agent_started_mid # lost=6" },
		{ "the first events come last", "S:a,n=2 I,n=1 E,n=3 X",
		  "a ok cold init=20/100 cpu=10/100 out_of_order | exit total=40 init=20 "
		  "invocations=10 between=10 last=10/100 n=1 out_of_order # reordered=1" },
		{ "what comes behind the exit", "I S:a E - X V:b !",
		  "a ok cold init=20/100 cpu=10/100 | exit total=50 init=20 invocations=10 "
		  "between=20 "
		  "last=20/200 n=1 lost=1 events_lost # lost=1 unmatched=1" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_correlate_normal_lives),
		cmocka_unit_test(test_correlate_irregular_orders),
		cmocka_unit_test(test_correlate_order_and_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
