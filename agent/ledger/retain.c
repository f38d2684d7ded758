// SPDX-License-Identifier: GPL-2.0
/*
 * Retention: whole segments go, oldest first, by unlink. The one being written stays, and so does
 * everything while that one has no complete transaction yet, for the newest complete one is needed.
 * Segments set aside count, too. Closed segments that a reader kept from being sealed are sealed
 * here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "ledger/internal.h"

static uint64_t file_bytes(const char *directory, const char *file)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	char path[PATH_MAX];
	uint64_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s%s", directory, file, endings[i]);

		if (n > 0 && (size_t)n < sizeof(path) && stat(path, &st) == 0)
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

static bool is_current(const struct ledger *l, const struct segment_file *file)
{
	return !file->corrupt && segment_compare(&file->name, &l->name) >= 0;
}

/* A segment's last record was committed before the end of its hour. */
static bool is_old(const struct ledger *l, const struct segment_file *file, int64_t now_ns)
{
	int64_t end_s = (file->name.hour + 1) * 3600, now_s = now_ns / 1000000000;

	return l->retain_seconds && now_s > end_s && (uint64_t)(now_s - end_s) >= l->retain_seconds;
}

static void seal(const struct ledger *l, const struct segment_file *file)
{
	char path[PATH_MAX];
	sqlite3 *db = NULL;

	if (file->corrupt || path_join(path, sizeof(path), l->directory, file->file) < 0 ||
	    !segment_has_wal(path))
		return;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
	    SQLITE_OK)
		database_seal(&db);
	else
		sqlite3_close(db);
}

int ledger_retain(struct ledger *l, int64_t now_realtime_ns)
{
	_cleanup_free_ struct segment_file *files = NULL;
	uint64_t total = 0;
	size_t count = 0;
	int removed = 0, r;

	if (!l->db || !l->complete)
		return 0;
	r = segment_list(l->directory, true, &files, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		total += file_bytes(l->directory, files[i].file);
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = file_bytes(l->directory, files[i].file);

		if (is_current(l, &files[i]))
			continue;
		if (!is_old(l, &files[i], now_realtime_ns) &&
		    !(l->retain_bytes && total > l->retain_bytes)) {
			seal(l, &files[i]);
			continue;
		}
		r = segment_unlink(l->directory, files[i].file);
		if (r < 0)
			return r;
		total -= bytes;
		removed++;
	}
	return removed;
}
