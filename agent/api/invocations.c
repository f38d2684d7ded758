// SPDX-License-Identifier: GPL-2.0
/* /v1/invocations: all of them as a stream, a page of them, one of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/json_writer.h"
#include "core/compare.h"

static int write_line(struct answer *answer, const struct invocation_record *record, char *line)
{
	int n = invocation_record_json(record, line, RECORD_JSON_MAX);

	if (n > 0 && answer->query.fields[0])
		n = (int)fields_pick(line, (size_t)n, answer->query.fields);
	return n;
}

static int on_invocation(void *user, const struct invocation_record *record)
{
	char *line = answer_line_begin(user);

	return line ? answer_line_end(user, write_line(user, record, line)) : -EPIPE;
}

/* A page is held until it is whole: where the next one begins goes before it. */
struct page {
	struct answer *answer;
	char *text;
	size_t used, room;
};

static int on_page_line(void *user, const struct invocation_record *record)
{
	struct page *page = user;
	int n;

	if (page->room - page->used < RECORD_JSON_MAX + 1) {
		size_t room = 2 * page->room + RECORD_JSON_MAX + 1;
		char *grown = realloc(page->text, room);

		if (!grown)
			return -ENOMEM;
		page->text = grown;
		page->room = room;
	}
	n = write_line(page->answer, record, page->text + page->used);
	if (n < 0)
		return n;
	page->used += (size_t)n;
	page->text[page->used++] = '\n';
	return 0;
}

static int read_page(struct answer *answer, const struct ledger_query *query)
{
	struct ledger_place place = answer->query.cursor;
	struct page page = { .answer = answer };
	char cursor[QUERY_CURSOR_LEN];
	bool more = false;
	int err;

	err = ledger_read_page(answer->reader, query, answer->query.limit, &place, &more,
			       on_page_line, &page);
	if (!err && more && api_cursor_format(&place, cursor) == 0)
		http_stream_header(answer->stream, "Oncpu-Next-Cursor", cursor);
	if (!err)
		err = http_stream_write(answer->stream, page.text, page.used);
	free(page.text);
	return err;
}

static int read_invocations(struct answer *answer, const struct ledger_query *query)
{
	if (answer->query.limit)
		return read_page(answer, query);
	return ledger_read_invocations(answer->reader, query, on_invocation, answer);
}

int on_get_invocations(void *user, struct http_request *request)
{
	return answer_from_ledger(user, request,
				  "function id status since until last limit cursor fields",
				  read_invocations);
}

/* ---- one of them ---- */

static int on_one(void *user, const struct invocation_record *record)
{
	struct answer *answer = user;
	const struct policies *policies = answer->api->config.policies;
	char *text = answer->block;
	struct json_writer w;
	int n = invocation_record_json(record, text, RECORD_JSON_MAX), more;

	if (n < 0)
		return n;
	text[n - 1] = ','; /* where its last bracket was */
	jw_begin(&w, text + n, sizeof(answer->block) - (size_t)n);
	compare_record_json(&w, policies, record);
	jw_object_close(&w);
	more = jw_end(&w);
	if (more < 0)
		return more;
	answer->used = (size_t)(n + more);
	return 0;
}

static int read_one(struct answer *answer, const struct ledger_query *query)
{
	const char *id = answer->extra;
	int err = answer->reader ? ledger_read_record(answer->reader, id, on_one, answer) : -ENOENT;

	(void)query;
	if (err == -EINVAL)
		http_stream_problem(answer->stream, 400, "%.128s is no record_id of oncpu", id);
	if (err == -ENOENT)
		http_stream_problem(answer->stream, 404, "there is no record %.128s", id);
	return err == -EINVAL || err == -ENOENT ? 0 : err;
}

int on_get_invocation(void *user, struct http_request *request)
{
	struct answer *answer;

	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "one record takes no parameters");
	answer = answer_new(user, read_one);
	if (!answer)
		return -ENOMEM;
	answer->without_ledger = true;
	answer->extra = strdup(http_path_rest(request));
	if (!answer->extra) {
		answer_free(answer);
		return -ENOMEM;
	}
	return answer_begin(answer, request, "application/json");
}
