// SPDX-License-Identifier: GPL-2.0
/*
 * Ring → correlator → ledger: whatever fails, whenever the agent dies, each invocation is stored
 * once. The kernel side is an array, the clock a number, and each commit can be made to fail.
 */
#include "tests/unit/ledger_fixture.h"

#include "base/log.h"
#include "daemon/pipeline.h"
#include "tests/unit/fake_kern.h"

#define MS 1000000ull
#define OTHER_BOOT "fedcba9876543210fedcba9876543210"

static int fail_with, fail_count; /* the next fail_count commits fail */

int __real_ledger_commit(struct ledger *l, const struct ledger_meta *meta);
int __wrap_ledger_commit(struct ledger *l, const struct ledger_meta *meta);

int __wrap_ledger_commit(struct ledger *l, const struct ledger_meta *meta)
{
	if (fail_count == 0)
		return __real_ledger_commit(l, meta);
	fail_count--;
	ledger_rollback(l);
	return fail_with;
}

struct world {
	const char *directory;
	struct kern_view *view;
	struct pipeline *pipeline;
	uint64_t now_ns;
};

/* Who watches: what was put since the last word, and what of it was stored or undone. */
static struct watch {
	unsigned put, stored, undone;
} watch;

static void on_put(void *user, const struct invocation_record *record)
{
	(void)record;
	((struct watch *)user)->put++;
}

static void on_settled(void *user, bool stored)
{
	struct watch *seen = user;

	*(stored ? &seen->stored : &seen->undone) += seen->put;
	seen->put = 0;
}

/* As the audit does: what it finds is in the closing record of the same batch. */
static int exits_seen;

static void before_exit(void *user, struct pipeline *p, const struct oncpu_event *e)
{
	struct audit_reading reading = { .before_ns = (int64_t)e->total_ns,
					 .after_ns = (int64_t)e->total_ns,
					 .kernel_ns = (int64_t)e->total_ns + (int64_t)MS };
	struct audit_finding f;

	(void)user;
	assert_int_equal(e->kind, ONCPU_EV_EXIT);
	assert_int_equal(pipeline_audit(p, e->uid, &reading, &f), 0);
	assert_int_equal(f.verdict, AUDIT_MISMATCH);
	assert_int_equal(pipeline_doubt(p, &f, "why"), 0);
	assert_int_equal(pipeline_audit(p, 12345, &reading, &f), -ENOENT);
	exits_seen++;
}

static void open_world(struct world *w, const char *boot)
{
	struct pipeline_config config = { .ledger = { .directory = w->directory },
					  .on_invocation = on_put,
					  .on_settled = on_settled,
					  .watch_user = &watch,
					  .view = w->view,
					  .before_exit = before_exit };

	snprintf(config.correlator.host, sizeof(config.correlator.host), "h");
	snprintf(config.correlator.boot_id, sizeof(config.correlator.boot_id), "%s", boot);
	config.correlator.max_instances = 64;
	config.correlator.reorder_ns = 100 * MS;
	config.correlator.realtime_offset_ns = T0;
	assert_int_equal(pipeline_open(&config, &w->pipeline), 0);
}

static struct world begin(void **state)
{
	struct world w = { .directory = *state, .view = fake_kern_reset(), .now_ns = 1000 * MS };

	log_set_level(LOG_LEVEL_ERROR);
	fail_count = 0;
	watch = (struct watch){ 0 };
	open_world(&w, BOOT);
	return w;
}

static int64_t realtime(const struct world *w)
{
	return T0 + (int64_t)w->now_ns;
}

/* The worker is gone at once: what it held in memory is lost, the ring and the ledger are not. */
static void kill_and_restart(struct world *w)
{
	pipeline_close(&w->pipeline);
	kern_view_rewind(w->view);
	open_world(w, BOOT);
}

