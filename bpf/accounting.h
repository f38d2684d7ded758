/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pure steps of the accounting: latch, clock offset, slice, bound, cgroup pattern.
 *
 * No map, no helper, no kernel type: the same text compiles into the BPF object and into the host's
 * unit tests (tests/unit/test_accounting.c).
 */
#ifndef ONCPU_BPF_ACCOUNTING_H
#define ONCPU_BPF_ACCOUNTING_H

#include "oncpu/abi.h"

#define STEP static inline __attribute__((always_inline, unused))
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")
#define READ_ONCE_OF(x) (*(volatile __typeof__(x) *)&(x))

/*
 * The latch: two copies, and the low bit of seq says which of them is the picture. The slot's own
 * CPU alone writes, with interrupts off: it fills the other copy and moves on. Wherever a
 * hypervisor stops it, a reader finds one whole copy: that is what a plain sequence lock lacks. A
 * reader that finds seq unmoved afterwards has read one picture.
 */
STEP struct oncpu_slot_copy *slot_copy_at(struct oncpu_slot *slot, oncpu_u64 seq)
{
	return &slot->copy[seq & 1];
}

STEP struct oncpu_slot_copy *slot_picture(struct oncpu_slot *slot)
{
	return slot_copy_at(slot, READ_ONCE_OF(slot->seq));
}

/* The writer's: filled in, then published. */
STEP struct oncpu_slot_copy *slot_next_picture(struct oncpu_slot *slot)
{
	return slot_copy_at(slot, slot->seq + 1);
}

STEP void slot_publish(struct oncpu_slot *slot)
{
	COMPILER_BARRIER();
	slot->seq++;
	COMPILER_BARRIER();
}

/* One sample of ktime − rq clock. The smallest in a window of half a second is the true offset plus
 * the least delay between the kernel's clock update and the hook. */
#define CLOCK_WINDOW_NS 500000000ull
#define CLOCK_WINDOW_SAMPLES 64u /* fewer, and the least of them may be far above the truth */
#define CLOCK_WINDOW_MAX_NS 8000000000ull /* but then the clocks' drift would count for more */
#define CLOCK_SLEW_SHIFT 29u /* the drift is kept as ns in 2^29 ns, about half a second */
#define CLOCK_SLEW_SPAN_NS 8000000000ull /* the least of a window is known to a µs or two … */
#define CLOCK_SLEW_NOISE_NS 2000u	 /* … so slow drifts show over a longer span only, … */
#define CLOCK_SLEW_FAST_NS 8000u	 /* … and fast ones from one window to the next, too */

/* NTP slews ktime and not the scheduler's clock: how far the two drift apart in 2^29 ns, if their
 * offset moved from `before` to `now` in span_ns. */
STEP oncpu_u32 clock_slew(oncpu_s64 before, oncpu_s64 now, oncpu_u64 span_ns, oncpu_u32 noise_ns)
{
	oncpu_u64 moved = (oncpu_u64)(now > before ? now - before : before - now);

	if (moved < noise_ns || !span_ns)
		return 0;
	if (moved > 1u << 30)
		moved = 1u << 30;
	moved = (moved << CLOCK_SLEW_SHIFT) / span_ns;
	return moved < ~0u ? (oncpu_u32)moved : ~0u;
}

/* A window of samples enough is over, and so was the one before. A hook that came late shows as a
 * move up and one down again: only what moves on counts, and of two windows the least. */
