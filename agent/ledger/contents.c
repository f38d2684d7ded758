// SPDX-License-Identifier: GPL-2.0
/*
 * What closed segments have in them, remembered: of each the functions, as hashes of their names,
 * and the minutes between which its invocations ended. Opening a segment takes longer than all that
 * a query needs of it, and a function is in few of them.
 *
 * A closed segment does not change; that it is the same file is seen by its inode, size and time.
 * The newest one is not closed and is never remembered. Two names with one hash cost an opening,
 * no more.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fnv.h"
#include "base/cleanup.h"
#include "ledger/internal.h"

#define HASHES_MAX (1u << 20) /* of all segments: 8 MiB */

struct content {
	struct segment_name name;
	struct content_identity identity;
	int64_t first_minute, last_minute; /* of no meaning where count is 0 */
	uint64_t *functions;		   /* hashes, sorted */
	size_t count;
	bool too_many; /* functions: which they are is not known */
};

struct ledger_contents {
	pthread_mutex_t lock;
	struct content *list; /* by name */
	size_t count, room, hashes;
};

int ledger_contents_new(struct ledger_contents **ret_contents)
{
	struct ledger_contents *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	*ret_contents = c;
	return 0;
}

void ledger_contents_free(struct ledger_contents **contents)
{
	struct ledger_contents *c = *contents;

	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		free(c->list[i].functions);
	free(c->list);
	pthread_mutex_destroy(&c->lock);
	free(c);
	*contents = NULL;
}

int content_identify(const char *path, struct content_identity *ret_identity)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*ret_identity = (struct content_identity){ .inode = st.st_ino,
						   .size = st.st_size,
						   .seconds = st.st_mtim.tv_sec,
						   .nanoseconds = st.st_mtim.tv_nsec };
	return 0;
}

static bool same_file(const struct content_identity *a, const struct content_identity *b)
{
	return a->inode == b->inode && a->size == b->size && a->seconds == b->seconds &&
	       a->nanoseconds == b->nanoseconds;
}

static uint64_t hash_of(const char *name)
{
	return fnv(FNV_BASIS, name, strlen(name));
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* ---- asking ---- */

/* Where it is, or would be. */
static bool find(const struct ledger_contents *c, const struct segment_name *name, size_t *ret_at)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = segment_compare(&c->list[middle].name, name);

		if (order == 0) {
			*ret_at = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return false;
}

static bool has_none(const struct content *content, const struct ledger_query *query)
{
	uint64_t hash;

	if (content->count == 0 && !content->too_many)
		return true;
	/* as narrow_keys() in read.c has it */
	if (query->since_realtime_ns &&
	    content->last_minute < query->since_realtime_ns / NS_PER_MINUTE - 1)
		return true;
	if (query->until_realtime_ns &&
	    content->first_minute > query->until_realtime_ns / NS_PER_MINUTE)
		return true;
	if (!query->function || content->too_many)
		return false;
	hash = hash_of(query->function);
	return !bsearch(&hash, content->functions, content->count, sizeof(hash), compare_hashes);
}

enum content_answer contents_ask(struct ledger_contents *c, const struct segment_name *name,
				 const struct content_identity *identity,
				 const struct ledger_query *query)
{
	enum content_answer answer = CONTENT_UNKNOWN;
	size_t at;

	pthread_mutex_lock(&c->lock);
	if (find(c, name, &at) && same_file(&c->list[at].identity, identity))
		answer = has_none(&c->list[at], query) ? CONTENT_NOTHING : CONTENT_SOME;
	pthread_mutex_unlock(&c->lock);
	return answer;
}

/* ---- learning ---- */

static int read_minutes(sqlite3 *db, struct content *content)
{
	sqlite3_stmt *st = NULL;
	int r = database_prepare(
		db, "SELECT (SELECT min(minute) FROM rollup),(SELECT max(minute) FROM rollup)",
		&st);

	if (r == 0 && sqlite3_step(st) != SQLITE_ROW)
		r = -EIO;
	if (r == 0) {
		content->first_minute = sqlite3_column_int64(st, 0);
		content->last_minute = sqlite3_column_int64(st, 1);
	}
	sqlite3_finalize(st);
	return r;
}

static int add_function(struct content *content, size_t *room, const char *name, size_t most)
{
	if (content->count == most)
		return -E2BIG;
	if (content->count == *room) {
		size_t more = *room ? 2 * *room : 64;
		void *grown = reallocarray(content->functions, more, sizeof(uint64_t));

		if (!grown)
			return -ENOMEM;
		content->functions = grown;
		*room = more;
	}
	content->functions[content->count++] = hash_of(name);
	return 0;
}

/* From one function to the next through the index: a step each, however many rows they have. */
static int read_functions(sqlite3 *db, struct content *content, size_t most)
{
	sqlite3_stmt *st = NULL;
	size_t room = 0;
	int rc = SQLITE_DONE;
	int r = database_prepare(
		db,
		"WITH RECURSIVE f(k) AS (SELECT min(function) FROM invocations UNION ALL "
		"SELECT (SELECT min(function) FROM invocations WHERE function>k) FROM f "
		"WHERE k IS NOT NULL) SELECT text FROM f CROSS JOIN texts ON text_key=k",
		&st);

	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);

		r = add_function(content, &room, name ? name : "", most);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = -EIO;
	sqlite3_finalize(st);
	if (r == 0 && content->count)
		qsort(content->functions, content->count, sizeof(uint64_t), compare_hashes);
	return r;
}

