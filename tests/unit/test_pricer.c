// SPDX-License-Identifier: GPL-2.0
/* Lines through several threads: every one of them once, with its number, and the same sums as by
 * one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/lines.h"
#include "cli/pricer.h"
#include "core/record_json.h"

#define TAKERS 4
#define BLOCKS 64

static uint64_t seed = 4711;

static uint64_t chance(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed;
}

static int file_of(const char *text, size_t length)
{
	int fd = memfd_create("lines", MFD_CLOEXEC);

	assert_true(fd >= 0);
	while (length) {
		ssize_t n = write(fd, text, length);

		assert_true(n > 0);
		text += n;
		length -= (size_t)n;
	}
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* ---- lines ---- */

struct copy {
	struct lines_block blocks[BLOCKS];
	char *texts[BLOCKS];
	unsigned count;
	int refuses;
};

static int copy_block(void *taker, const struct lines_block *block)
{
	struct copy *copy = taker;

	if (copy->refuses)
		return copy->refuses;
	if (copy->count == BLOCKS)
		return -ENOSPC;
	copy->blocks[copy->count] = *block;
	copy->texts[copy->count] = memcpy(malloc(block->length), block->text, block->length);
	copy->count++;
	return 0;
}

static void free_copies(struct copy *copies)
{
	for (unsigned t = 0; t < TAKERS; t++)
		while (copies[t].count)
			free(copies[t].texts[--copies[t].count]);
}

/* The block of that number, of whichever taker. */
static bool find_block(const struct copy *copies, uint64_t number, struct lines_block *ret_block)
{
	for (unsigned t = 0; t < TAKERS; t++) {
		for (unsigned i = 0; i < copies[t].count; i++) {
			if (copies[t].blocks[i].number != number)
				continue;
			*ret_block = copies[t].blocks[i];
			ret_block->text = copies[t].texts[i];
			return true;
		}
	}
	return false;
}

/* Reads the text with so many takers; then every byte of it was taken, in blocks of whole lines
 * with their numbers. */
static void check_text(const char *text, size_t length, unsigned takers)
{
	static struct copy copies[TAKERS];
	struct lines *lines = lines_begin(copy_block, copies, sizeof(copies[0]), takers);
	_cleanup_fd_ int fd = file_of(text, length);
	struct lines_block block;
	const char *at = text, *end = text + length;
	uint64_t line = 1, number = 1;

	assert_non_null(lines);
	assert_int_equal(lines_read(lines, "a file", fd), 0);
	assert_int_equal(lines_end(&lines), 0);
	assert_null(lines);
	for (; find_block(copies, number, &block); number++) {
		assert_string_equal(block.file, "a file");
		assert_int_equal(block.first_line, line);
		assert_true(block.length > 0 && block.length <= (size_t)(end - at));
		assert_memory_equal(block.text, at, block.length);
		at += block.length;
		if (block.too_long) {
			assert_null(memchr(block.text, '\n', block.length));
			at = memchr(at, '\n', (size_t)(end - at));
			at = at ? at + 1 : end;
			line++;
			continue;
		}
		assert_true(at == end || at[-1] == '\n');
		for (size_t i = 0; i < block.length; i++)
			line += block.text[i] == '\n';
	}
	assert_ptr_equal(at, end);
	free_copies(copies);
}

static void test_lines_every_byte(void **state)
{
	size_t room = 6 * LINES_BLOCK_BYTES, n = 0;
	_cleanup_free_ char *text = malloc(room);

	(void)state;
	while (n < room) {
		size_t length = chance() % 16 ? chance() % 3000 : 0;

		for (; length && n < room - 1; length--)
			text[n++] = (char)('a' + length % 26);
		text[n++] = '\n';
	}
	check_text(text, n, TAKERS);
	check_text(text, n, 1);
	check_text(text, n - 1, TAKERS); /* the last line ends with the file */
	/* a line of two blocks and a half, in the middle, and at the end */
	memset(text + 1000000, 'x', 5 * LINES_BLOCK_BYTES / 2);
	check_text(text, n, TAKERS);
	check_text(text, 1000000 + 5 * LINES_BLOCK_BYTES / 2, TAKERS);
}

/* Just as long as a block, and around it. */
static void test_lines_at_a_blocks_end(void **state)
{
	size_t room = 2 * LINES_BLOCK_BYTES + 2;
	_cleanup_free_ char *text = malloc(room);

	(void)state;
	check_text("", 0, TAKERS);
	check_text("\n", 1, TAKERS);
	check_text("a", 1, TAKERS);
	for (size_t at = LINES_BLOCK_BYTES - 2; at <= LINES_BLOCK_BYTES + 1; at++) {
		memset(text, 'y', room);
		for (size_t length = LINES_BLOCK_BYTES - 1; length <= LINES_BLOCK_BYTES + 2;
		     length++)
			check_text(text, length, TAKERS);
		text[at] = '\n';
		for (size_t length = at + 1; length <= at + 4; length++)
			check_text(text, length, TAKERS);
		check_text(text, room, TAKERS);
		text[room - 1] = '\n';
		check_text(text, room, TAKERS);
	}
}

static void test_lines_errors(void **state)
{
	static struct copy copies[TAKERS];
	static char text[4 * LINES_BLOCK_BYTES];
	struct lines *lines;
	int fd, told;

	(void)state;
	memset(text, '\n', sizeof(text));
	for (unsigned t = 0; t < TAKERS; t++)
		copies[t].refuses = -EDOM;
	for (size_t length = 10; length <= sizeof(text); length *= 50) {
		fd = file_of(text, length);
		lines = lines_begin(copy_block, copies, sizeof(copies[0]), TAKERS);
		told = lines_read(lines, "x", fd);
		assert_true(told == 0 || told == -EDOM);
		assert_int_equal(told ? told : lines_end(&lines), -EDOM);
		lines_end(&lines);
		close(fd);
	}
	lines = lines_begin(copy_block, copies, sizeof(copies[0]), TAKERS);
	assert_int_equal(lines_read(lines, "x", -1), -EBADF);
	assert_int_equal(lines_end(&lines), 0);
	assert_int_equal(lines_end(&lines), 0);
	assert_true(lines_takers() >= 1 && lines_takers() <= LINES_TAKERS_MAX);
}

