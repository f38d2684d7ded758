// SPDX-License-Identifier: GPL-2.0
/* See audit.h. */
#include "core/audit.h"

static int64_t size_of(int64_t ns)
{
	return ns < 0 ? -ns : ns;
}

/* What in low … high is nearest to `wanted`. */
static int64_t nearest(int64_t wanted, int64_t low, int64_t high)
{
	return wanted < low ? low : wanted > high ? high : wanted;
}

static enum audit_verdict begin(struct audit_book *book, const struct audit_reading *r)
{
	if (r->running)
		return AUDIT_BASE; /* it would be off by ticks from here on */
	book->base_ns = r->before_ns + (r->after_ns - r->before_ns) / 2 - r->kernel_ns;
	book->has_base = 1;
	book->count++;
	return AUDIT_BASE;
}

static void note(struct audit_book *book, int64_t difference)
{
	book->difference_ns = difference;
	if (size_of(difference) > size_of(book->worst_ns))
		book->worst_ns = difference;
}

static int64_t allowed(const struct audit_reading *r)
{
	return AUDIT_SLACK_NS + (r->bound_ns > 0 ? r->bound_ns : 0);
}

/* The difference that this reading allows and that is nearest to the one expected. The kernel's
 * total is behind where threads run: K − kernel is larger than the truth by up to that. */
static int64_t difference_of(const struct audit_book *book, const struct audit_reading *r)
{
	int64_t low = r->before_ns - r->kernel_ns - book->base_ns;
	int64_t high = r->after_ns - r->kernel_ns - book->base_ns;

	return nearest(book->expected_ns, low - (int64_t)r->running * AUDIT_TICK_NS, high);
}

bool audit_agrees(const struct audit_book *book, const struct audit_reading *r)
{
	return !book->has_base || size_of(difference_of(book, r) - book->expected_ns) <= allowed(r);
}

enum audit_verdict audit_take(struct audit_book *book, const struct audit_reading *r,
			      int64_t *ret_change)
{
	int64_t difference;
	bool known;

	if (!book->has_base)
		return begin(book, r);
	book->count++;
	difference = difference_of(book, r);
	if (size_of(difference - book->expected_ns) <= allowed(r)) {
		if (r->running)
			return AUDIT_BUSY;
		book->unsure = 0;
		note(book, difference);
		return AUDIT_EQUAL;
	}
	*ret_change = difference - book->expected_ns;
	note(book, difference);
	book->expected_ns = difference;
	known = book->unsure && !r->running; /* how large the last one was: it is no second one */
	book->unsure = r->running > 0;
	if (known)
		return AUDIT_EQUAL;
	book->mismatches++;
	return AUDIT_MISMATCH;
}
