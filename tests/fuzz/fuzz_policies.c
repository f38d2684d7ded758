// SPDX-License-Identifier: GPL-2.0
/* A user's file of policies: refused with a reason, or a set that bills and that is written back.
 */
#include <string.h>

#include "core/compare.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[POLICIES_JSON_MAX];
	struct invocation_record record = {
		.wall_ns = 51234567, .cpu_ns = 3201456, .init_wall_ns = -1, .memory_mb = 128
	};
	char error[POLICY_ERROR_LEN] = "";
	struct policies *set = NULL, *again = NULL;
	int n;

	if (policies_parse("fuzz", (const char *)data, size, NULL, &set, error)) {
		PROMISE(!set && error[0] && !strchr(error, '\n'));
		return 0;
	}
	for (unsigned i = 0; i < set->count; i++) {
		const struct policy *p = &set->list[i];

		PROMISE(p->time < set->rule_count && p->memory_time < set->rule_count);
		PROMISE(billing_billed_ns(set, p, &record) >= 0);
	}
	billing_apply(set, &record);
	PROMISE(record.billed_count <= RECORD_MAX_BILLED);
	n = policies_json(set, text, sizeof(text));
	PROMISE(n > 0 && policies_parse("again", text, (size_t)n, NULL, &again, error) == 0);
	PROMISE(memcmp(set, again, sizeof(*set)) == 0);
	policies_free(&set);
	policies_free(&again);
	return 0;
}
