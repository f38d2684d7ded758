/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where an instance's wall time goes: the pure steps. No map, no helper, no kernel type, as in
 * accounting.h; tests/unit/test_where.c runs the same text.
 *
 * The states of all threads of an instance are counted in one word, and the word says in which of
 * six states the instance is. Each change of the word is one atomic addition, whose old value tells
 * whoever made it whether the instance's state changed by it. Only then is a time booked: added to
 * the integral of the state that ends, taken from that of the one that begins:
 *
 *	integral[old] += now, integral[new] −= now
 *
 * So an integral is the sum of its ends less the sum of its begins, whatever order they come in,
 * and up to an instant t of the current state's own the six of them add up to t less the birth,
 * always: no lock, no time of the last change, nothing that a race could lose. Two changes that
 * cross on two CPUs can book a state too long, or too short, by the time between their readings of
 * the clock, and never more.
 *
 * A reader that comes between the word and the booking sees a time that is off by the whole uptime,
 * and so outside the instance's life: it reads again.
 */
#ifndef ONCPU_BPF_INTEGRAL_H
#define ONCPU_BPF_INTEGRAL_H

#include "accounting.h"

/* What one thread does: oncpu_thread.doing. */
enum thread_doing {
	DOING_UNKNOWN = 0, /* just taken in */
	DOING_RUN,
	DOING_READY,
	DOING_BLOCKED,
	DOING_SLEEP,
	DOING_GONE, /* left: whoever still holds the entry keeps away from it */
};

#define WHERE_RUNNING 1ull
#define WHERE_READY (1ull << 16)
#define WHERE_BLOCKED (1ull << 38)
#define WHERE_RUNNING_MASK 0xffffull
#define WHERE_READY_MASK (0x3fffffull << 16)
#define WHERE_BLOCKED_MASK (0x3fffffull << 38)
#define WHERE_QUOTA (1ull << 60)  /* those who are ready sit out a quota */
#define WHERE_FROZEN (1ull << 61) /* the cgroup is frozen */

STEP oncpu_u64 where_weight(oncpu_u32 doing)
{
	return doing == DOING_RUN	? WHERE_RUNNING
	       : doing == DOING_READY	? WHERE_READY
	       : doing == DOING_BLOCKED ? WHERE_BLOCKED
					: 0;
}

STEP oncpu_u32 where_of(oncpu_u64 word)
{
	if (word & WHERE_RUNNING_MASK)
		return ONCPU_WHERE_RUNNING;
	if (word & WHERE_FROZEN)
		return ONCPU_WHERE_FROZEN;
	if (word & WHERE_READY_MASK)
		return word & WHERE_QUOTA ? ONCPU_WHERE_THROTTLED : ONCPU_WHERE_RUN_QUEUE;
	return word & WHERE_BLOCKED_MASK ? ONCPU_WHERE_BLOCKED_IO : ONCPU_WHERE_IDLE;
}

/* Nobody does anything yet, from the birth on. Before anybody else sees it. */
STEP void where_begin(struct oncpu_where *w, oncpu_u64 born_ns)
{
	w->word = 0;
	for (int i = 0; i < ONCPU_WHERE_COUNT; i++)
		w->integral[i] = 0;
	w->integral[ONCPU_WHERE_IDLE] = 0 - born_ns;
	w->born_ns = born_ns;
}

/* The index passed through the compiler unseen, or it would drop the test that the verifier asks
 * for. */
STEP void where_book(struct oncpu_where *w, oncpu_u32 which, oncpu_u64 amount)
{
	__asm__ volatile("" : "+r"(which));
	if (which < ONCPU_WHERE_COUNT)
		__sync_fetch_and_add(&w->integral[which], amount);
}

STEP void where_cross(struct oncpu_where *w, oncpu_u64 old, oncpu_u64 new, oncpu_u64 now_ns)
{
	oncpu_u32 from = where_of(old), to = where_of(new);

	if (from == to)
		return;
	where_book(w, from, now_ns);
	where_book(w, to, 0 - now_ns);
}

STEP void where_change(struct oncpu_where *w, oncpu_u64 delta, oncpu_u64 now_ns)
{
	oncpu_u64 old;

	if (!delta)
		return;
	old = __sync_fetch_and_add(&w->word, delta);
	where_cross(w, old, old + delta, now_ns);
}

STEP void where_set(struct oncpu_where *w, oncpu_u64 bit, int on, oncpu_u64 now_ns)
{
	oncpu_u64 old = READ_ONCE_OF(w->word);

	if (!(old & bit) == !on)
		return;
	if (on)
		old = __sync_fetch_and_or(&w->word, bit);
	else
		old = __sync_fetch_and_and(&w->word, ~bit);
	where_cross(w, old, on ? old | bit : old & ~bit, now_ns);
}

/*
 * Takes a thread from what it did to what it does; how the word has to change for that, in
 * *ret_delta. False if somebody else took it elsewhere meanwhile: the entry is left to him.
 */
STEP int where_move(oncpu_u32 *doing, oncpu_u32 to, oncpu_u64 *ret_delta)
{
	oncpu_u32 old = READ_ONCE_OF(*doing);

	if (old == to || old == DOING_GONE)
		return 0;
	if (__sync_val_compare_and_swap(doing, old, to) != old)
		return 0;
	*ret_delta += where_weight(to) - where_weight(old);
	return 1;
}

/*
 * A thread that ran for ran_ns up to now_ns without having been seen to come (a hidden switch) was
 * taken for one that waits: when its running is to begin. No earlier than the instance can have
 * waited in all, or a part would fall below zero.
 */
STEP oncpu_u64 where_unseen_since(const struct oncpu_where *w, oncpu_u64 now_ns, oncpu_u64 ran_ns)
{
	oncpu_u64 waited = READ_ONCE_OF(w->integral[ONCPU_WHERE_RUN_QUEUE]);

	if (where_of(READ_ONCE_OF(w->word)) != ONCPU_WHERE_RUN_QUEUE)
		return now_ns; /* others ran, or sat out a quota: no state changes */
	waited += now_ns;
	if ((oncpu_s64)waited <= 0)
		return now_ns;
	return now_ns - (ran_ns < waited ? ran_ns : waited);
}

/*
 * The six integrals up to `until_ns`, read now, which is a moment later; 0 if a change is in
 * progress. A state that began in that moment shows too little by it, and is signed.
 */
STEP int where_read(const struct oncpu_where *w, oncpu_u64 now_ns, oncpu_u64 until_ns,
		    oncpu_u64 ret[ONCPU_WHERE_COUNT])
{
	oncpu_u64 word = READ_ONCE_OF(w->word), life = now_ns - w->born_ns, sum = 0, part;
	oncpu_u32 current = where_of(word);
	int whole = 1;

	for (oncpu_u32 i = 0; i < ONCPU_WHERE_COUNT; i++) {
		part = READ_ONCE_OF(w->integral[i]) + (i == current ? now_ns : 0);
		if (part > life)
			whole = 0;
		sum += part;
		ret[i] = i == current ? part - (now_ns - until_ns) : part;
	}
	return whole && sum == life && READ_ONCE_OF(w->word) == word;
}

#endif
