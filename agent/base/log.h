/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One line per message to stderr. When stderr is no terminal, or systemd reads it (JOURNAL_STREAM),
 * each line begins with "<N>", the syslog priority. A message is one write(), at most LOG_LINE_MAX
 * bytes; control characters in it become '?', so text from outside cannot forge a line. errno
 * survives. The level is the only mutable global.
 */
#ifndef ONCPU_BASE_LOG_H
#define ONCPU_BASE_LOG_H

#include <stdarg.h>

#define LOG_LINE_MAX 1024

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level); /* shows this level and the graver ones; begins at info */
enum log_level log_get_level(void);
int log_level_parse(const char *name, enum log_level *ret_level); /* "error" … "debug"; -EINVAL */

void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_message_v(enum log_level level, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if ((level) <= log_get_level())                                                    \
			log_message((level), __VA_ARGS__);                                         \
	} while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
