// SPDX-License-Identifier: GPL-2.0
/* Lines to be priced: records, REPORT lines, CloudWatch's JSON; what is taken can be billed. */
#include <string.h>

#include "core/compare.h"
#include "core/price_line.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct policies *set = policies_embedded();
	struct input in = { data, size };

	while (in.left) {
		struct price_line line;
		struct bill_group group;
		size_t length;
		char *text = take_text(&in, '\n', &length);

		price_line_parse(text, length, &line);
		PROMISE(memchr(line.function, 0, sizeof(line.function)));
		PROMISE(memchr(line.start, 0, sizeof(line.start)));
		if (line.kind != PRICE_LINE_NEITHER) {
			PROMISE(line.stated_ns >= -1);
			bill_group_begin(&group, &line.key);
			bill_group_add_times(&group, set, line.times);
			for (unsigned i = 0; i < set->count; i++) {
				struct bill_cost cost;

				bill_cost_of(set, &set->list[i], &group, 1, &cost);
				PROMISE(cost.billed_ns >= 0);
				PROMISE(cost.cost_e12 >= 0);
			}
		}
		free(text);
	}
	return 0;
}
