/* SPDX-License-Identifier: GPL-2.0 */
/* The last error's text: one line with cause and cure, per thread. And the counters' names. */
#include <stdarg.h>
#include <stdio.h>

#include "kern/kern_internal.h"

static _Thread_local char last_error[512];

int kern_fail(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(last_error, sizeof(last_error), format, arguments);
	va_end(arguments);
	return error;
}

const char *kern_error(void)
{
	return last_error;
}

#define ONCPU_COUNTER(name, help) { #name, help },
static const struct {
	const char *name, *help;
} counters[] = {
#include "../bpf/counters.def"
};
#undef ONCPU_COUNTER

unsigned kern_counter_count(void)
{
	return sizeof(counters) / sizeof(counters[0]);
}

const char *kern_counter_name(unsigned i)
{
	return i < kern_counter_count() ? counters[i].name : NULL;
}

const char *kern_counter_help(unsigned i)
{
	return i < kern_counter_count() ? counters[i].help : NULL;
}