STEP void slot_clock_drift(struct oncpu_slot *slot, oncpu_u64 now_ns)
{
	oncpu_s64 moved = slot->d_now - slot->d_before, least = slot->d_moved;
	oncpu_u64 span_ns = now_ns - slot->anchor_ns;
	oncpu_u32 fast;

	if ((moved < 0) != (least < 0))
		least = 0;
	else if ((moved < 0 && moved > least) || (moved >= 0 && moved < least))
		least = moved;
	fast = clock_slew(0, least, now_ns - slot->d_window, CLOCK_SLEW_FAST_NS);
	if (fast > slot->d_slew)
		slot->d_slew = fast;
	slot->d_moved = moved;
	if (slot->anchor_ns && span_ns < CLOCK_SLEW_SPAN_NS)
		return;
	least = moved < 0 ? slot->d_now : slot->d_before;
	if (slot->anchor_ns)
		slot->d_slew = clock_slew(slot->anchor_d, least, span_ns, CLOCK_SLEW_NOISE_NS);
	slot->anchor_ns = now_ns;
	slot->anchor_d = least;
}

STEP void slot_clock_sample(struct oncpu_slot *slot, oncpu_u64 now_ns, oncpu_u64 rq_clock)
{
	oncpu_s64 d = (oncpu_s64)(now_ns - rq_clock);
	oncpu_u64 window_ns = now_ns - slot->d_window;
	int enough;

	slot->d_samples++;
	if (!slot->d_window) {
		slot->d_now = slot->d_before = d;
		slot->d_window = now_ns;
		return;
	}
	if (d < slot->d_now)
		slot->d_now = d;
	enough = slot->d_samples >= CLOCK_WINDOW_SAMPLES;
	if ((window_ns > CLOCK_WINDOW_NS && enough) || window_ns > CLOCK_WINDOW_MAX_NS) {
		if (enough && slot->d_good)
			slot_clock_drift(slot, now_ns);
		else
			slot->d_moved = 0;
		slot->d_good = (oncpu_u32)enough;
		slot->d_before = slot->d_now;
		slot->d_now = d;
		slot->d_window = now_ns;
		slot->d_samples = 0;
	}
}

/* By how much the offset may be out of date: it is the least of this window and the one before, so
 * its sample may be as old as both; on a CPU that has not switched since, older. */
STEP oncpu_u64 slot_clock_error(const struct oncpu_slot *slot, oncpu_u64 now_ns)
{
	oncpu_u64 age = now_ns - slot->d_window;

	if (!slot->d_slew)
		return 0;
	return slot->d_slew * (2 + ((oncpu_s64)age > 0 ? age >> CLOCK_SLEW_SHIFT : 0));
}

/* Reading ktime costs 20 to 40 ns: once a window has samples enough, every sixteenth picture will
 * do. */
STEP int slot_clock_wanted(const struct oncpu_slot *slot)
{
	return slot->d_samples < CLOCK_WINDOW_SAMPLES || !(slot->seq & 15);
}

STEP oncpu_s64 slot_clock_offset(const struct oncpu_slot *slot)
{
	oncpu_s64 d = slot->d_now < slot->d_before ? slot->d_now : slot->d_before;

	return d - (oncpu_s64)slot->hook_lag_ns;
}

/* What a running slice has cost up to now, on the task clock: never negative. */
STEP oncpu_u64 slice_ns(oncpu_u64 now_ns, oncpu_s64 offset_ns, oncpu_u64 start_ns)
{
	oncpu_s64 d = (oncpu_s64)(now_ns - (oncpu_u64)offset_ns - start_ns);

	return d > 0 ? (oncpu_u64)d : 0;
}

/* ktime less a CPU's task clock, at an instant for which an update would book so much steal. It
 * grows with every nanosecond stolen, so it is of this instant, never of the one that a slice began
 * at. */
STEP oncpu_s64 task_clock_offset(oncpu_s64 d, oncpu_u64 clock, oncpu_u64 clock_task,
				 oncpu_u64 unbooked)
{
	return d + (oncpu_s64)(clock - clock_task + unbooked);
}

/* Of the steal that the hypervisor counted and the scheduler has not booked yet, what an update of
 * the clocks now would book: never more than the time since the last one. */
