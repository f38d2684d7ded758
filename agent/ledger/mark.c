// SPDX-License-Identifier: GPL-2.0
/*
 * What ledger.lock holds: enough to go on when the newest segment is lost, by damage or by hand.
 *One line of a fixed length, so that it is replaced by one write, in place, even on a full disk:
 *
 *	BOOT-ID SEQUENCE SEGMENT, spaces up to 126 bytes, a newline
 *
 * No record of that boot was given a sequence beyond SEQUENCE; the last commit was to SEGMENT.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ledger/internal.h"

#define LINE_BYTES 127
#define RESERVED_AHEAD (1u << 20) /* sequences: written once for so many records */

_Static_assert(RECORD_BOOT_LEN == 33 && sizeof(((struct ledger_mark *)0)->file) == 64,
	       "the widths in mark_read");

void mark_read(int fd, struct ledger_mark *ret_mark)
{
	struct ledger_mark mark = { 0 };
	char line[LINE_BYTES + 1] = "";
	unsigned long long sequence;

	/* a file of less is a new one: nothing was committed yet */
	if (pread(fd, line, LINE_BYTES, 0) != LINE_BYTES ||
	    sscanf(line, "%32s %llu %63s", mark.boot_id, &sequence, mark.file) != 3)
		return;
	mark.sequence = sequence;
	*ret_mark = mark;
}

int mark_write(const char *directory, int fd, const struct ledger_mark *mark)
{
	char line[LINE_BYTES + 1];

	snprintf(line, sizeof(line), "%s %llu %-63s", mark->boot_id,
		 (unsigned long long)mark->sequence, mark->file);
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "%*s\n",
		 (int)(LINE_BYTES - 1 - strlen(line)), "");
	errno = 0;
	if (pwrite(fd, line, LINE_BYTES, 0) == LINE_BYTES && fdatasync(fd) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == 0)
		return ledger_fail(-ENOSPC,
				   "ledger: cannot write %s/ledger.lock: no space; free "
				   "some, it goes on where it stopped",
				   directory);
	return ledger_fail(-errno, "ledger: cannot write %s/ledger.lock: %s", directory,
			   strerror(errno));
}

bool mark_covers(const struct ledger_mark *mark, const char *boot_id, uint64_t sequence,
		 const char *file)
{
	return sequence <= mark->sequence && strcmp(mark->boot_id, boot_id) == 0 &&
	       strcmp(mark->file, file) == 0;
}

struct ledger_mark mark_next(const char *boot_id, uint64_t sequence, const char *file)
{
	struct ledger_mark mark = { .sequence = sequence + RESERVED_AHEAD };

	snprintf(mark.boot_id, sizeof(mark.boot_id), "%s", boot_id);
	snprintf(mark.file, sizeof(mark.file), "%s", file);
	return mark;
}
