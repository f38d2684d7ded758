// SPDX-License-Identifier: GPL-2.0
/* The judge of the two sets of books (core/audit.h), as rows of readings; and what it leaves on
 * records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/correlate.h"

#define MS 1000000ll
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const verdicts[] = { "base", "equal", "busy", "MISMATCH" };

struct step {
	int64_t before, after, kernel, bound;
	uint32_t running;
	const char *verdict;
	int64_t change, difference; /* wanted afterwards */
};

static void run(const char *name, bool has_base, const struct step *steps, size_t count,
		int64_t mismatches, int64_t worst)
{
	struct audit_book book = { .has_base = has_base };

	for (size_t i = 0; i < count; i++) {
		const struct step *s = &steps[i];
		struct audit_reading reading = { s->before, s->after, s->kernel, s->bound,
						 s->running };
		bool agrees = audit_agrees(&book, &reading), had_base = book.has_base;
		int64_t change = 0;
		enum audit_verdict v = audit_take(&book, &reading, &change);

		if (strcmp(verdicts[v], s->verdict))
			fail_msg("%s, reading %zu: %s", name, i, verdicts[v]);
		if (change != s->change || book.difference_ns != s->difference)
			fail_msg("%s, reading %zu: change %lld, difference %lld", name, i,
				 (long long)change, (long long)book.difference_ns);
		if (v == AUDIT_MISMATCH)
			assert_false(agrees);
		else if (v != AUDIT_EQUAL || !had_base)
			assert_true(agrees);
	}
	assert_int_equal(book.mismatches, mismatches);
	assert_int_equal(book.worst_ns, worst);
}

static void test_audit_of_quiet_instances(void **state)
{
	static const struct step whole[] = {
		{ 5000400, 5000400, 5000000, 0, 0, "equal", 0, 400 },
		{ 9 * MS + 999, 9 * MS + 999, 9 * MS, 0, 0, "equal", 0, 999 },
		{ 9 * MS - 4999, 9 * MS - 4999, 9 * MS, 0, 0, "equal", 0, -4999 },
		/* it ran between the two readings: the kernel's total lies between them */
		{ 10 * MS, 12 * MS, 11 * MS, 0, 0, "equal", 0, 0 },
	};
	static const struct step lost[] = {
		{ 5 * MS, 5 * MS, 5 * MS, 0, 0, "equal", 0, 0 },
		{ 6 * MS, 6 * MS, 9 * MS, 0, 0, "MISMATCH", -3 * MS, -3 * MS },
		{ 7 * MS, 7 * MS, 10 * MS, 0, 0, "equal", 0, -3 * MS },	    /* told once */
		{ 12 * MS, 12 * MS, 12 * MS, 0, 0, "MISMATCH", 3 * MS, 0 }, /* it came in */
		{ 13 * MS, 13 * MS, 13 * MS, 0, 0, "equal", 0, 0 },
	};
	static const struct step edge[] = {
		{ MS, MS, MS - AUDIT_SLACK_NS, 0, 0, "equal", 0, AUDIT_SLACK_NS },
		{ MS, MS, MS - AUDIT_SLACK_NS - 1, 0, 0, "MISMATCH", AUDIT_SLACK_NS + 1,
		  AUDIT_SLACK_NS + 1 },
	};
	static const struct step bound[] = {
		{ MS, MS, MS + 25000, 20000, 0, "equal", 0, -25000 },
		{ MS, MS, MS + 25001, 20000, 0, "MISMATCH", -25001, -25001 },
	};

	(void)state;
	run("whole", true, whole, ARRAY_SIZE(whole), 0, -4999);
	run("lost and found", true, lost, ARRAY_SIZE(lost), 2, -3 * MS);
	run("the slack", true, edge, ARRAY_SIZE(edge), 1, AUDIT_SLACK_NS + 1);
	run("a bound", true, bound, ARRAY_SIZE(bound), 1, -25001);
}