/* ---- what is priced ---- */

static size_t put_record(char *to, size_t size, unsigned n)
{
	struct invocation_record r = { .sequence = n, .host = "h", .boot_id = "0123456789" };
	int length;

	snprintf(r.function, sizeof(r.function), "function-%u", (unsigned)(chance() % 90));
	r.wall_ns = (int64_t)(chance() >> 24);
	r.cpu_ns = (int64_t)(chance() >> 30);
	r.init_wall_ns = r.init_cpu_ns = -1;
	r.cold_start = chance() % 8 == 0;
	if (r.cold_start)
		r.init_wall_ns = (int64_t)(chance() >> 30);
	r.memory_mb = 128 << chance() % 3;
	r.max_memory_bytes = (int64_t)(chance() % (90 << 20));
	r.quota_us = r.period_us = -1;
	r.start_realtime_ns = 1769860800000000000ll + (int64_t)(chance() >> 16);
	r.end_realtime_ns = r.start_realtime_ns + r.wall_ns;
	length = invocation_record_json(&r, to, size);
	assert_true(length > 0);
	return (size_t)length;
}

static size_t put_line(char *to, size_t size, unsigned n)
{
	if (n % 5 == 1)
		return (size_t)snprintf(
			to, size,
			"REPORT RequestId: %u\tDuration: %u.%02u ms\tBilled Duration: %u ms\t"
			"Memory Size: 128 MB\tMax Memory Used: %u MB\t",
			n, n % 999, n % 100, n % 999 + 1, n % 128);
	if (n % 500 == 3)
		return (size_t)snprintf(to, size, "neither: %u", n);
	return n % 501 == 7 ? 0 : put_record(to, size, n);
}

static void price_with(struct pricer *sum, int fd, unsigned takers)
{
	struct pricer parts[TAKERS];
	struct lines *lines = lines_begin(pricer_take, parts, sizeof(parts[0]), takers);

	for (unsigned i = 0; i < TAKERS; i++)
		pricer_begin(&parts[i], policies_embedded(), "(not told)");
	pricer_begin(sum, policies_embedded(), "(not told)");
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(lines_read(lines, "one", fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(lines_read(lines, "two", fd), 0);
	assert_int_equal(lines_end(&lines), 0);
	assert_int_equal(pricer_merge(sum, parts, TAKERS), 0);
	bill_table_sort(&sum->table);
	for (unsigned i = 0; i < TAKERS; i++)
		pricer_free(&parts[i]);
}

static void test_pricer_same_by_one_and_many(void **state)
{
	size_t room = 6 * LINES_BLOCK_BYTES, n = 0;
	_cleanup_free_ char *text = malloc(room);
	struct pricer one, many;
	unsigned lines = 0, told = 0;
	int fd;

	(void)state;
	for (; n + RECORD_JSON_MAX + 1 < room; lines++) {
		size_t length = put_line(text + n, RECORD_JSON_MAX, lines);

		told += length > 0;
		n += length;
		text[n++] = '\n';
	}
	fd = file_of(text, n);
	price_with(&one, fd, 1);
	price_with(&many, fd, TAKERS);
	close(fd);
	assert_true(one.records > 2000 && one.reports > 500 && one.neither > 10);
	assert_int_equal(one.lines, one.records + one.reports + one.neither);
	assert_int_equal(one.lines, 2 * told);
	assert_true(told < lines);
	assert_int_equal(one.without_cpu, one.reports);
	assert_memory_equal(&one.lines, &many.lines, 5 * sizeof(one.lines));
	assert_int_equal(one.count, 91);
	assert_int_equal(one.count, many.count);
	for (size_t i = 0; i < one.count; i++) {
		if (i)
			assert_true(strcmp(one.functions[i - 1].name, one.functions[i].name) < 0);
		assert_memory_equal(&one.functions[i], &many.functions[i],
				    offsetof(struct priced_function, first));
		assert_string_equal(one.functions[i].first, many.functions[i].first);
		assert_string_equal(one.functions[i].last, many.functions[i].last);
	}
	assert_int_equal(one.table.count, many.table.count);
	for (size_t i = 0; i < one.table.count; i++) {
		const struct bill_group *a = &one.table.groups[i], *b = &many.table.groups[i];

		assert_true(bill_key_equal(&a->key, &b->key));
		assert_int_equal(a->count, b->count);
		assert_memory_equal(a->times, b->times, sizeof(a->times));
		assert_memory_equal(a->billed, b->billed, sizeof(a->billed));
	}
	assert_int_equal(many.shown_count, PRICER_SHOWN);
	for (unsigned i = 0; i < PRICER_SHOWN; i++) {
		char neither[40];

		snprintf(neither, sizeof(neither), "neither: %u", 500 * i + 3);
		assert_string_equal(many.shown[i].file, "one");
		assert_int_equal(many.shown[i].line, 500 * i + 4);
		assert_string_equal(many.shown[i].text, neither);
	}
	pricer_free(&one);
	pricer_free(&many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_every_byte),
		cmocka_unit_test(test_lines_at_a_blocks_end),
		cmocka_unit_test(test_lines_errors),
		cmocka_unit_test(test_pricer_same_by_one_and_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