static void push(uint64_t uid, uint64_t n, uint32_t kind, uint64_t total_ns)
{
	struct oncpu_event e = { .kind = kind,
				 .uid = uid,
				 .n = n,
				 .time_ns = n * 10 * MS,
				 .total_ns = total_ns,
				 .instance = (uint32_t)uid,
				 .tgid = 7,
				 .tid = 7,
				 .threads = kind != ONCPU_EV_EXIT };

	snprintf(e.function, sizeof(e.function), "f");
	if (kind == ONCPU_EV_START || kind == ONCPU_EV_INVOKE)
		e.id_len = (uint32_t)snprintf(e.id, sizeof(e.id), "%llu-%llu",
					      (unsigned long long)uid, (unsigned long long)n);
	fake_kern_push(&e);
}

/* INIT, then `count` invocations of 1 ms each; n goes on from there. */
static void push_life(uint64_t uid, unsigned count)
{
	push(uid, 1, ONCPU_EV_INIT, 0);
	for (unsigned i = 0; i < count; i++) {
		push(uid, 2 + 2 * i, i ? ONCPU_EV_INVOKE : ONCPU_EV_START, (2 * i + 1) * MS);
		push(uid, 3 + 2 * i, ONCPU_EV_END, (2 * i + 2) * MS);
	}
}

struct tally {
	unsigned count;
	int64_t cpu_ns;
	char seen[4096];
};

static int on_record(void *user, const struct invocation_record *r)
{
	struct tally *t = user;

	assert_true(r->sequence < sizeof(t->seen));
	assert_false(t->seen[r->sequence]);
	t->seen[r->sequence] = 1;
	t->count++;
	t->cpu_ns += r->cpu_ns;
	return 0;
}

static void expect_stored(const struct world *w, unsigned count)
{
	struct ledger_query all = { 0 };
	struct ledger_reader *reader = NULL;
	struct tally tally = { 0 };

	assert_int_equal(ledger_reader_open(w->directory, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, &all, on_record, &tally), 0);
	ledger_reader_close(&reader);
	assert_int_equal(tally.count, count);
	assert_true(tally.cpu_ns == count * (int64_t)MS);
}

static void test_pipeline_stores_and_frees(void **state)
{
	struct world w = begin(state);
	struct pipeline_state s;

	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_state(w.pipeline, &s);
	assert_int_equal(s.commits, 0); /* nothing happened: no transaction */
	push_life(1, 3);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 7);
	assert_int_equal(fake_kern_committed(), 7);
	expect_stored(&w, 3);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_batches_are_bounded(void **state)
{
	struct world w = begin(state);
	struct pipeline_state s;

	for (uint64_t uid = 1; uid <= 40; uid++)
		push_life(uid, 100);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), PIPELINE_BATCH);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_state(w.pipeline, &s);
	assert_int_equal(s.commits, 2);
	assert_int_equal(fake_kern_committed(), 40 * 201);
	expect_stored(&w, 4000);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_survives_kill_anywhere(void **state)
{
	struct world w = begin(state);

	/* one event at a time, killed after each: in mid-invocation, and between */
	push(1, 1, ONCPU_EV_INIT, 0);
	for (unsigned i = 0; i < 20; i++) {
		push(1, 2 + 2 * i, i ? ONCPU_EV_INVOKE : ONCPU_EV_START, (2 * i + 1) * MS);
		assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
		kill_and_restart(&w);
		push(1, 3 + 2 * i, ONCPU_EV_END, (2 * i + 2) * MS);
		if (i % 3 == 0) /* killed before it read that */
			kill_and_restart(&w);
		assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
		kill_and_restart(&w);
	}
	expect_stored(&w, 20);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_killed_between_commit_and_free(void **state)
{
	struct world w = begin(state);

	/* one whole life, EXIT included, which leaves no state to know its events by; one open life
	 */
	push_life(2, 2);
	push(2, 6, ONCPU_EV_EXIT, 5 * MS);
	push_life(1, 5);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_close(&w.pipeline);
	/* the ring was not freed: the same events once more, and new ones */
	w.view = fake_kern_reset();
	push_life(2, 2);
	push(2, 6, ONCPU_EV_EXIT, 5 * MS);
	push_life(1, 6);
	open_world(&w, BOOT);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	expect_stored(&w, 8);
	assert_int_equal(correlator_counters(pipeline_correlator(w.pipeline))->duplicates, 0);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_full_disk_loses_nothing(void **state)
{
	struct world w = begin(state);
	struct pipeline_state s;

	push_life(1, 2);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 5);
	push_life(2, 4);
	log_set_level(LOG_LEVEL_ERROR);
	fail_with = -ENOSPC;
	fail_count = 3;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), -ENOSPC);
	pipeline_state(w.pipeline, &s);
	assert_true(s.degraded && s.reason[0]);
	assert_int_equal(fake_kern_committed(), 5);
	/* not before the back-off is over */
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns + 99 * MS, realtime(&w)), -EAGAIN);
	assert_int_equal(fail_count, 2);
	w.now_ns += 101 * MS;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), -ENOSPC);
	w.now_ns += 201 * MS;
	push_life(3, 1); /* measuring goes on meanwhile */
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), -ENOSPC);
	expect_stored(&w, 2);
	w.now_ns += 401 * MS;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 12);
	pipeline_state(w.pipeline, &s);
	assert_true(!s.degraded && !s.reason[0]);
	assert_int_equal(s.failed_commits, 3);
	assert_int_equal(fake_kern_rewinds(), 3);
	expect_stored(&w, 7);
	pipeline_close(&w.pipeline);
}