static void test_audit_of_busy_instances(void **state)
{
	static const struct step behind[] = {
		{ 5 * MS, 5 * MS, 2 * MS, 0, 1, "busy", 0, 0 },	  /* within one tick */
		{ 25 * MS, 25 * MS, 6 * MS, 0, 2, "busy", 0, 0 }, /* within two */
		{ 25 * MS, 25 * MS, 6 * MS, 0, 1, "MISMATCH", 9 * MS, 9 * MS },
		/* how much it was is known once it rests, and is no second mismatch */
		{ 30 * MS, 30 * MS, 11 * MS, 0, 0, "equal", 10 * MS, 19 * MS },
		{ 31 * MS, 31 * MS, 12 * MS, 0, 0, "equal", 0, 19 * MS },
		{ 31 * MS, 31 * MS, 13 * MS, 0, 0, "MISMATCH", -MS, 18 * MS },
	};
	/* the kernel's total can be behind, but never ahead of a truth that we have not seen */
	static const struct step ahead[] = {
		{ 5 * MS, 5 * MS, 5 * MS + 5001, 0, 3, "MISMATCH", -5001, -5001 },
	};

	(void)state;
	run("behind", true, behind, ARRAY_SIZE(behind), 2, 19 * MS);
	run("ahead", true, ahead, ARRAY_SIZE(ahead), 1, -5001);
}

/* Who was there before us has used what we do not know: compared from the first rest on. */
static void test_audit_without_a_base(void **state)
{
	static const struct step adopted[] = {
		{ 5 * MS, 5 * MS, 700 * MS, 0, 1, "base", 0, 0 },
		{ 9 * MS, 9 * MS, 704 * MS, 0, 0, "base", 0, 0 },
		{ 19 * MS, 19 * MS, 714 * MS, 0, 0, "equal", 0, 0 },
		{ 19 * MS, 19 * MS, 716 * MS, 0, 0, "MISMATCH", -2 * MS, -2 * MS },
	};

	(void)state;
	run("adopted", false, adopted, ARRAY_SIZE(adopted), 1, -2 * MS);
}

/* ---- what it leaves on records ---- */

struct seen {
	uint64_t flags[8];
	int count;
	struct instance_record instance;
};

static void on_invocation(void *user, const struct invocation_record *r)
{
	struct seen *s = user;

	s->flags[s->count++] = r->flags;
}

static void on_instance(void *user, const struct instance_record *r)
{
	((struct seen *)user)->instance = *r;
}

static void feed(struct correlator *c, uint64_t n, uint32_t kind, uint32_t flags)
{
	struct oncpu_event e = { .kind = kind,
				 .uid = 7,
				 .n = n,
				 .time_ns = 1000 * n,
				 .total_ns = 100 * n,
				 .cgroup_id = 9,
				 .flags = flags };

	assert_int_equal(correlator_feed(c, &e), 0);
}

static enum audit_verdict compare(struct correlator *c, int64_t ours, int64_t kernel)
{
	struct audit_reading reading = { .before_ns = ours, .after_ns = ours, .kernel_ns = kernel };
	struct audit_finding f;

	assert_true(correlator_audit(c, 7, &reading, &f));
	return f.verdict;
}

static void test_audit_flags_the_record_that_is_open(void **state)
{
	struct seen seen = { .count = 0 };
	struct correlator_config config = { .max_instances = 2,
					    .user = &seen,
					    .on_invocation = on_invocation,
					    .on_instance = on_instance };
	uint64_t flag = 1ull << RECORD_FLAG_AUDIT_MISMATCH;
	struct audit_reading reading = { 0 };
	struct instance_view view;
	struct audit_finding f;
	struct correlator *c;

	(void)state;
	assert_int_equal(correlator_new(&config, &c), 0);
	assert_false(correlator_audit(c, 7, &reading, &f));
	feed(c, 1, ONCPU_EV_INIT, 0);
	feed(c, 2, ONCPU_EV_START, 0);
	assert_int_equal(compare(c, MS, MS), AUDIT_EQUAL);
	feed(c, 3, ONCPU_EV_END, 0); /* clean */
	feed(c, 4, ONCPU_EV_INVOKE, 0);
	assert_int_equal(compare(c, MS, 2 * MS), AUDIT_MISMATCH);
	feed(c, 5, ONCPU_EV_END, 0); /* was open */
	assert_int_equal(compare(c, MS, 3 * MS), AUDIT_MISMATCH);
	feed(c, 6, ONCPU_EV_INVOKE, 0);
	feed(c, 7, ONCPU_EV_END, 0); /* the next one */
	feed(c, 8, ONCPU_EV_INVOKE, 0);
	feed(c, 9, ONCPU_EV_END, 0); /* clean again */
	assert_true(correlator_view(c, 7, &view));
	assert_int_equal(view.audit.mismatches, 2);
	assert_false(correlator_view(c, 8, &view));
	feed(c, 10, ONCPU_EV_EXIT, 0);
	assert_false(correlator_view(c, 7, &view));
	assert_false(correlator_audit(c, 7, &reading, &f));
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.flags[0] & flag, 0);
	assert_int_equal(seen.flags[1] & flag, flag);
	assert_int_equal(seen.flags[2] & flag, flag);
	assert_int_equal(seen.flags[3] & flag, 0);
	assert_int_equal(seen.instance.flags & flag, flag);
	assert_int_equal(seen.instance.audits, 3);
	assert_int_equal(seen.instance.audit_mismatches, 2);
	assert_int_equal(seen.instance.audit_difference_ns, -2 * MS);
	assert_int_equal(seen.instance.audit_worst_ns, -2 * MS);
	correlator_free(&c);
}

