/* SPDX-License-Identifier: GPL-2.0 */
/* See machine.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "core/machine.h"

#define BIT(flag) (1ull << (flag))
#define EVENT_FLAGS_OF_TEXT                                                                        \
	(ONCPU_EVF_ID_TRUNCATED | ONCPU_EVF_ID_UNREADABLE | ONCPU_EVF_NAME_TRUNCATED)
#define HOLDER_PERIOD_US 100000 /* of the CPU quota that a holder tells */
#define WHERE_MOMENT_NS                                                                            \
	1000000		   /* a boundary takes a few µs, unless the hypervisor takes its CPU      \
			    */
#define TICK_NS 4000000ull /* the longest tick of a usual kernel */

enum { FROZEN = 1, FROZEN_OR_LOST }; /* the thaw may be among what was lost */

static bool is_open(const struct machine *m)
{
	return m->phase == PHASE_INVOCATION || m->phase == PHASE_AFTER;
}

void machine_note(struct machine *m, enum record_flag flag)
{
	m->flags_life |= BIT(flag);
	if (is_open(m))
		m->flags_open |= BIT(flag);
	else
		m->flags_next |= BIT(flag);
}

void machine_name(const struct machine *m, const struct correlator_config *config, char *buffer,
		  size_t size)
{
	snprintf(buffer, size, "i-%.8s-%016" PRIx64, config->boot_id, m->uid);
}

static void unmatched(struct machine *m, struct correlator *c)
{
	m->unmatched++;
	correlator_count_unmatched(c);
}

/* ---- accounts ---- */

static enum account open_account(const struct machine *m)
{
	static const enum account of[] = {
		[PHASE_NOTHING] = ACCOUNT_INIT,	   [PHASE_INIT] = ACCOUNT_INIT,
		[PHASE_BETWEEN] = ACCOUNT_BETWEEN, [PHASE_INVOCATION] = ACCOUNT_INVOCATION,
		[PHASE_AFTER] = ACCOUNT_AFTER,
	};

	return m->frozen ? ACCOUNT_FREEZE : of[m->phase];
}

static void charge(struct machine *m, const struct oncpu_event *e)
{
	int64_t cpu = (int64_t)(e->total_ns - (uint64_t)m->last_total_ns);
	int64_t wall = m->last_time_ns ? (int64_t)(e->time_ns - m->last_time_ns) : 0;
	enum account a = open_account(m);

	m->parts[a].cpu_ns += cpu;
	m->parts[a].wall_ns += wall;
	m->sums_cpu_ns[a] += cpu;
	m->last_total_ns = (int64_t)e->total_ns;
	m->last_time_ns = e->time_ns;
	if (cpu < 0 || wall < 0)
		machine_note(m, RECORD_FLAG_NEGATIVE_SPLIT);
}

void machine_lose(struct machine *m, uint64_t count)
{
	m->events_lost += (int64_t)count;
	m->events_lost_open += (int64_t)count;
	/* the accounts on both sides of the gap are merged: both records say so */
	machine_note(m, RECORD_FLAG_EVENTS_LOST);
	m->flags_next |= BIT(RECORD_FLAG_EVENTS_LOST);
	if (m->frozen)
		m->frozen = FROZEN_OR_LOST;
}

/* ---- marks ---- */

/* Marks that are missing by now, and were not reported before. */
static void settle_marks(struct machine *m)
{
	for (int i = 0; i < MACHINE_PROCESSES; i++) {
		struct process_marks *p = &m->processes[i];
		uint64_t due = p->highest > p->base ? p->highest - p->base : 0;
		uint64_t missing = due > p->seen ? due - p->seen : 0;

		if (missing <= p->reported)
			continue;
		m->marks_lost += (int64_t)(missing - p->reported);
		m->marks_lost_open += (int64_t)(missing - p->reported);
		p->reported = missing;
		machine_note(m, RECORD_FLAG_MARKS_LOST);
	}
}

static struct process_marks *process_of(struct machine *m, uint32_t tgid, bool *ret_new,
					bool *ret_first)
{
	struct process_marks *oldest = &m->processes[0];

	*ret_new = false;
	*ret_first = true;
	for (int i = 0; i < MACHINE_PROCESSES; i++) {
		struct process_marks *p = &m->processes[i];

		if (p->tgid == tgid)
			return p;
		if (p->tgid)
			*ret_first = false;
		if (p->used < oldest->used)
			oldest = p;
	}
	settle_marks(m); /* it is forgotten now */
	memset(oldest, 0, sizeof(*oldest));
	oldest->tgid = tgid;
	*ret_new = true;
	return oldest;
}

