// SPDX-License-Identifier: GPL-2.0
/* Lines of other people's logs: what can be priced has times that can be, and clean texts. */
#include "core/price_line.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct policies *set = policies_embedded();
	char *line = malloc(size + !size); /* no NUL behind it: a reader past its end is found */
	struct price_line price;

	memcpy(line, data, size);
	price_line_parse(line, size, &price);
	PROMISE(price.kind == PRICE_LINE_NEITHER || price.kind == PRICE_LINE_RECORD ||
		price.kind == PRICE_LINE_REPORT);
	if (price.kind != PRICE_LINE_NEITHER) {
		PROMISE(memchr(price.function, 0, sizeof(price.function)));
		PROMISE(memchr(price.start, 0, sizeof(price.start)));
		PROMISE(price.stated_ns >= -1);
		for (unsigned i = 0; i < set->rule_count; i++)
			PROMISE(bill_billed_ns(&set->rules[i], price.times, price.key.vcpu_milli) >=
				0);
	}
	free(line);
	return 0;
}