static struct audit_finding find(struct correlator *c, int64_t ours, int64_t kernel,
				 uint32_t running)
{
	struct audit_reading reading = {
		.before_ns = ours, .after_ns = ours, .kernel_ns = kernel, .running = running
	};
	struct audit_finding f;

	assert_true(correlator_audit(c, 7, &reading, &f));
	return f;
}

static void invocations(struct correlator *c, uint64_t *n, unsigned count)
{
	for (; count; count--) {
		feed(c, ++*n, ONCPU_EV_INVOKE, 0);
		feed(c, ++*n, ONCPU_EV_END, 0);
	}
}

/* What was given since the books last agreed at rest, or had their last mismatch told. */
static void test_audit_names_the_stretch(void **state)
{
	struct correlator_config config = { .max_instances = 2,
					    .boot_id = "0123456789abcdef0123456789abcdef" };
	struct oncpu_event other = { .kind = ONCPU_EV_INIT, .uid = 8, .n = 1 };
	struct audit_finding f;
	struct correlator *c;
	uint64_t n = 1;

	(void)state;
	assert_int_equal(correlator_new(&config, &c), 0);
	feed(c, 1, ONCPU_EV_INIT, 0);
	invocations(c, &n, 2);
	f = find(c, MS, MS, 0);
	assert_int_equal(f.verdict, AUDIT_EQUAL);
	assert_int_equal(f.through - f.after, 0);
	invocations(c, &n, 3);
	f = find(c, MS, 2 * MS, 0); /* records 3, 4, 5 */
	assert_int_equal(f.verdict, AUDIT_MISMATCH);
	assert_int_equal(f.change_ns, -MS);
	assert_int_equal(f.after, 2);
	assert_int_equal(f.through, 5);
	assert_string_equal(f.instance, "i-01234567-0000000000000007");
	f = find(c, MS, 3 * MS, 0); /* none since */
	assert_int_equal(f.verdict, AUDIT_MISMATCH);
	assert_int_equal(f.through - f.after, 0);
	invocations(c, &n, 1);
	assert_int_equal(find(c, MS, 3 * MS, 1).verdict, AUDIT_BUSY); /* settles nothing */
	invocations(c, &n, 1);
	f = find(c, MS, 4 * MS, 0);
	assert_int_equal(f.after, 5);
	assert_int_equal(f.through, 7);
	/* another's records only: none in between */
	assert_int_equal(correlator_feed(c, &other), 0);
	other.kind = ONCPU_EV_EXIT;
	other.n = 2;
	assert_int_equal(correlator_feed(c, &other), 0);
	assert_int_equal(correlator_sequence(c), 8);
	f = find(c, MS, 5 * MS, 0);
	assert_int_equal(f.verdict, AUDIT_MISMATCH);
	assert_int_equal(f.through - f.after, 0);
	correlator_free(&c);
}

/* Only a new cgroup's books begin at 0. */
static void test_audit_base_of_a_birth(void **state)
{
	static const struct {
		uint32_t flags;
		enum audit_verdict verdict;
	} rows[] = {
		{ 0, AUDIT_MISMATCH },
		{ ONCPU_EVF_HELD | ONCPU_EVF_CALL, AUDIT_MISMATCH },
		{ ONCPU_EVF_ADOPTED, AUDIT_BASE },
		{ ONCPU_EVF_REUSED, AUDIT_BASE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct correlator_config config = { .max_instances = 2 };
		struct correlator *c;

		assert_int_equal(correlator_new(&config, &c), 0);
		feed(c, 1, ONCPU_EV_INIT, rows[i].flags);
		assert_int_equal(compare(c, MS, 500 * MS), rows[i].verdict);
		correlator_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_of_quiet_instances),
		cmocka_unit_test(test_audit_of_busy_instances),
		cmocka_unit_test(test_audit_without_a_base),
		cmocka_unit_test(test_audit_flags_the_record_that_is_open),
		cmocka_unit_test(test_audit_names_the_stretch),
		cmocka_unit_test(test_audit_base_of_a_birth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