static void follow_marks(struct machine *m, const struct oncpu_event *e)
{
	struct process_marks *p;
	bool new, first;

	if (!e->mark_number || e->flags & ONCPU_EVF_CALL)
		return;
	p = process_of(m, e->tgid, &new, &first);
	p->used = ++m->processes_clock;
	if (e->mark_number == 1) {
		/* an exec began a new count; or two threads' first marks crossed, and it fills a
		 * gap */
		if (p->first_seen || p->base || !p->seen) {
			settle_marks(m);
			p->base = p->highest = p->seen = p->reported = 0;
		}
		p->first_seen = 1;
	} else if (new) {
		/* a child goes on with its parent's count; so does whoever was there before us */
		bool count_from_one =
			first && !(m->flags_life &
				   (BIT(RECORD_FLAG_ADOPTED) | BIT(RECORD_FLAG_AGENT_STARTED_MID)));

		p->base = count_from_one ? 0 : e->mark_number - 1;
	}
	p->seen++;
	if (e->mark_number > p->highest)
		p->highest = e->mark_number;
}

static void note_event_flags(struct machine *m, uint32_t flags)
{
	static const struct {
		uint32_t event;
		enum record_flag record;
	} map[] = {
		{ ONCPU_EVF_ADOPTED, RECORD_FLAG_ADOPTED },
		{ ONCPU_EVF_STALE, RECORD_FLAG_STALE_SLOT },
		{ ONCPU_EVF_TORN, RECORD_FLAG_TORN_READ },
		{ ONCPU_EVF_MOVED, RECORD_FLAG_MOVED },
		{ ONCPU_EVF_UNTRACKED, RECORD_FLAG_UNTRACKED_THREADS },
		{ ONCPU_EVF_ID_TRUNCATED, RECORD_FLAG_ID_TRUNCATED },
		{ ONCPU_EVF_ID_UNREADABLE, RECORD_FLAG_ID_UNREADABLE },
		{ ONCPU_EVF_NAME_TRUNCATED, RECORD_FLAG_NAME_TRUNCATED },
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (flags & map[i].event)
			/* adoption touches the first record only: the books are whole from there on
			 */
			if (map[i].record != RECORD_FLAG_ADOPTED || !m->invocations)
				machine_note(m, map[i].record);
}

/* ---- names and ids ---- */

static void learn_function(struct machine *m, const struct oncpu_event *e)
{
	char name[ONCPU_NAME_LEN];
	size_t n = strnlen(e->function, sizeof(e->function));

	if (!n)
		return;
	if (n == sizeof(name))
		n--;
	memcpy(name, e->function, n);
	name[n] = 0;
	for (size_t i = 0, step; i < n; i += step) {
		uint32_t code;

		/* a name is shown everywhere: what is not text becomes '?' */
		step = text_decode(name + i, n - i, &code);
		if (!step || !text_is_clean(name + i, step)) {
			step = step ? step : 1;
			memset(name + i, '?', step);
		}
	}
	if (!m->function[0])
		memcpy(m->function, name, n + 1);
	else if (strcmp(m->function, name))
		machine_note(m, RECORD_FLAG_NAME_MISMATCH);
}

static uint64_t hash_id(const char *id, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)id[i]) * 0x100000001b3ull;
	return h ? h : 1;
}

static void take_id(struct machine *m, const struct oncpu_event *e,
		    const struct correlator_config *config)
{
	char name[RECORD_INSTANCE_LEN], derived[RECORD_INSTANCE_LEN + 24];
	uint64_t hash;

	m->id_len = e->id_len <= ONCPU_ID_LEN ? e->id_len : ONCPU_ID_LEN;
	memcpy(m->id, e->id, sizeof(m->id));
	if (!m->id_len) {
		machine_name(m, config, name, sizeof(name));
		snprintf(derived, sizeof(derived), "%s-%" PRId64, name, m->invocations + 1);
		m->id_len = (uint32_t)strlen(derived);
		memcpy(m->id, derived, m->id_len);
		machine_note(m, RECORD_FLAG_ID_MISSING);
	}
	if (!text_is_clean(m->id, m->id_len))
		machine_note(m, RECORD_FLAG_ID_NOT_TEXT);
	hash = hash_id(m->id, m->id_len);
	for (int i = 0; i < MACHINE_IDS; i++)
		if (m->id_hashes[i] == hash)
			machine_note(m, RECORD_FLAG_ID_REUSED);
	m->id_hashes[m->invocations % MACHINE_IDS] = hash;
}

