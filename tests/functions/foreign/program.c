/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A program on somebody else's runtime: program NAME COUNT FILE [torn]. Its ids lie in pages of
 * FILE that are not in memory, and the last one may run out of them; every fourth invocation fails.
 */
#include <stdlib.h>

#include "../cold.h"
#include "runtime.h"

int main(int argc, char **argv)
{
	long count = argc > 3 ? atol(argv[2]) : 0;
	struct runtime runtime = { 0, 0, 0 };
	static struct cold cold;

	cold.torn = argc > 4;
	if (argc < 4 || cold_open(&cold, argv[3], argv[1], count))
		return 2;
	for (long i = 1; i <= count; i++) {
		const char *id = cold_id(&cold, i);

		if (!id)
			return 3;
		if (i == 1 ? receive_start(&runtime, argv[1], id) : receive_invoke(id, &runtime))
			return 1;
		report_done(&runtime, 0.001, 1, i % 4 == 0);
	}
	return runtime.done != (unsigned long)count;
}
