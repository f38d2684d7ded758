// SPDX-License-Identifier: GPL-2.0
/* What readers remember of closed segments: it spares openings, and changes no answer. */
#include <fcntl.h>

#include "ledger_fixture.h"

#define HOUR (3600 * SECOND)
#define SEGMENTS 6
#define EACH 90 /* records a segment */
#define MINUTE (60 * SECOND)

static const char *const functions[] = { "everywhere", "early", "late", "twice", "nobody" };
#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static uint64_t seed = 815;

static uint64_t chance(uint64_t below)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed % below;
}

static const char *function_of(int segment, uint64_t sequence)
{
	if (segment < 2 && sequence % 3 == 0)
		return "early";
	if (segment == SEGMENTS - 1 && sequence % 3 == 0)
		return "late";
	return (segment == 1 || segment == 4) && sequence % 5 == 0 ? "twice" : "everywhere";
}

static void commit(struct ledger *l, int segment, uint64_t first, uint64_t last)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = last };
	bool snapshot;

	assert_int_equal(ledger_begin(l, T0 + segment * HOUR, &snapshot), 0);
	for (uint64_t s = first; s <= last; s++) {
		struct invocation_record r = make_record(s, function_of(segment, s));

		/* some end in the same instant, some in the hour before their segment's */
		r.end_realtime_ns =
			T0 + segment * HOUR + (int64_t)(s % EACH / 2) * MINUTE - 10 * MINUTE;
		assert_int_equal(ledger_put_invocation(l, &r), 0);
	}
	assert_int_equal(ledger_commit(l, &meta), 0);
}

static struct ledger *fill(const char *directory)
{
	struct ledger *l = open_ledger(directory, NULL);

	for (int i = 0; i < SEGMENTS; i++)
		commit(l, i, (uint64_t)(i * EACH) + 1, (uint64_t)(i + 1) * EACH);
	return l;
}

static void path_of(const char *directory, int segment, char *path, size_t size)
{
	struct segment_name name = { .hour = T0 / HOUR + segment };
	char file[64];

	segment_format(&name, file, sizeof(file));
	snprintf(path, size, "%s/%s", directory, file);
}

static struct collected read_with(const char *directory, const struct ledger_query *query,
				  struct ledger_contents *contents, bool *ret_damage)
{
	struct ledger_reader *reader = NULL;
	struct collected c = { 0 };

	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	ledger_reader_share(reader, contents);
	assert_int_equal(ledger_read_invocations(reader, query, collect, &c), 0);
	*ret_damage = ledger_reader_damage(reader) != NULL;
	ledger_reader_close(&reader);
	return c;
}

static void page_with(const char *directory, const struct ledger_query *query,
		      struct ledger_contents *contents, struct collected *c)
{
	struct ledger_place place = { .hour = INT64_MAX };
	struct ledger_reader *reader = NULL;
	bool more = true;

	assert_int_equal(ledger_reader_open(directory, &reader), 0);
	ledger_reader_share(reader, contents);
	while (more)
		assert_int_equal(ledger_read_page(reader, query, 37, &place, &more, collect, c), 0);
	ledger_reader_close(&reader);
}

/* Cold, warm, page by page: the same as by a reader that remembers nothing. */
static void expect_same(const char *directory, const struct ledger_query *query,
			struct ledger_contents *contents)
{
	bool damage;
	struct collected plain = read_with(directory, query, NULL, &damage);

	for (int i = 0; i < 2; i++) {
		struct collected c = read_with(directory, query, contents, &damage);

		assert_int_equal(c.count, plain.count);
		for (size_t k = 0; k < c.count; k++)
			assert_memory_equal(&c.records[k], &plain.records[k], sizeof(c.records[k]));
		free(c.records);
	}
	if (!query->last) {
		struct collected pages = { 0 };

		page_with(directory, query, contents, &pages);
		assert_int_equal(pages.count, plain.count);
		for (size_t k = 0; k < pages.count; k++)
			assert_int_equal(pages.records[k].sequence,
					 plain.records[plain.count - 1 - k].sequence);
		free(pages.records);
	}
	free(plain.records);
}