STEP oncpu_u64 steal_to_book(oncpu_u64 unbooked, oncpu_u64 now_ns, oncpu_s64 d, oncpu_u64 rq_clock)
{
	oncpu_s64 since = (oncpu_s64)(now_ns - (oncpu_u64)d - rq_clock);

	if (since <= 0)
		return 0;
	return unbooked < (oncpu_u64)since ? unbooked : (oncpu_u64)since;
}

STEP oncpu_u64 clock_age_ns(oncpu_u64 now_ns, oncpu_s64 d, oncpu_u64 rq_clock)
{
	oncpu_s64 age = (oncpu_s64)(now_ns - (oncpu_u64)d - rq_clock);

	return (age > 0 ? (oncpu_u64)age : 0) + 1000; /* both clocks' own error */
}

/* A switch updates the CPU's clock, charges up to it, and reaches the hook a few µs later,
 * interrupts off: until then the slot shows what is past, wrong by no more than the clock's age. An
 * older clock than any switch takes (the cap) means that none is in progress. */
STEP oncpu_u64 switch_bound(oncpu_u64 now_ns, oncpu_s64 d, oncpu_u64 rq_clock, oncpu_u64 cap_ns)
{
	oncpu_u64 age = clock_age_ns(now_ns, d, rq_clock);

	return age < cap_ns ? age : 0;
}

/* A CPU that is idle with somebody queued is on its way out of idle, however long that takes; who
 * is queued will be charged from the wake-up, the clock's last update, on. */
#define WAKEUP_CAP_NS 10000000ull
STEP oncpu_u64 wakeup_bound_ns(oncpu_u64 now_ns, oncpu_s64 d, oncpu_u64 rq_clock)
{
	oncpu_u64 age = clock_age_ns(now_ns, d, rq_clock);

	return age < WAKEUP_CAP_NS ? age : WAKEUP_CAP_NS;
}

/* The number of the lowest bit of a word that is not 0. BPF has no instruction for it: a bit times
 * a de Bruijn sequence has a number of its own in its six highest bits. */
STEP oncpu_u32 lowest_bit(oncpu_u64 word)
{
	static const unsigned char number[64] = {
		0,  1,	48, 2,	57, 49, 28, 3,	61, 58, 50, 42, 38, 29, 17, 4,
		62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
		63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
		46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,	13, 8,	7,  6,
	};

	return number[((word & -word) * 0x03f79d71b4cb0a89ull) >> 58];
}

/*
 * Glob over a cgroup path: '?' is one byte, '*' any run of bytes, neither crosses '/'. The walk is
 * one step at a time with one point to go back to, so that the kernel side can bound it.
 */
struct glob_walk {
	oncpu_u32 p, s;		  /* where we stand in pattern and path */
	oncpu_u32 back_p, back_s; /* after the last '*', and how far it has eaten */
	oncpu_s32 result;	  /* −1 = not known yet */
};

STEP void glob_begin(struct glob_walk *w)
{
	w->p = w->s = w->back_p = w->back_s = 0;
	w->result = -1;
}

#define GLOB_MASK (ONCPU_PATTERN_LEN - 1u)
STEP void glob_step(struct glob_walk *w, const char *pattern, const char *path)
{
	char pc = pattern[w->p & GLOB_MASK];
	char sc = path[w->s & GLOB_MASK];

	if (pc == '*') {
		w->back_p = ++w->p;
		w->back_s = w->s;
	} else if (!pc && !sc) {
		w->result = 1;
	} else if (sc && (pc == sc || (pc == '?' && sc != '/'))) {
		w->p++;
		w->s++;
	} else {
		char eaten = path[w->back_s & GLOB_MASK];

		if (!w->back_p || !eaten || eaten == '/') {
			w->result = 0;
			return;
		}
		w->s = ++w->back_s;
		w->p = w->back_p;
	}
	if (w->s >= ONCPU_PATTERN_LEN || w->p >= ONCPU_PATTERN_LEN)
		w->result = 0;
}

#endif
