// SPDX-License-Identifier: GPL-2.0
/* Query strings of the API: NAME=VALUE, one a line here, decoded already. */
#include "api/query.h"
#include "tests/fuzz/fuzz.h"

#define NOW 1769860800000000000ll

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct api_query query = { 0 };
	struct ledger_query asked;

	while (in.left) {
		char error[QUERY_ERROR_LEN] = "";
		size_t name_length, length;
		char *name = take_text(&in, '=', &name_length);
		char *value = take_text(&in, '\n', &length);
		int r = api_query_set(&query,
				      "function id last since until status limit cursor fields",
				      NOW, name, value, length, error);

		PROMISE(r == 0 || (r < 0 && error[0]));
		free(name);
		free(value);
	}
	PROMISE(query.id_len <= sizeof(query.id));
	PROMISE(memchr(query.function, 0, sizeof(query.function)));
	PROMISE(query.since_realtime_ns >= 0 && query.until_realtime_ns >= 0);
	PROMISE(query.limit <= QUERY_PAGE_MOST);
	PROMISE(memchr(query.fields, 0, sizeof(query.fields)));
	asked = api_query_ledger(&query);
	PROMISE(!asked.function || asked.function[0]);
	return 0;
}