/* Metrics rest on it: each record counts once, when it is stored for good. */
static void test_pipeline_tells_what_is_stored(void **state)
{
	struct world w = begin(state);

	push_life(1, 3);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 7);
	assert_int_equal(watch.stored, 3);
	fail_with = -ENOSPC;
	fail_count = 2;
	push_life(2, 5);
	while (pipeline_drain(w.pipeline, w.now_ns, realtime(&w)) < 0)
		w.now_ns += 1000 * MS;
	assert_int_equal(watch.stored, 8);
	assert_int_equal(watch.undone, 10);
	assert_int_equal(watch.put, 0);
	expect_stored(&w, 8);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_full_disk_at_the_first_commit(void **state)
{
	struct world w = begin(state);

	push_life(1, 2);
	fail_with = -EIO;
	fail_count = 1;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), -EIO);
	w.now_ns += 200 * MS;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 5);
	expect_stored(&w, 2);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_new_hour_carries_open_instances(void **state)
{
	struct world w = begin(state);

	push_life(1, 1);
	push(1, 4, ONCPU_EV_INVOKE, 3 * MS);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	w.now_ns += 3600 * 1000 * MS;
	push_life(2,
		  1); /* the new segment's first transaction knows nothing of instance 1's events */
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	kill_and_restart(&w);
	push(1, 5, ONCPU_EV_END, 4 * MS);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	expect_stored(&w, 3);
	pipeline_close(&w.pipeline);
}

static void open_instances(void *user, const struct instance_view *view)
{
	(void)view;
	(*(unsigned *)user)++;
}

static unsigned count_open(const struct world *w)
{
	unsigned count = 0;

	correlator_each(pipeline_correlator(w->pipeline), open_instances, &count);
	return count;
}

/* New pins or a new boot begin their numbers anew: an old state must not swallow their events. */
static void restart_elsewhere(struct world *w, const char *boot)
{
	pipeline_close(&w->pipeline);
	w->view = fake_kern_reset();
	fake_kern_new_pins();
	open_world(w, boot);
	assert_int_equal(count_open(w), 0);
	push_life(1, 2);
	assert_int_equal(pipeline_drain(w->pipeline, w->now_ns, realtime(w)), 0);
	assert_int_equal(correlator_counters(pipeline_correlator(w->pipeline))->duplicates, 0);
	assert_int_equal(count_open(w), 1);
	kill_and_restart(w); /* the states of the past are gone for good, ours are not */
	assert_int_equal(count_open(w), 1);
}

