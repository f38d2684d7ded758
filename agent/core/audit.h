/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The second set of books: what our accounts of an instance say against the kernel's own total of
 * its cgroup. Pure: the readings come from outside.
 *
 * K is read before and after the kernel's total, so that the truth of that moment lies between the
 * two. The kernel's total counts whole microseconds, and is behind by up to a tick for each thread
 * that runs: an instance at rest is compared to the microsecond, a busy one within its ticks.
 *
 * Difference is K − kernel, less what it was at the base (0 from birth, where the cgroup was new).
 * A mismatch is a *change* of the difference: what was lost is told once, and what heals, too.
 */
#ifndef ONCPU_CORE_AUDIT_H
#define ONCPU_CORE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

struct audit_reading {
	int64_t before_ns, after_ns; /* K around it */
	int64_t kernel_ns;	     /* the cgroup's own total, in whole µs */
	int64_t bound_ns;	     /* of both K */
	uint32_t running;	     /* most threads seen on a CPU by either */
};

/* Kept with the instance, fixed width: it is stored as it stands. */
struct audit_book {
	int64_t base_ns;       /* K − kernel where the comparison begins */
	int64_t expected_ns;   /* the difference as last accepted */
	int64_t difference_ns; /* as last seen */
	int64_t worst_ns;      /* of all seen, the one farthest from 0 */
	int64_t count, mismatches;
	uint32_t has_base;
	uint32_t unsure; /* the last change came while threads ran: how large it is, is not known */
};

enum audit_verdict {
	AUDIT_BASE,    /* nothing to compare with yet */
	AUDIT_EQUAL,   /* the books agree */
	AUDIT_BUSY,    /* they agree within the ticks of the threads that run */
	AUDIT_MISMATCH /* they do not; *ret_change is by how much more than before */
};

#define AUDIT_SLACK_NS 5000    /* whole µs, and what the two clocks round off */
#define AUDIT_TICK_NS 10000000 /* the longest tick of a usual kernel */

/* Would audit_take find no mismatch? Without a base nothing can be wrong. */
bool audit_agrees(const struct audit_book *book, const struct audit_reading *reading);
enum audit_verdict audit_take(struct audit_book *book, const struct audit_reading *reading,
			      int64_t *ret_change);

#endif
