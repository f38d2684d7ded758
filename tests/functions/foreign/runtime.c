/* SPDX-License-Identifier: GPL-2.0 */
/* Reads none of its strings: whoever reads them at the symbol is the first. */
#include "runtime.h"

int receive_start(struct runtime *runtime, const char *function, const char *id)
{
	runtime->started++;
	return function && id ? 0 : -1;
}

int receive_invoke(const char *id, struct runtime *runtime)
{
	runtime->invoked++;
	return id ? 0 : -1;
}

void report_done(struct runtime *runtime, double seconds, long bytes, int status)
{
	if (seconds >= 0 && bytes >= 0 && status >= 0)
		runtime->done++;
}
