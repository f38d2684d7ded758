// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's events, in any order and with anything in them: no crash, bounded state, a law that
 * telescopes (an instance's accounts are its last total), and a state that goes through the ledger
 * and back unchanged. The first byte says how the input is read: raw events, or short steps.
 */
#include <errno.h>

#include "core/correlate.h"
#include "core/record_json.h"
#include "tests/fuzz/fuzz.h"

struct run {
	struct correlator *c;
	bool raw;
};

static int64_t where_sum(const struct record_where *w)
{
	return (int64_t)((uint64_t)w->running_ns + (uint64_t)w->run_queue_ns +
			 (uint64_t)w->throttled_ns + (uint64_t)w->blocked_io_ns +
			 (uint64_t)w->idle_ns + (uint64_t)w->frozen_ns);
}

static void on_invocation(void *user, const struct invocation_record *record)
{
	char line[RECORD_JSON_MAX];

	(void)user;
	PROMISE(record->id_len <= ONCPU_ID_LEN && record->continues_len <= ONCPU_ID_LEN);
	PROMISE(record->segment_count <= RECORD_MAX_SEGMENTS);
	PROMISE(record->extension_count <= RECORD_MAX_EXTENSIONS);
	PROMISE(record->where.running_ns == -1 || where_sum(&record->where) == record->wall_ns);
	PROMISE(invocation_record_json(record, line, sizeof(line)) > 0);
}

static void on_instance(void *user, const struct instance_record *r)
{
	struct run *run = user;
	char line[RECORD_JSON_MAX];

	PROMISE(instance_record_json(r, line, sizeof(line)) > 0);
	if (!run->raw) /* with totals that are any 64 bits, sums may wrap */
		PROMISE(r->init_cpu_ns + r->invocations_cpu_ns + r->freeze_cpu_ns +
				r->between_cpu_ns ==
			r->total_cpu_ns);
}

static struct correlator *new_correlator(struct run *run)
{
	struct correlator_config config = { .host = "fuzz",
					    .boot_id = "00",
					    .reorder_ns = 1000,
					    .max_instances = 6,
					    .user = run,
					    .on_invocation = on_invocation,
					    .on_instance = on_instance };
	struct correlator *c = NULL;

	PROMISE(correlator_new(&config, &c) == 0);
	return c;
}

struct carry {
	struct correlator *to;
	unsigned count;
};

static int carry(void *user, uint64_t uid, const void *blob, size_t size)
{
	struct carry *carry = user;

	if (size)
		PROMISE(correlator_restore(carry->to, uid, blob, size) == 0);
	carry->count++;
	return 0;
}

/* As after a kill: what was stored is all there is. */
static void restart(struct run *run)
{
	struct carry into = { .to = new_correlator(run) };

	PROMISE(correlator_all(run->c, carry, &into) == 0);
	PROMISE(correlator_counters(into.to)->instances_open ==
		correlator_counters(run->c)->instances_open);
	correlator_set_sequence(into.to, correlator_sequence(run->c));
	correlator_free(&run->c);
	run->c = into.to;
}

static void step(struct run *run, struct input *in, uint64_t *time)
{
	static uint64_t total[8];
	uint8_t what = take_byte(in), more = take_byte(in);
	struct oncpu_event e = { .kind = what % ONCPU_EV_KIND_COUNT,
				 .uid = 1 + (what >> 5),
				 .n = 1 + (more & 31),
				 .flags = (uint32_t)take_byte(in) << (more >> 5),
				 .bound_ns = more,
				 .threads = 1,
				 .tgid = 10u + (more >> 7),
				 .tid = 10u + (more >> 6),
				 .status = (int8_t)take_byte(in) };

	*time += more;
	total[e.uid & 7] += what * 7u;
	e.time_ns = *time;
	e.total_ns = total[e.uid & 7];
	e.mark_number = more & 15;
	e.id_len = take_byte(in) % (ONCPU_ID_LEN + 1);
	take(in, e.id, e.id_len < 4 ? e.id_len : 4);
	memcpy(e.function, "f", 2);
	correlator_feed(run->c, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct run run = { .raw = take_byte(&in) & 1 };
	uint64_t time = 1000;

	run.c = new_correlator(&run);
	while (in.left) {
		if (run.raw) {
			struct oncpu_event e;

			take(&in, &e, sizeof(e));
			correlator_feed(run.c, &e);
			continue;
		}
		if (*in.at == 0xff) {
			take_byte(&in);
			restart(&run);
		} else if (*in.at == 0xfe) {
			take_byte(&in);
			correlator_tick(run.c, time);
		} else {
			step(&run, &in, &time);
		}
	}
	correlator_flush(run.c);
	PROMISE(correlator_counters(run.c)->instances_open <= 6);
	correlator_restore(run.c, 99, data, size);
	correlator_free(&run.c);
	return 0;
}
