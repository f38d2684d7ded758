// SPDX-License-Identifier: GPL-2.0
/*
 * SQLite connections, one a segment.
 *
 * The writer's is WAL with synchronous=FULL: a commit that was acknowledged survives a power cut. A
 * reader needs no right to write: while the writer runs, -wal and -shm exist and SQLite reads them;
 * of a segment that nobody writes and that has no -wal, the file alone is the whole truth, and it
 * may be read as immutable. A -wal without a -shm that we may make is the one case that cannot be
 * read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ledger/internal.h"

#define WRITER_WAIT_MS 5000 /* a reader may hold a lock while it recovers the WAL */
#define READER_WAIT_MS 5000
#define QUICK_CHECK_MAX_BYTES (8 << 20)

int database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement)
{
	int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);

	return rc ? ledger_fail_db(db, rc, "cannot prepare a statement in",
				   sqlite3_db_filename(db, NULL))
		  : 0;
}

int database_exec(sqlite3 *db, const char *sql)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc ? ledger_fail_db(db, rc, "cannot use", sqlite3_db_filename(db, NULL)) : 0;
}

/* SQLite would make it 0644; -wal and -shm take over the mode found. */
static int create_file(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0 || fchmod(fd, 0640) < 0)
		return ledger_fail(errno == EDQUOT ? -ENOSPC : -errno,
				   "ledger: cannot create %s: %s", path, strerror(errno));
	return 0;
}

/* SQLite sees a bad header or length by itself; a full check of a large segment takes seconds. */
static int check_small(sqlite3 *db, const char *path)
{
	sqlite3_stmt *st = NULL;
	struct stat info;
	int r, rc;

	if (stat(path, &info) < 0 || info.st_size > QUICK_CHECK_MAX_BYTES)
		return 0;
	r = database_prepare(db, "PRAGMA quick_check(1)", &st);
	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		r = ledger_fail_db(db, rc, "cannot check", path);
	else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
		r = ledger_fail(-EUCLEAN, "ledger: %s: %s", path, sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	return r;
}

static int prepare_for_writing(sqlite3 *db, const char *path)
{
	int r;

	sqlite3_busy_timeout(db, WRITER_WAIT_MS);
	/* The roll-up touches few pages and the index many: keep 16 MiB of them. */
	r = database_exec(db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
			      "PRAGMA wal_autocheckpoint=4000;PRAGMA journal_size_limit=67108864;"
			      "PRAGMA cache_size=-16384;PRAGMA temp_store=MEMORY;"
			      "PRAGMA foreign_keys=OFF");
	if (r < 0)
		return r;
	r = check_small(db, path);
	return r < 0 ? r : schema_migrate(db, ledger_schema, LEDGER_SCHEMA_VERSION);
}

int database_open_write(const char *path, bool create, sqlite3 **ret_db)
{
	sqlite3 *db = NULL;
	int r = create ? create_file(path) : 0, rc;

	if (r < 0)
		return r;
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	r = rc ? ledger_fail_db(db, rc, "cannot open", path) : prepare_for_writing(db, path);
	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	*ret_db = db;
	return 0;
}

void database_seal(sqlite3 **db)
{
	if (!*db)
		return;
	sqlite3_busy_timeout(*db, 0);
	sqlite3_exec(*db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	sqlite3_close(*db);
	*db = NULL;
}

/* "file:PATH?immutable=1" with everything odd in PATH percent-encoded. */
static int immutable_uri(const char *path, char *buffer, size_t size)
{
	size_t used = (size_t)snprintf(buffer, size, "file:");

	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("/._-", c);

		if (used + 20 > size)
			return -ENAMETOOLONG;
		used += (size_t)sprintf(buffer + used, plain ? "%c" : "%%%02X", c);
	}
	snprintf(buffer + used, size - used, "?immutable=1");
	return 0;
}

/* Opens and touches the file, for SQLite puts off all errors until then. An SQLite code. */
static int open_and_touch(const char *name, int flags, sqlite3 **ret_db)
{
	int rc = sqlite3_open_v2(name, ret_db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags,
				 NULL);

	if (rc)
		return rc;
	sqlite3_busy_timeout(*ret_db, READER_WAIT_MS);
	return sqlite3_exec(*ret_db, "PRAGMA query_only=1;SELECT count(*) FROM sqlite_master", NULL,
			    NULL, NULL);
}

static int open_for_reading(const char *path, sqlite3 **ret_db)
{
	char uri[3 * PATH_MAX];
	int rc = open_and_touch(path, 0, ret_db), r;

	if (rc == SQLITE_OK)
		return 0;
	if ((rc & 0xff) != SQLITE_CANTOPEN && (rc & 0xff) != SQLITE_READONLY)
		return ledger_fail_db(*ret_db, rc, "cannot read", path);
	if (access(path, R_OK) < 0)
		return ledger_fail(-errno, "ledger: cannot read %s: %s", path, strerror(errno));
	if (segment_has_wal(path))
		return ledger_fail(-EACCES,
				   "ledger: cannot read %s: its -wal needs a -shm that this user "
				   "cannot use; read it as the agent's user, or start the agent",
				   path);
	sqlite3_close(*ret_db);
	*ret_db = NULL;
	r = immutable_uri(path, uri, sizeof(uri));
	if (r < 0)
		return ledger_fail(r, "ledger: the path of %s is too long", path);
	rc = open_and_touch(uri, SQLITE_OPEN_URI, ret_db);
	return rc ? ledger_fail_db(*ret_db, rc, "cannot read", path) : 0;
}

int database_open_read(const char *path, sqlite3 **ret_db)
{
	sqlite3 *db = NULL;
	int version = 0, r = open_for_reading(path, &db);

	if (r == 0)
		r = schema_version(db, &version);
	if (r == 0 && version > LEDGER_SCHEMA_VERSION)
		r = ledger_fail(-EPROTO,
				"ledger: %s has schema %d, newer than this program's %d; use the "
				"program that wrote it, or a newer one",
				path, version, LEDGER_SCHEMA_VERSION);
	if (r < 0 || version == 0) {
		sqlite3_close(db);
		db = NULL;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_db = db;
	return 0;
}
