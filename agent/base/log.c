// SPDX-License-Identifier: GPL-2.0
/* The log: levels, priority prefixes, one write a line. Owns the level. */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic int current_level = LOG_LEVEL_INFO;

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static bool wants_prefix(void)
{
	return getenv("JOURNAL_STREAM") || !isatty(STDERR_FILENO);
}

static void write_all(const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* nowhere left to complain */
		bytes += done;
		n -= (size_t)done;
	}
}

void log_message_v(enum log_level level, const char *format, va_list arguments)
{
	int saved = errno, used = 0, body;
	char line[LOG_LINE_MAX];

	if (level > log_get_level())
		return;
	if (wants_prefix())
		used = snprintf(line, sizeof(line), "<%d>", levels[level].priority);
	errno = saved; /* for %m */
	body = vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
	if (body < 0)
		body = 0;
	used += body;
	if ((size_t)used > sizeof(line) - 1)
		used = sizeof(line) - 1;
	for (int i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	write_all(line, (size_t)used);
	errno = saved;
}

void log_message(enum log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_message_v(level, format, arguments);
	va_end(arguments);
}