/* Takes over *content, or leaves it. Called with the lock. */
static void keep(struct ledger_contents *c, struct content *content)
{
	size_t at;

	if (find(c, &content->name, &at)) {
		c->hashes -= c->list[at].count;
		free(c->list[at].functions);
		c->list[at].functions = NULL;
		c->list[at].count = 0;
	} else {
		if (c->count == c->room) {
			size_t room = c->room ? 2 * c->room : 32;
			void *grown = reallocarray(c->list, room, sizeof(*c->list));

			if (!grown)
				return;
			c->list = grown;
			c->room = room;
		}
		memmove(c->list + at + 1, c->list + at, (c->count - at) * sizeof(*c->list));
		c->count++;
	}
	c->hashes += content->count;
	c->list[at] = *content;
	content->functions = NULL;
}

/* The functions too, if the budget has enough left for them. Of a segment that has more than all of
 * it that is remembered. */
static bool learn_functions(struct content *content, sqlite3 *db, unsigned *budget)
{
	int r = read_functions(db, content, *budget);

	if (r == -E2BIG && *budget == CONTENTS_BUDGET) {
		content->too_many = true;
		content->count = 0;
		free(content->functions);
		content->functions = NULL;
	}
	*budget = r < 0 ? 0 : *budget - (unsigned)content->count;
	return r == 0 || content->too_many;
}

void contents_learn(struct ledger_contents *c, const struct segment_name *name,
		    const struct content_identity *identity, sqlite3 *db, unsigned *budget)
{
	struct content content = { .name = *name, .identity = *identity };

	if (*budget > 0 && read_minutes(db, &content) == 0 &&
	    learn_functions(&content, db, budget)) {
		pthread_mutex_lock(&c->lock);
		if (c->hashes + content.count <= HASHES_MAX)
			keep(c, &content);
		pthread_mutex_unlock(&c->lock);
	}
	free(content.functions);
}

void contents_forget_before(struct ledger_contents *c, const struct segment_name *oldest)
{
	size_t gone = 0;

	pthread_mutex_lock(&c->lock);
	for (; gone < c->count && segment_compare(&c->list[gone].name, oldest) < 0; gone++) {
		c->hashes -= c->list[gone].count;
		free(c->list[gone].functions);
	}
	if (gone) {
		c->count -= gone;
		memmove(c->list, c->list + gone, c->count * sizeof(*c->list));
	}
	pthread_mutex_unlock(&c->lock);
}