static void test_contents_change_no_answer(void **state)
{
	static const uint64_t lasts[] = { 0, 1, 7, 60, 256, 257, 400, 5000 };
	struct ledger *l = fill(*state);

	for (int round = 0; round < 2; round++) {
		struct ledger_contents *contents = NULL;

		assert_int_equal(ledger_contents_new(&contents), 0);
		for (int i = 0; i < 50; i++) {
			struct ledger_query q = { .last = lasts[chance(8)] };

			if (chance(4))
				q.function = functions[chance(FUNCTIONS)];
			if (chance(2))
				q.since_realtime_ns = T0 + (int64_t)chance(400) * MINUTE;
			if (chance(2))
				q.until_realtime_ns = T0 + (int64_t)chance(400) * MINUTE;
			if (chance(4) == 0)
				q.statuses = 1u << ONCPU_STATUS_ERROR;
			expect_same(*state, &q, contents);
		}
		ledger_contents_free(&contents);
		assert_null(contents);
	}
	ledger_contents_free(&(struct ledger_contents *){ NULL });
	ledger_close(&l);
}

/* The newest records of few and of many are the end of all of them. */
static void test_last_is_the_end_of_all(void **state)
{
	struct ledger *l = fill(*state);

	for (size_t f = 0; f <= FUNCTIONS; f++) {
		struct ledger_query q = { .function = f < FUNCTIONS ? functions[f] : NULL };
		struct collected all = read_all(*state, &q);

		for (q.last = 1; q.last <= 600; q.last += 1 + chance(60)) {
			struct collected c = read_all(*state, &q);
			size_t least = all.count < q.last ? all.count : q.last;

			assert_int_equal(c.count, least);
			for (size_t i = 0; i < c.count; i++)
				assert_memory_equal(&c.records[i],
						    &all.records[all.count - c.count + i],
						    sizeof(c.records[i]));
			free(c.records);
		}
		free(all.records);
	}
	ledger_close(&l);
}

/* Other bytes in the same file, as far as its size and time tell. */
static void spoil(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct timespec times[2];
	struct stat st;
	char junk[4096];

	memset(junk, 'x', sizeof(junk));
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(junk))
		assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void test_contents_spare_openings(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_query early = { .function = "early", .last = 10 };
	struct ledger_query twice = { .function = "twice" }, nobody = { .function = "nobody" };
	struct ledger_query recent = { .since_realtime_ns = T0 + 4 * HOUR + 30 * MINUTE };
	struct ledger_contents *contents = NULL;
	char path[PATH_MAX];
	struct collected c;
	bool damage;

	assert_int_equal(ledger_contents_new(&contents), 0);
	c = read_with(*state, &nobody, contents, &damage); /* it has been in all of them */
	assert_true(c.count == 0 && !damage);
	path_of(*state, 3, path, sizeof(path));
	spoil(path);
	c = read_with(*state, &nobody, contents, &damage);
	assert_true(c.count == 0 && !damage);
	c = read_with(*state, &early, contents, &damage);
	assert_true(c.count == 10 && !damage);
	free(c.records);
	c = read_with(*state, &twice, contents, &damage);
	assert_true(c.count == 2 * EACH / 5 - EACH / 15 && !damage);
	free(c.records);
	c = read_with(*state, &recent, contents, &damage);
	assert_true(c.count > EACH && !damage);
	free(c.records);
	/* who must open it says so */
	c = read_with(*state, &nobody, NULL, &damage);
	assert_true(c.count == 0 && damage);
	c = read_with(*state, &(struct ledger_query){ .function = "everywhere" }, contents,
		      &damage);
	assert_true(c.count > 0 && damage);
	free(c.records);
	ledger_contents_free(&contents);
	ledger_close(&l);
}

