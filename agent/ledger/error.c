// SPDX-License-Identifier: GPL-2.0
/* The ledger's last error: SQLite's codes become errno, and one line that says cause and cure. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ledger/internal.h"

static _Thread_local char message[512] = "no error";

const char *ledger_error(void)
{
	return message;
}

int ledger_fail(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return error;
}

static int errno_of(int rc, int system_errno)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EUCLEAN;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
	case SQLITE_RANGE:
		return EINVAL;
	}
	if (system_errno == ENOSPC || system_errno == EDQUOT)
		return ENOSPC;
	/* growing the -shm file is the one write whose errno SQLite does not keep */
	if (rc == SQLITE_IOERR_SHMSIZE)
		return ENOSPC;
	if ((rc & 0xff) == SQLITE_CANTOPEN &&
	    (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS))
		return EACCES;
	return EIO;
}

static const char *cure_of(int error)
{
	switch (error) {
	case ENOSPC:
		return "; free space or lower the retention, it goes on where it stopped";
	case EBUSY:
		return "; another process holds the file";
	case EACCES:
		return "; give this user access to the ledger's directory and files";
	case EUCLEAN:
		return "; the file is damaged, sqlite3's .recover may read it";
	}
	return "";
}

int ledger_fail_db(sqlite3 *db, int rc, const char *what, const char *path)
{
	int system_errno = db ? sqlite3_system_errno(db) : 0;
	int extended = db && sqlite3_errcode(db) == rc ? sqlite3_extended_errcode(db) : rc;
	int error = errno_of(extended, system_errno);
	const char *detail = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

	return ledger_fail(-error, "ledger: %s %s: %s%s", what, path ? path : "", detail,
			   cure_of(error));
}

int ledger_edge(int r)
{
	return r == -EUCLEAN ? -EIO : r;
}