static void test_pipeline_new_pins_begin_anew(void **state)
{
	struct world w = begin(state);

	push_life(1, 4);
	push_life(2, 1);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	restart_elsewhere(&w, BOOT);
	expect_stored(&w, 7); /* and no sequence was given twice */
	pipeline_close(&w.pipeline);
}

/* Killed after it made new pins and before its first commit: the ledger's last word is of the old
 * ones, whose ring was longer, and it must not count for the new ring. */
static void test_pipeline_new_pins_and_no_commit(void **state)
{
	struct world w = begin(state);

	push_life(1, 4);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_close(&w.pipeline);
	w.view = fake_kern_reset();
	fake_kern_new_pins();
	open_world(&w, BOOT);
	kill_and_restart(&w);
	push_life(1, 2);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	kill_and_restart(&w);
	assert_int_equal(count_open(&w), 1);
	expect_stored(&w, 6);
	pipeline_close(&w.pipeline);
}

/* ---- a damaged ledger ---- */

#define SEGMENT "ledger-20260131T%02d.db"

static void spoil_segment(const struct world *w, int hour)
{
	char path[PATH_MAX], file[64];
	FILE *f;

	snprintf(file, sizeof(file), SEGMENT, hour);
	snprintf(path, sizeof(path), "%s/%s", w->directory, file);
	f = fopen(path, "r+");
	assert_non_null(f);
	fputs("this is no database, and its header says so", f);
	fclose(f);
}

static void collect_sequences(const struct world *w, uint64_t *ret_least, uint64_t *ret_most,
			      size_t *ret_count, uint64_t *ret_flags)
{
	struct collected c = read_all(w->directory, NULL);

	*ret_least = UINT64_MAX;
	*ret_most = *ret_flags = 0;
	for (size_t i = 0; i < c.count; i++) {
		if (c.records[i].sequence < *ret_least)
			*ret_least = c.records[i].sequence;
		if (c.records[i].sequence > *ret_most)
			*ret_most = c.records[i].sequence;
		*ret_flags |= c.records[i].flags;
	}
	*ret_count = c.count;
	free(c.records);
}

/*
 * The newest segment is lost. What was in it is kept aside; nothing that it gave is given again,
 * and an instance that went on meanwhile keeps its accounts: merged, flagged, no time lost.
 */
