// SPDX-License-Identifier: GPL-2.0
/* Pages, newest first: a place is the end and key of the record before, in its segment. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "ledger/internal.h"
#include "ledger/scan.h"

#define PAGE_FULL 1 /* from a visitor: no error, enough */

struct page {
	struct scan scan;
	struct ledger_place *place;
	struct segment_name segment; /* being read */
	uint64_t left;
	bool more;
};

static int visit_of_page(struct scan *scan, sqlite3_stmt *st)
{
	struct page *page = (struct page *)scan; /* its first member */
	struct invocation_record record;
	int r;

	if (page->left == 0) {
		page->more = true;
		return PAGE_FULL;
	}
	scan_read_invocation(scan, st, &record);
	r = scan->visit_invocation(scan->user, &record);
	if (r)
		return r;
	*page->place = (struct ledger_place){ .hour = page->segment.hour,
					      .suffix = page->segment.suffix,
					      .end_realtime_ns = record.end_realtime_ns,
					      .key = sqlite3_column_int64(st, 0) };
	page->left--;
	return 0;
}

static int read_segment(struct ledger_reader *reader, const struct segment_file *file,
			struct page *page, const struct ledger_place *from)
{
	struct segment_name at = { .hour = from->hour, .suffix = from->suffix };
	int order = segment_compare(&file->name, &at), r;
	struct part part;

	if (order > 0)
		return 0;
	page->segment = file->name;
	r = part_open_known(reader, file, &page->scan, &part);
	if (r < 0 || !part.db)
		return reader_pass_over(reader, file->file, r);
	if (order == 0) {
		part.top_end = scan_is_by_end(&page->scan) ? from->end_realtime_ns : INT64_MAX;
		part.top_key = from->key;
	}
	page->scan.refused = false;
	r = part_stream(&page->scan, &part, true);
	sqlite3_close(part.db);
	return page->scan.refused ? r : reader_pass_over(reader, file->file, r);
}

int ledger_read_page(struct ledger_reader *reader, const struct ledger_query *query, uint64_t limit,
		     struct ledger_place *place, bool *ret_more, ledger_invocation_fn visit,
		     void *user)
{
	_cleanup_free_ struct segment_file *files = NULL;
	struct page page = { .scan = { .kind = KIND_INVOCATION,
				       .reader = reader,
				       .query = query,
				       .visit = visit_of_page,
				       .visit_invocation = visit,
				       .user = user },
			     .place = place,
			     .left = limit };
	const struct ledger_place from = *place;
	size_t count = 0;
	int r = segment_list(reader->directory, false, &files, &count);

	while (r == 0 && count-- > 0)
		r = read_segment(reader, &files[count], &page, &from);
	doubts_close(&page.scan.doubts);
	if (r != 0 && r != PAGE_FULL)
		return ledger_edge(r);
	*ret_more = page.more;
	return 0;
}
