/* SPDX-License-Identifier: GPL-2.0 */
/* Events as the kernel side leaves them in the ring, and as the agent reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kern/kern_internal.h"

/* A record of the ring whose memory held something else before. */
static struct oncpu_event dirty(void)
{
	struct oncpu_event e;

	memset(&e, 0xa5, sizeof(e));
	e.kind = ONCPU_EV_END;
	e.flags = ONCPU_EVF_STEAL;
	e.id_len = 0;
	e.function[0] = 0;
	return e;
}

static void test_a_brief_event_says_nothing_of_the_rest(void **state)
{
	struct oncpu_event from = dirty(), e, rest = { 0 };

	(void)state;
	memset(&e, 0x5a, sizeof(e));
	assert_true(kern_event_unpack(&from, ONCPU_EVENT_BRIEF, &e));
	assert_memory_equal(&e, &from, ONCPU_EVENT_BRIEF);
	assert_memory_equal((char *)&e + ONCPU_EVENT_BRIEF, (char *)&rest + ONCPU_EVENT_BRIEF,
			    sizeof(e) - ONCPU_EVENT_BRIEF);
}

static void test_what_is_not_said_is_zero(void **state)
{
	struct oncpu_event from = dirty(), e, rest = { 0 };

	(void)state;
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_memory_equal((char *)&e + ONCPU_EVENT_BRIEF, (char *)&rest + ONCPU_EVENT_BRIEF,
			    sizeof(e) - ONCPU_EVENT_BRIEF);
	from.flags = ONCPU_EVF_WHERE;
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_memory_equal(e.where_ns, from.where_ns, sizeof(e.where_ns));
	assert_int_equal(e.irq_ns, 0);
	from.flags = ONCPU_EVF_IRQ;
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_int_equal(e.irq_ns, from.irq_ns);
	assert_int_equal(e.where_ns[0], 0);
}

static void test_other_lengths_are_refused(void **state)
{
	struct oncpu_event from = dirty(), e;

	(void)state;
	for (uint32_t length = 0; length < 2 * sizeof(from); length++)
		assert_int_equal(length == ONCPU_EVENT_BRIEF || length == sizeof(from),
				 length <= sizeof(from) && kern_event_unpack(&from, length, &e));
}

static void test_an_id_is_cut_at_its_first_nul(void **state)
{
	struct oncpu_event from, e;
	char want[ONCPU_ID_LEN];

	(void)state;
	for (size_t length = 0; length <= ONCPU_ID_LEN; length++) {
		from = dirty();
		from.id_len = ONCPU_ID_UNCUT;
		memset(want, 0, sizeof(want));
		for (size_t i = 0; i < length; i++)
			from.id[i] = want[i] = (char)(i * 37 % 255 + 1);
		if (length < ONCPU_ID_LEN)
			from.id[length] = 0;
		else
			from.id_end[0] = 0;
		assert_true(kern_event_unpack(&from, sizeof(from), &e));
		assert_int_equal(e.id_len, length);
		assert_memory_equal(e.id, want, sizeof(want));
		assert_false(e.flags & ONCPU_EVF_ID_TRUNCATED);
	}
	from.id_end[0] = 1;
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_int_equal(e.id_len, ONCPU_ID_LEN);
	assert_true(e.flags & ONCPU_EVF_ID_TRUNCATED);
	from.id_len = ONCPU_ID_UNCUT + 1; /* not ours: for the correlator to refuse */
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_int_equal(e.id_len, ONCPU_ID_UNCUT + 1);
}

static void test_an_id_of_ours_has_its_length(void **state)
{
	struct oncpu_event from = dirty(), e;

	(void)state;
	memcpy(from.id, "a\0b", 3);
	from.id_len = 3;
	memcpy(from.function, "resize", 7);
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_int_equal(e.id_len, 3);
	assert_memory_equal(e.id, "a\0b\0", 5);
	assert_string_equal(e.function, "resize");
	for (size_t i = 7; i < sizeof(e.function); i++)
		assert_int_equal(e.function[i], 0);
	memset(from.function, 'f', sizeof(from.function));
	assert_true(kern_event_unpack(&from, sizeof(from), &e));
	assert_int_equal(strlen(e.function), ONCPU_NAME_LEN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_brief_event_says_nothing_of_the_rest),
		cmocka_unit_test(test_what_is_not_said_is_zero),
		cmocka_unit_test(test_other_lengths_are_refused),
		cmocka_unit_test(test_an_id_is_cut_at_its_first_nul),
		cmocka_unit_test(test_an_id_of_ours_has_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