static void test_pipeline_newest_segment_lost(void **state)
{
	struct world w = begin(state);
	uint64_t least, most, flags;
	size_t count;

	push_life(1, 1); /* in the hour before: n 1 to 3 */
	push_life(2, 1);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	w.now_ns += 3600 * 1000 * MS;
	push(1, 4, ONCPU_EV_INVOKE, 3 * MS); /* in the one that is lost: n 4, 5, and 2's end */
	push(1, 5, ONCPU_EV_END, 4 * MS);
	push(2, 4, ONCPU_EV_EXIT, 3 * MS);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_close(&w.pipeline);
	spoil_segment(&w, 13);
	fake_kern_forget(2);
	open_world(&w, BOOT);
	assert_int_equal(count_open(&w), 1); /* 2 is over, though nothing here says so */
	push(1, 6, ONCPU_EV_INVOKE, 5 * MS);
	push(1, 7, ONCPU_EV_END, 6 * MS);
	w.now_ns += 1000 * MS;
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	collect_sequences(&w, &least, &most, &count, &flags);
	assert_int_equal(count, 3);
	assert_int_equal(least, 1);
	assert_true(most > 4); /* 3 and 4 were in the lost one */
	assert_true(flags & 1ull << RECORD_FLAG_EVENTS_LOST);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_new_boot_begins_anew(void **state)
{
	struct world w = begin(state);
	struct ledger_meta meta;
	struct ledger *ledger;

	push_life(1, 4);
	push_life(2, 1);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_close(&w.pipeline);
	w.view = fake_kern_reset();
	fake_kern_new_pins();
	open_world(&w, OTHER_BOOT);
	push_life(1, 2);
	assert_int_equal(pipeline_drain(w.pipeline, w.now_ns, realtime(&w)), 0);
	assert_int_equal(count_open(&w), 1);
	pipeline_close(&w.pipeline);
	ledger = open_ledger(w.directory, NULL);
	assert_int_equal(ledger_restore(ledger, &meta, NULL, NULL), 0);
	assert_string_equal(meta.boot_id, OTHER_BOOT);
	assert_int_equal(meta.sequence, 2);
	ledger_close(&ledger);
}

static void test_pipeline_tick_gives_up_on_gaps(void **state)
{
	struct world w = begin(state);

	push_life(1, 1);
	push(1, 5, ONCPU_EV_INVOKE, 3 * MS); /* 4 is lost */
	push(1, 6, ONCPU_EV_END, 4 * MS);
	assert_int_equal(pipeline_drain(w.pipeline, 61 * MS, realtime(&w)), 0);
	expect_stored(&w, 1);
	kill_and_restart(&w); /* the gap and what waits behind it are in the ledger */
	assert_int_equal(pipeline_drain(w.pipeline, 1000 * MS, realtime(&w)), 0);
	expect_stored(&w, 2);
	pipeline_close(&w.pipeline);
}

static void test_pipeline_finish_flushes(void **state)
{
	struct world w = begin(state);

	push_life(1, 1);
	push(1, 5, ONCPU_EV_INVOKE, 3 * MS);
	push(1, 6, ONCPU_EV_END, 4 * MS);
	assert_int_equal(pipeline_drain(w.pipeline, 61 * MS, realtime(&w)), 0);
	assert_int_equal(pipeline_finish(w.pipeline, 61 * MS, realtime(&w)), 0);
	expect_stored(&w, 2);
	pipeline_close(&w.pipeline);
}

static int on_closing(void *user, const struct instance_record *r)
{
	*(struct instance_record *)user = *r;
	return 0;
}

static void test_pipeline_audit_comes_before_the_exit(void **state)
{
	struct world w = begin(state);
	struct instance_record closing = { 0 };
	struct ledger_query all = { 0 };
	struct ledger_reader *reader = NULL;

	exits_seen = 0;
	push_life(1, 1);
	push(1, 4, ONCPU_EV_EXIT, 3 * MS);
	fail_with = -ENOSPC; /* the batch comes again, and is audited again */
	fail_count = 1;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), -ENOSPC);
	w.now_ns += 10000 * MS;
	assert_true(pipeline_step(w.pipeline, w.now_ns, realtime(&w)) > 0);
	assert_int_equal(exits_seen, 2);
	assert_int_equal(ledger_reader_open(w.directory, &reader), 0);
	assert_int_equal(ledger_read_instances(reader, &all, on_closing, &closing), 0);
	ledger_reader_close(&reader);
	assert_int_equal(closing.audits, 1);
	assert_int_equal(closing.audit_mismatches, 1);
	assert_int_equal(closing.audit_difference_ns, -(int64_t)MS);
	assert_true(closing.flags & 1ull << RECORD_FLAG_AUDIT_MISMATCH);
	pipeline_close(&w.pipeline);
}

