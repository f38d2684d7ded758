/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The terminal of `oncpu top`: the only file that sees ncurses. One at a time. Whatever way the
 * process goes, screen_end() puts the terminal back.
 */
#ifndef ONCPU_CLI_SCREEN_H
#define ONCPU_CLI_SCREEN_H

#include <stdbool.h>

#include "cli/rates.h"

/* What is to be seen. */
struct view {
	const struct rate *rates; /* sorted */
	size_t count;
	enum rate_column column; /* the one sorted by */
	bool reverse, average;	 /* average: since --since, not of the last interval */
	size_t top;		 /* first row shown */
	const char *policy, *since, *notice;
	int64_t interval_ns;
	bool help;
};

enum screen_key {
	PRESSED_NOTHING, /* no key is waiting */
	PRESSED_OTHER,
	PRESSED_QUIT,
	PRESSED_HELP_PAGE,
	PRESSED_ROW_UP,
	PRESSED_ROW_DOWN,
	PRESSED_PAGE_UP,
	PRESSED_PAGE_DOWN,
	PRESSED_FIRST,
	PRESSED_SORT_LEFT,
	PRESSED_SORT_RIGHT,
	PRESSED_REVERSE,
	PRESSED_AVERAGE,
	PRESSED_REFRESH,
	PRESSED_SORT /* + enum rate_column */
};

/* 0; -ENOTTY: no terminal; -ENOTSUP: none that can be drawn on ($TERM). */
int screen_begin(void);
void screen_end(void);
/* After SIGWINCH. */
void screen_resize(void);
void screen_draw(const struct view *view);
/* Rows that fit. */
size_t screen_rows(void);
/* The next key pressed, PRESSED_NOTHING when none is waiting. */
int screen_key(void);

#endif