/* A file that is another one, a segment that is gone, and the one that is being written. */
static void test_contents_of_what_changes(void **state)
{
	struct ledger *l = fill(*state);
	struct ledger_query fresh = { .function = "fresh" }, early = { .function = "early" };
	struct ledger_contents *contents = NULL;
	char path[PATH_MAX], other[PATH_MAX];
	struct collected c;
	bool damage;

	assert_int_equal(ledger_contents_new(&contents), 0);
	c = read_with(*state, &fresh, contents, &damage);
	assert_int_equal(c.count, 0);
	assert_int_equal(commit_records(l, T0 + (SEGMENTS - 1) * HOUR, SEGMENTS * EACH + 1,
					SEGMENTS * EACH + 10, "fresh"),
			 0);
	c = read_with(*state, &fresh, contents, &damage);
	assert_int_equal(c.count, 10);
	free(c.records);

	c = read_with(*state, &early, contents, &damage);
	assert_int_equal(c.count, 2 * EACH / 3);
	free(c.records);
	path_of(*state, 0, path, sizeof(path));
	path_of(*state, 3, other, sizeof(other));
	assert_int_equal(rename(path, other), 0);
	c = read_with(*state, &early, contents, &damage);
	assert_int_equal(c.count, 2 * EACH / 3);
	free(c.records);
	assert_int_equal(unlink(other), 0);
	c = read_with(*state, &early, contents, &damage);
	assert_int_equal(c.count, EACH / 3);
	free(c.records);
	ledger_contents_free(&contents);
	ledger_close(&l);
}

static void put_functions(struct ledger *l, int segment, uint64_t first, uint64_t count)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = first + count };
	bool snapshot;

	assert_int_equal(ledger_begin(l, T0 + segment * HOUR, &snapshot), 0);
	for (uint64_t s = first; s < first + count; s++) {
		char function[32];

		snprintf(function, sizeof(function), "%d-%llu", segment, (unsigned long long)s);
		assert_int_equal(ledger_put_invocation(l, (struct invocation_record[]){ make_record(
								  s, function) }),
				 0);
	}
	assert_int_equal(ledger_commit(l, &meta), 0);
}

static bool damage_met(const char *directory, const char *function,
		       struct ledger_contents *contents, size_t expected)
{
	struct ledger_query q = { .function = function };
	bool damage;
	struct collected c = read_with(directory, &q, contents, &damage);

	assert_int_equal(c.count, expected);
	free(c.records);
	return damage;
}

/* An answer learns of so many functions; of a segment with more, only when it is from. */
static void test_contents_learn_a_bit_at_a_time(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_contents *contents = NULL;
	char path[PATH_MAX];

	assert_int_equal(ledger_contents_new(&contents), 0);
	put_functions(l, 0, 1, CONTENTS_BUDGET + 1);
	put_functions(l, 1, 2001, 600);
	put_functions(l, 2, 3001, 600);
	put_functions(l, 3, 4001, 1);
	assert_false(damage_met(*state, "2-3001", contents, 1)); /* learns 0, which is too many */
	assert_false(
		damage_met(*state, "0-1", contents, 1)); /* learns 1, and has not enough for 2 */
	path_of(*state, 1, path, sizeof(path));
	spoil(path);
	assert_false(damage_met(*state, "nobody", contents, 0)); /* learns 2 */
	path_of(*state, 2, path, sizeof(path));
	spoil(path);
	assert_false(damage_met(*state, "nobody", contents, 0));
	assert_true(damage_met(*state, "2-3001", contents, 0));
	path_of(*state, 0, path, sizeof(path));
	spoil(path);
	assert_true(damage_met(*state, "nobody", contents, 0)); /* nobody knows */
	ledger_contents_free(&contents);
	ledger_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_contents_change_no_answer, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(test_last_is_the_end_of_all, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(test_contents_spare_openings, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(test_contents_of_what_changes, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(test_contents_learn_a_bit_at_a_time, make_directory,
						remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