/* No event follows, and the agent is killed: what the audit found is known all the same. */
static void test_pipeline_stores_what_the_audit_found(void **state)
{
	struct world w = begin(state);
	struct audit_reading equal = { .before_ns = MS, .after_ns = MS, .kernel_ns = MS };
	struct audit_reading lost = { .before_ns = MS, .after_ns = MS, .kernel_ns = 2 * MS };
	struct pipeline_state before, after;
	struct instance_view view;
	struct audit_finding f;

	push_life(1, 1);
	assert_true(pipeline_step(w.pipeline, w.now_ns, realtime(&w)) > 0);
	pipeline_state(w.pipeline, &before);
	assert_int_equal(pipeline_audit(w.pipeline, 1, &equal, &f), 0);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 0);
	pipeline_state(w.pipeline, &after);
	assert_int_equal(after.commits, before.commits); /* nothing new: no transaction */
	assert_int_equal(pipeline_audit(w.pipeline, 1, &lost, &f), 0);
	assert_int_equal(f.verdict, AUDIT_MISMATCH);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 0);
	kill_and_restart(&w);
	assert_true(correlator_view(pipeline_correlator(w.pipeline), 1, &view));
	assert_int_equal(view.audit.mismatches, 1);
	assert_int_equal(pipeline_audit(w.pipeline, 1, &lost, &f), 0);
	assert_int_equal(f.verdict, AUDIT_EQUAL);
	pipeline_close(&w.pipeline);
}

static int count_doubted(void *user, const struct invocation_record *r)
{
	*(unsigned *)user += r->doubt.cause[0] && r->flags & 1ull << RECORD_FLAG_AUDIT_MISMATCH;
	return 0;
}

static unsigned doubted(const struct world *w)
{
	struct ledger_reader *reader = NULL;
	struct ledger_query all = { 0 };
	unsigned count = 0;

	assert_int_equal(ledger_reader_open(w->directory, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, &all, count_doubted, &count), 0);
	ledger_reader_close(&reader);
	return count;
}

/* Those that are stored already are flagged with the next commit, or the audit finds it again. */
static void test_pipeline_flags_what_is_stored(void **state)
{
	struct world w = begin(state);
	struct audit_reading lost = { .before_ns = MS, .after_ns = MS, .kernel_ns = 2 * MS };
	struct audit_finding f;

	push_life(1, 4);
	push_life(2, 4);
	assert_true(pipeline_step(w.pipeline, w.now_ns, realtime(&w)) > 0);
	assert_int_equal(pipeline_audit(w.pipeline, 1, &lost, &f), 0);
	assert_int_equal(pipeline_doubt(w.pipeline, &f, "why"), 0);
	assert_int_equal(doubted(&w), 0);
	fail_with = -ENOSPC;
	fail_count = 1;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), -ENOSPC);
	w.now_ns += 10000 * MS;
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 0);
	assert_int_equal(doubted(&w), 0);
	assert_int_equal(pipeline_audit(w.pipeline, 1, &lost, &f), 0);
	assert_int_equal(f.verdict, AUDIT_MISMATCH); /* it was undone, so it is there again */
	assert_int_equal(pipeline_doubt(w.pipeline, &f, "why"), 0);
	assert_int_equal(pipeline_step(w.pipeline, w.now_ns, realtime(&w)), 0);
	kill_and_restart(&w);
	assert_int_equal(doubted(&w), 4);
	expect_stored(&w, 8);
	pipeline_close(&w.pipeline);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pipeline_stores_and_frees),
		T(test_pipeline_batches_are_bounded),
		T(test_pipeline_survives_kill_anywhere),
		T(test_pipeline_killed_between_commit_and_free),
		T(test_pipeline_full_disk_loses_nothing),
		T(test_pipeline_full_disk_at_the_first_commit),
		T(test_pipeline_tells_what_is_stored),
		T(test_pipeline_new_hour_carries_open_instances),
		T(test_pipeline_new_pins_begin_anew),
		T(test_pipeline_new_pins_and_no_commit),
		T(test_pipeline_newest_segment_lost),
		T(test_pipeline_new_boot_begins_anew),
		T(test_pipeline_tick_gives_up_on_gaps),
		T(test_pipeline_finish_flushes),
		T(test_pipeline_audit_comes_before_the_exit),
		T(test_pipeline_stores_what_the_audit_found),
		T(test_pipeline_flags_what_is_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
