// SPDX-License-Identifier: GPL-2.0
/* GET /v1/compare and /v1/policies: what policies bill, and what they are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/cleanup.h"
#include "ledger/compare.h"

static int on_line(void *user, const char *line, size_t length)
{
	struct answer *answer = user;

	if (answer->used + length + 1 > sizeof(answer->block) && answer_flush(answer))
		return -EPIPE;
	memcpy(answer->block + answer->used, line, length);
	return answer_line_end(answer, (int)length);
}

static int read_comparison(struct answer *answer, const struct ledger_query *query)
{
	struct comparison *comparison = answer->extra;

	comparison->query = *query;
	return ledger_compare(answer->reader, comparison, on_line, answer);
}

int on_get_compare(void *user, struct http_request *request)
{
	struct api *api = user;
	struct comparison *comparison = calloc(1, sizeof(*comparison));
	struct answer *answer = answer_new(api, read_comparison);
	char error[QUERY_ERROR_LEN], cause[POLICY_ERROR_LEN];
	int err;

	if (!answer || !comparison) {
		free(comparison);
		free(answer);
		return -ENOMEM;
	}
	answer->extra = comparison;
	comparison->set = api->config.policies;
	comparison->now_realtime_ns = now_realtime_ns();
	err = api_query_parse(&answer->query, request, "function since until policy", error);
	/* an unknown policy is told before the answer has begun */
	if (!err && (err = compare_choose(comparison->set, answer->query.policies,
					  &comparison->choice, cause)))
		snprintf(error, sizeof(error), "%.*s", (int)sizeof(error) - 1, cause);
	if (err) {
		answer_free(answer);
		return http_reply_problem(request, 400, "%s", error);
	}
	return answer_begin(answer, request, NDJSON);
}

int on_get_policies(void *user, struct http_request *request)
{
	const struct api *api = user;
	_cleanup_free_ char *body = malloc(POLICIES_JSON_MAX);
	int n;

	if (!body)
		return -ENOMEM;
	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "/v1/policies takes no parameters");
	n = policies_json(api->config.policies, body, POLICIES_JSON_MAX);
	if (n < 0)
		return http_reply_problem(request, 500, "the answer does not fit");
	return http_reply(request, 200, "application/json", body, (size_t)n);
}