/* ---- an invocation ---- */

static uint64_t add_up(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void fill_boundaries(const struct machine *m, const struct oncpu_event *e,
			    const struct correlator_config *config, struct invocation_record *r)
{
	uint64_t bound = add_up(m->start_bound_ns, e->bound_ns), steal;

	/* Where the hypervisor's counter cannot be read, steal since the last tick of another CPU
	 * was not seen at the start; the level since shows how much there was. */
	if (bound && !(e->flags & ONCPU_EVF_STEAL_LIVE) && e->steal_ns > m->start_steal_ns) {
		steal = e->steal_ns - m->start_steal_ns;
		bound = add_up(bound, steal < TICK_NS ? steal : TICK_NS);
	}
	r->start_realtime_ns = (int64_t)m->start_time_ns + config->realtime_offset_ns;
	r->end_realtime_ns = (int64_t)e->time_ns + config->realtime_offset_ns;
	r->wall_ns = (int64_t)(e->time_ns - m->start_time_ns);
	r->cpu_error_bound_ns = bound > INT64_MAX ? INT64_MAX : (int64_t)bound;
	r->run_queue_ns = (int64_t)(e->run_delay_ns - m->start_delay_ns);
	r->voluntary = (int64_t)(e->voluntary - m->start_voluntary);
	r->involuntary = (int64_t)(e->involuntary - m->start_involuntary);
	r->threads = e->threads;
}

static void fill_accounts(const struct machine *m, struct invocation_record *r)
{
	r->cpu_ns = m->parts[ACCOUNT_INVOCATION].cpu_ns + m->parts[ACCOUNT_AFTER].cpu_ns;
	r->after_response_wall_ns = m->parts[ACCOUNT_AFTER].wall_ns;
	r->after_response_cpu_ns = m->parts[ACCOUNT_AFTER].cpu_ns;
	r->between_wall_ns = m->parts[ACCOUNT_BETWEEN].wall_ns;
	r->between_cpu_ns = m->parts[ACCOUNT_BETWEEN].cpu_ns;
	r->freeze_count = m->freeze_count;
	r->freeze_wall_ns = m->parts[ACCOUNT_FREEZE].wall_ns;
	r->freeze_cpu_ns = m->parts[ACCOUNT_FREEZE].cpu_ns;
	r->init_wall_ns = m->init_wall_ns;
	r->init_cpu_ns = m->init_cpu_ns;
}

/* A stretch awake ends: what the invocation has used since the one before. */
static void end_segment(struct machine *m)
{
	struct record_segment sum = {
		m->parts[ACCOUNT_INVOCATION].wall_ns + m->parts[ACCOUNT_AFTER].wall_ns,
		m->parts[ACCOUNT_INVOCATION].cpu_ns + m->parts[ACCOUNT_AFTER].cpu_ns
	};
	struct record_segment *last;

	for (uint32_t i = 0; i < m->segment_count; i++) {
		sum.wall_ns -= m->segments[i].wall_ns;
		sum.cpu_ns -= m->segments[i].cpu_ns;
	}
	if (m->segment_count < RECORD_MAX_SEGMENTS) {
		m->segments[m->segment_count++] = sum;
		return;
	}
	last = &m->segments[RECORD_MAX_SEGMENTS - 1];
	last->wall_ns += sum.wall_ns;
	last->cpu_ns += sum.cpu_ns;
}

static void fill_segments(struct machine *m, struct invocation_record *r)
{
	if (!m->segment_count)
		return;
	if (!m->frozen)
		end_segment(m);
	r->segment_count = m->segment_count;
	memcpy(r->segments, m->segments, sizeof(r->segments));
	m->segment_count = 0;
	memset(m->segments, 0, sizeof(m->segments));
}

static void fill_extensions(struct machine *m, struct invocation_record *r)
{
	r->extension_count = m->extension_count;
	memcpy(r->extensions, m->extensions, sizeof(r->extensions));
	m->extension_count = 0;
	memset(m->extensions, 0, sizeof(m->extensions));
}

/* What one process of the open invocation has used. */
static void on_part(struct machine *m, const struct oncpu_event *e, struct correlator *c)
{
	struct record_extension *x = &m->extensions[m->extension_count];

	if (!is_open(m) || m->extension_count == RECORD_MAX_EXTENSIONS ||
	    e->mark_number > INT64_MAX) {
		unmatched(m, c);
		return;
	}
	memcpy(x->name, e->id, sizeof(x->name));
	x->name_len = e->id_len < ONCPU_ID_LEN ? e->id_len : ONCPU_ID_LEN;
	x->cpu_ns = (int64_t)e->mark_number;
	m->extension_count++;
}

static void fill_facts(const struct machine *m, const struct correlator_config *config,
		       struct invocation_record *r)
{
	struct function_facts facts = { .memory_mb = -1, .quota_us = -1, .period_us = -1 };

	if (config->facts)
		(void)config->facts(config->user, r->function, &facts);
	snprintf(r->version, sizeof(r->version), "%s",
		 facts.version[0] ? facts.version : "$LATEST");
	r->memory_mb = facts.memory_mb;
	r->quota_us = facts.quota_us;
	r->period_us = facts.period_us;
	if (m->memory_mb)
		r->memory_mb = m->memory_mb;
	if (m->quota_us) {
		r->quota_us = m->quota_us;
		r->period_us = HOLDER_PERIOD_US;
	}
	r->max_memory_bytes = m->peak_bytes ? (int64_t)m->peak_bytes : -1;
}

/*
 * All or nothing, and never but what adds up. A state that changed just while a boundary was read
 * can come out below 0 by that moment: it is 0 then, and the moment goes to the largest part.
 */
static void fill_where(const struct machine *m, const struct oncpu_event *e,
		       struct invocation_record *r)
{
	int64_t parts[ONCPU_WHERE_COUNT], sum = 0;
	int largest = 0;

	r->where = (struct record_where){ -1, -1, -1, -1, -1, -1 };
	if (!m->start_has_where || !(e->flags & ONCPU_EVF_WHERE))
		return;
	for (int i = 0; i < ONCPU_WHERE_COUNT; i++) {
		parts[i] = (int64_t)(e->where_ns[i] - m->start_where_ns[i]);
		sum = (int64_t)((uint64_t)sum + (uint64_t)parts[i]);
		if (parts[i] > parts[largest])
			largest = i;
	}
	if (sum != r->wall_ns)
		return; /* boundaries of two different lives */
	for (int i = 0; i < ONCPU_WHERE_COUNT; i++) {
		if (parts[i] >= 0)
			continue;
		if (parts[i] < -WHERE_MOMENT_NS)
			return;
		parts[largest] += parts[i];
		parts[i] = 0;
	}
	if (parts[largest] < 0)
		return;
	r->where = (struct record_where){ .running_ns = parts[ONCPU_WHERE_RUNNING],
					  .run_queue_ns = parts[ONCPU_WHERE_RUN_QUEUE],
					  .throttled_ns = parts[ONCPU_WHERE_THROTTLED],
					  .blocked_io_ns = parts[ONCPU_WHERE_BLOCKED_IO],
					  .idle_ns = parts[ONCPU_WHERE_IDLE],
					  .frozen_ns = parts[ONCPU_WHERE_FROZEN] };
}

/* What was taken out of its slices, where that was measured from its start to its end. Interrupts
 * are measured between two hooks and the slice by the scheduler's clock: never more than all of it.
 */
static void fill_taken(const struct machine *m, const struct oncpu_event *e,
		       struct invocation_record *r)
{
	uint64_t both = m->start_flags & e->flags;

	r->steal_ns = r->irq_ns = r->cpu_net_ns = -1;
	/* of a slice that was read stale, what was taken from it so far is not known yet */
	if (both & ONCPU_EVF_STEAL)
		r->steal_ns = e->steal_ns > m->start_steal_ns
				      ? (int64_t)(e->steal_ns - m->start_steal_ns)
				      : 0;
	if (!(both & ONCPU_EVF_IRQ) || r->cpu_ns < 0)
		return;
	r->irq_ns = (int64_t)(e->irq_ns - m->start_irq_ns);
	r->irq_ns = r->irq_ns < 0 ? 0 : r->irq_ns > r->cpu_ns ? r->cpu_ns : r->irq_ns;
	r->cpu_net_ns = r->cpu_ns - r->irq_ns;
}

static void close_invocation(struct machine *m, const struct oncpu_event *e, struct correlator *c,
			     int32_t status)
{
	const struct correlator_config *config = correlator_settings(c);
	struct invocation_record r;

	settle_marks(m);
	memset(&r, 0, sizeof(r)); /* padding too: records are compared byte for byte */
	snprintf(r.function, sizeof(r.function), "%s", m->function[0] ? m->function : "unknown");
	machine_name(m, config, r.instance, sizeof(r.instance));
	memcpy(r.id, m->id, sizeof(r.id));
	r.id_len = m->id_len;
	if (m->suspended_len) {
		memcpy(r.continues, m->suspended, sizeof(r.continues));
		r.continues_len = m->suspended_len;
		m->suspended_len = 0;
		m->flags_open |= BIT(RECORD_FLAG_CONTINUES);
	}
	r.status = status;
	r.cold_start = m->cold;
	fill_boundaries(m, e, config, &r);
	fill_accounts(m, &r);
	fill_segments(m, &r);
	fill_extensions(m, &r);
	fill_where(m, e, &r);
	fill_taken(m, e, &r);
	fill_facts(m, config, &r);
	r.flags = m->flags_open;
	r.events_lost = m->events_lost_open;
	r.marks_lost = m->marks_lost_open;
	m->invocations++;
	m->cold = 0;
	m->init_wall_ns = m->init_cpu_ns = -1;
	m->flags_open = 0;
	m->events_lost_open = m->marks_lost_open = 0;
	m->freeze_count = 0;
	memset(m->parts, 0, sizeof(m->parts));
	m->phase = PHASE_BETWEEN;
	if (status == ONCPU_STATUS_SUSPENDED) { /* the next one goes on from it */
		memcpy(m->suspended, m->id, sizeof(m->suspended));
		m->suspended_len = m->id_len;
	}
	correlator_give_invocation(c, &r);
}

static void end_init(struct machine *m, bool first_trigger)
{
	if (m->phase == PHASE_INIT) {
		m->init_wall_ns = m->parts[ACCOUNT_INIT].wall_ns;
		m->init_cpu_ns = m->parts[ACCOUNT_INIT].cpu_ns;
		m->cold = 1;
	} else if (m->phase == PHASE_NOTHING && first_trigger) {
		/* the agent came in mid-life: what was before is nobody's init that we could bill
		 */
		m->cold = 0;
	}
	m->phase = PHASE_BETWEEN;
}

static void open_invocation(struct machine *m, const struct oncpu_event *e, struct correlator *c)
{
	bool first = m->phase == PHASE_INIT || m->phase == PHASE_NOTHING;

	if (is_open(m)) {
		machine_note(m, RECORD_FLAG_START_BEFORE_DONE);
		note_event_flags(m, e->flags & ~EVENT_FLAGS_OF_TEXT); /* its end, too */
		close_invocation(m, e, c, ONCPU_STATUS_OK);
	}
	if (first && e->kind == ONCPU_EV_INVOKE && m->phase == PHASE_INIT)
		m->flags_next |= BIT(RECORD_FLAG_INVOKE_WITHOUT_START);
	if (!first && e->kind == ONCPU_EV_START && !(e->flags & ONCPU_EVF_CALL) && m->invocations)
		m->flags_next |= BIT(RECORD_FLAG_START_TWICE);
	if (first)
		end_init(m, true);
	m->phase = PHASE_INVOCATION;
	m->flags_open |= m->flags_next;
	m->flags_life |= m->flags_next;
	m->flags_next = 0;
	learn_function(m, e);
	take_id(m, e, correlator_settings(c));
	m->start_time_ns = e->time_ns;
	m->start_bound_ns = e->bound_ns;
	m->start_delay_ns = e->run_delay_ns;
	m->start_voluntary = e->voluntary;
	m->start_involuntary = e->involuntary;
	m->start_steal_ns = e->steal_ns;
	m->start_irq_ns = e->irq_ns;
	m->start_flags = e->flags;
	m->start_has_where = e->flags & ONCPU_EVF_WHERE;
	memcpy(m->start_where_ns, e->where_ns, sizeof(m->start_where_ns));
	/* who calls from outside is no part of the function: 0 */
	m->start_tgid = e->flags & ONCPU_EVF_CALL ? 0 : e->tgid;
	m->start_tid = e->flags & ONCPU_EVF_CALL ? 0 : e->tid;
}

/* ---- the end of an instance ---- */

static void close_instance(struct machine *m, const struct oncpu_event *e, struct correlator *c)
{
	const struct correlator_config *config = correlator_settings(c);
	struct instance_record r;

	if (is_open(m)) {
		machine_note(m, RECORD_FLAG_EXIT_IN_INVOCATION);
		close_invocation(m, e, c, ONCPU_STATUS_CRASHED);
	}
	settle_marks(m);
	memset(&r, 0, sizeof(r));
	snprintf(r.function, sizeof(r.function), "%s", m->function[0] ? m->function : "unknown");
	machine_name(m, config, r.instance, sizeof(r.instance));
	r.uid = m->uid;
	r.cgroup_id = m->cgroup_id;
	r.flags = m->flags_life | m->flags_next;
	r.start_realtime_ns = (int64_t)m->born_ns + config->realtime_offset_ns;
	r.end_realtime_ns = (int64_t)e->time_ns + config->realtime_offset_ns;
	r.total_cpu_ns = m->last_total_ns;
	r.init_cpu_ns = m->sums_cpu_ns[ACCOUNT_INIT];
	r.invocations_cpu_ns = m->sums_cpu_ns[ACCOUNT_INVOCATION] + m->sums_cpu_ns[ACCOUNT_AFTER];
	r.freeze_cpu_ns = m->sums_cpu_ns[ACCOUNT_FREEZE];
	r.between_cpu_ns = m->sums_cpu_ns[ACCOUNT_BETWEEN];
	r.last_between_wall_ns = m->parts[ACCOUNT_BETWEEN].wall_ns;
	r.last_between_cpu_ns = m->parts[ACCOUNT_BETWEEN].cpu_ns;
	r.invocations = m->invocations;
	r.unmatched = m->unmatched;
	r.events_lost = m->events_lost;
	r.marks_lost = m->marks_lost;
	r.audits = m->audit.count;
	r.audit_mismatches = m->audit.mismatches;
	r.audit_difference_ns = m->audit.difference_ns;
	r.audit_worst_ns = m->audit.worst_ns;
	correlator_give_instance(c, &r);
}

/* ---- the step ---- */

/* An id that was not said at the start may be said later. */
static bool is_for_another(const struct machine *m, const struct oncpu_event *e)
{
	if (!e->id_len || m->flags_open & BIT(RECORD_FLAG_ID_MISSING))
		return false;
	return e->id_len != m->id_len || memcmp(e->id, m->id, m->id_len);
}

static void on_end(struct machine *m, const struct oncpu_event *e, struct correlator *c)
{
	int32_t status = e->status;

	if (e->flags & ONCPU_EVF_CALL)
		m->peak_bytes = e->mark_number;

	if (!is_open(m)) {
		machine_note(m, m->phase == PHASE_BETWEEN && m->invocations
					? RECORD_FLAG_DONE_TWICE
					: RECORD_FLAG_DONE_WITHOUT_START);
		unmatched(m, c);
		return;
	}
	if (is_for_another(m, e)) { /* it does not end this one */
		machine_note(m, RECORD_FLAG_DONE_WITHOUT_START);
		unmatched(m, c);
		return;
	}
	if (!(e->flags & ONCPU_EVF_CALL) && m->start_tgid) {
		if (e->tgid != m->start_tgid)
			machine_note(m, RECORD_FLAG_CHILD_MARK);
		else if (e->tid != m->start_tid)
			machine_note(m, RECORD_FLAG_THREAD_RACE);
	}
	close_invocation(m, e, c,
			 status >= 0 && status < ONCPU_STATUS_COUNT ? status : ONCPU_STATUS_ERROR);
}

static void on_suspend(struct machine *m, const struct oncpu_event *e, struct correlator *c)
{
	if (e->flags & ONCPU_EVF_CALL)
		m->peak_bytes = e->mark_number;
	if (!is_open(m)) {
		unmatched(m, c);
		return;
	}
	close_invocation(m, e, c, ONCPU_STATUS_SUSPENDED);
}

static void first_sight(struct machine *m, const struct oncpu_event *e)
{
	m->uid = e->uid;
	m->cgroup_id = e->cgroup_id;
	m->born_ns = e->time_ns;
	m->init_wall_ns = m->init_cpu_ns = -1;
	if (e->kind == ONCPU_EV_INIT && e->n == 1) {
		m->phase = PHASE_INIT;
		/* the cgroup is new, and has no thread but ours: both books begin at 0 */
		m->audit.has_base = !(e->flags & (ONCPU_EVF_ADOPTED | ONCPU_EVF_REUSED));
		if (e->flags & ONCPU_EVF_HELD) { /* the holder knows what it gave */
			m->memory_mb =
				e->status > 0 && e->status <= UINT16_MAX ? (uint16_t)e->status : 0;
			m->quota_us = e->mark_number <= UINT32_MAX ? (uint32_t)e->mark_number : 0;
		}
		return;
	}
	m->phase = PHASE_NOTHING;
	machine_note(m, RECORD_FLAG_AGENT_STARTED_MID);
}

/* A program with marks of its own under a holder (measure, the slicer): the holder's boundaries
 * stand. */
static bool is_foreign_mark(const struct oncpu_event *e)
{
	if (!(e->flags & ONCPU_EVF_HELD) || e->flags & ONCPU_EVF_CALL)
		return false;
	return e->kind == ONCPU_EV_START || e->kind == ONCPU_EV_INVOKE ||
	       e->kind == ONCPU_EV_RESPONSE || e->kind == ONCPU_EV_END ||
	       e->kind == ONCPU_EV_SUSPEND;
}

/* Nobody gets there frozen. */
static bool shows_running(uint32_t kind)
{
	return kind == ONCPU_EV_RESPONSE || kind == ONCPU_EV_END || kind == ONCPU_EV_SUSPEND ||
	       kind == ONCPU_EV_READY;
}

bool machine_step(struct machine *m, const struct oncpu_event *e, struct correlator *c)
{
	if (!m->uid)
		first_sight(m, e);
	charge(m, e);
	m->threads = e->threads;
	follow_marks(m, e);
	if (is_foreign_mark(e)) {
		note_event_flags(m, e->flags & ~EVENT_FLAGS_OF_TEXT);
		unmatched(m, c);
		return false;
	}
	if (m->frozen == FROZEN_OR_LOST && shows_running(e->kind))
		m->frozen = 0;
	if (e->kind != ONCPU_EV_START && e->kind != ONCPU_EV_INVOKE)
		note_event_flags(m, e->flags);
	switch (e->kind) {
	case ONCPU_EV_INIT:
		learn_function(m, e);
		break;
	case ONCPU_EV_READY:
		if (m->phase == PHASE_INIT || m->phase == PHASE_NOTHING)
			end_init(m, false);
		else
			unmatched(m, c);
		break;
	case ONCPU_EV_START:
	case ONCPU_EV_INVOKE:
		open_invocation(m, e, c);
		note_event_flags(m, e->flags);
		break;
	case ONCPU_EV_RESPONSE:
		if (m->phase == PHASE_INVOCATION && !is_for_another(m, e))
			m->phase = PHASE_AFTER;
		else
			unmatched(m, c);
		break;
	case ONCPU_EV_END:
		on_end(m, e, c);
		break;
	case ONCPU_EV_SUSPEND:
		on_suspend(m, e, c);
		break;
	case ONCPU_EV_FREEZE:
		if (m->frozen == FROZEN)
			unmatched(m, c);
		else
			m->freeze_count++;
		if (is_open(m) && !m->frozen)
			end_segment(m);
		m->frozen = FROZEN;
		break;
	case ONCPU_EV_THAW:
		if (!m->frozen)
			unmatched(m, c);
		m->frozen = 0;
		break;
	case ONCPU_EV_PART:
		on_part(m, e, c);
		break;
	case ONCPU_EV_EXIT:
		close_instance(m, e, c);
		return true;
	default:
		break; /* RESUME: the trigger that follows opens the next invocation */
	}
	return false;
}
