/* SPDX-License-Identifier: GPL-2.0 */
/* Blocks that go round between the reader and the takers. See lines.h. */
#include "cli/lines.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS_A_TAKER 2 /* one being taken, one being read */

enum slot_state { SLOT_FREE, SLOT_FULL, SLOT_TAKEN };

struct slot {
	enum slot_state state;
	struct lines_block block;
	char *bytes; /* LINES_BLOCK_BYTES */
};

struct lines {
	lines_take_fn take;
	char *takers;
	size_t taker_size;
	unsigned taker_count;

	pthread_t threads[LINES_TAKERS_MAX];
	unsigned started;
	uint64_t blocks;

	pthread_mutex_t lock; /* of what follows; a slot's bytes are whose state says so */
	pthread_cond_t changed;
	struct slot slots[SLOTS_A_TAKER * LINES_TAKERS_MAX];
	unsigned slot_count, numbered; /* takers that have their number */
	bool over;
	int error;
};

unsigned lines_takers(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return count < 1 ? 1 : count > LINES_TAKERS_MAX ? LINES_TAKERS_MAX : (unsigned)count;
}

struct lines *lines_begin(lines_take_fn take, void *takers, size_t size, unsigned count)
{
	struct lines *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->take = take;
	l->takers = takers;
	l->taker_size = size;
	l->taker_count = count;
	l->slot_count = SLOTS_A_TAKER * count;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	return l;
}

/* ---- takers ---- */

static struct slot *find(struct lines *l, enum slot_state state)
{
	for (unsigned i = 0; i < l->slot_count; i++)
		if (l->slots[i].state == state)
			return &l->slots[i];
	return NULL;
}

static void *take_blocks(void *lines)
{
	struct lines *l = lines;
	struct slot *slot;
	void *taker;
	int err;

	pthread_mutex_lock(&l->lock);
	taker = l->takers + l->numbered++ * l->taker_size;
	for (;;) {
		while (!(slot = find(l, SLOT_FULL)) && !l->over)
			pthread_cond_wait(&l->changed, &l->lock);
		if (!slot)
			break;
		slot->state = SLOT_TAKEN;
		pthread_mutex_unlock(&l->lock);
		err = l->take(taker, &slot->block);
		pthread_mutex_lock(&l->lock);
		slot->state = SLOT_FREE;
		if (err && !l->error)
			l->error = err;
		pthread_cond_broadcast(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* With one thread alone it goes on as well. */
static int start_threads(struct lines *l)
{
	int err = 0;

	while (l->started < l->taker_count && !err) {
		err = -pthread_create(&l->threads[l->started], NULL, take_blocks, l);
		l->started += !err;
	}
	return l->started ? 0 : err;
}

/* ---- the reader ---- */

static struct slot *free_slot(struct lines *l)
{
	struct slot *slot;

	pthread_mutex_lock(&l->lock);
	while (!(slot = find(l, SLOT_FREE)))
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
	if (!slot->bytes)
		slot->bytes = malloc(LINES_BLOCK_BYTES);
	return slot->bytes ? slot : NULL;
}

/* `alone`: nothing comes after it. A thread would only cost then, as where there is one CPU. */
static int hand_over(struct lines *l, struct slot *slot, bool alone)
{
	int err = 0;

	if ((alone || l->taker_count == 1) && !l->started)
		return l->take(l->takers, &slot->block);
	if (!l->started)
		err = start_threads(l);
	if (err)
		return err;
	pthread_mutex_lock(&l->lock);
	slot->state = SLOT_FULL;
	err = l->error;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* Fills the slot from `used` on. *ret_used < LINES_BLOCK_BYTES: that is the file's end. */
static int fill(struct slot *slot, int fd, size_t used, size_t *ret_used)
{
	while (used < LINES_BLOCK_BYTES) {
		ssize_t n = read(fd, slot->bytes + used, LINES_BLOCK_BYTES - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	*ret_used = used;
	return 0;
}

static uint64_t count_newlines(const char *at, const char *end)
{
	uint64_t count = 0;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		count++;
	}
	return count;
}

/* What is beyond the last newline of a full slot belongs to the next. */
static size_t whole_lines(const struct slot *slot, size_t used)
{
	const char *last = memrchr(slot->bytes, '\n', used);

	return last ? (size_t)(last + 1 - slot->bytes) : 0;
}

/* Past the rest of a line that is too long; what is read behind it is moved to the front. */
static int skip_line(struct slot *slot, int fd, size_t *ret_used)
{
	for (;;) {
		const char *newline;
		int err = fill(slot, fd, 0, ret_used);

		if (err || *ret_used == 0)
			return err;
		newline = memchr(slot->bytes, '\n', *ret_used);
		if (newline) {
			*ret_used -= (size_t)(newline + 1 - slot->bytes);
			memmove(slot->bytes, newline + 1, *ret_used);
			return 0;
		}
	}
}

int lines_read(struct lines *l, const char *file, int fd)
{
	uint64_t line = 1;
	const char *rest = NULL; /* of the slot before: only the reader writes to slots */
	size_t used = 0;
	bool skipping = false;

	for (;;) {
		struct slot *slot = free_slot(l);
		size_t whole;
		int err = slot ? 0 : -ENOMEM;

		if (!err && skipping)
			err = skip_line(slot, fd, &used);
		else if (!err && used)
			memmove(slot->bytes, rest, used);
		if (!err)
			err = fill(slot, fd, used, &used);
		if (err || used == 0)
			return err;
		slot->block = (struct lines_block){ .number = ++l->blocks,
						    .file = file,
						    .first_line = line,
						    .text = slot->bytes,
						    .length = used };
		if (used < LINES_BLOCK_BYTES)
			return hand_over(l, slot, true);
		whole = whole_lines(slot, used);
		skipping = slot->block.too_long = whole == 0;
		if (whole)
			slot->block.length = whole;
		line += skipping ? 1 : count_newlines(slot->bytes, slot->bytes + whole);
		rest = slot->bytes + whole;
		used -= slot->block.length;
		err = hand_over(l, slot, false);
		if (err)
			return err;
	}
}

int lines_end(struct lines **lines)
{
	struct lines *l = *lines;
	int err;

	if (!l)
		return 0;
	pthread_mutex_lock(&l->lock);
	l->over = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->started; i++)
		pthread_join(l->threads[i], NULL);
	for (unsigned i = 0; i < l->slot_count; i++)
		free(l->slots[i].bytes);
	err = l->error;
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
	*lines = NULL;
	return err;
}
