/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A function that does nothing but mark: its first mark comes as early as it can, and the next ones
 * at once, so that who attaches late misses some. Valid C and C++.
 *
 * marks NAME COUNT [FILE] — with FILE, each id lies in pages that are not in memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cold.h"
#include "oncpu/runtime.h"

int main(int argc, char **argv)
{
	static struct cold cold;
	long count = argc > 2 ? atol(argv[2]) : 0;
	char text[80];

	if (argc > 3 && cold_open(&cold, argv[3], argv[1], count))
		return 2;
	for (long i = 1; i <= count; i++) {
		const char *id = cold.ids ? cold_id(&cold, i) : text;

		if (!id)
			return 3;
		if (id == text)
			snprintf(text, sizeof(text), "%s-%ld", argv[1], i);
		if (i == 1)
			oncpu_receive_start(argv[1], id);
		else
			oncpu_receive_invoke(id);
		oncpu_report_done(0);
	}
	return count < 1;
}
