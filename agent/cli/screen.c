/* SPDX-License-Identifier: GPL-2.0 */
/* See screen.h. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
#include <curses.h>

#include "cli/screen.h"

/* Lines above and below the rows. */
enum { HEAD = 4, FOOT = 1 };

static SCREEN *terminal;

int screen_begin(void)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) /* what we write is UTF-8 in any case */
		setlocale(LC_CTYPE, "C.UTF-8");
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return -ENOTSUP;
	set_term(terminal);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	return 0;
}

void screen_end(void)
{
	if (!terminal)
		return;
	endwin();
	delscreen(terminal);
	terminal = NULL;
}

void screen_resize(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	clearok(stdscr, TRUE);
}

size_t screen_rows(void)
{
	return LINES > HEAD + FOOT ? (size_t)(LINES - HEAD - FOOT) : 0;
}

/* ---- drawing ---- */

static void line_at(int row, const char *text)
{
	if (row < LINES) {
		move(row, 0);
		addnstr(text, -1);
	}
}

static void draw_head(const struct view *v)
{
	struct rate total = rates_total(v->rates, v->count);
	char cells[RATE_COLUMNS][CELL_MAX], line[6 * CELL_MAX], every[CELL_MAX];

	rate_cells(&total, cells);
	format_ns(v->interval_ns, every);
	snprintf(line, sizeof(line), "oncpu top   %zu functions   %s", v->count,
		 v->average ? "averages since " : "every ");
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s",
		 v->average ? v->since : every);
	attron(A_BOLD);
	line_at(0, line);
	attroff(A_BOLD);
	snprintf(line, sizeof(line),
		 "%s invocations/s   wall %s/s   on-CPU %s/s   billed %s/s by %s = %s",
		 cells[RATE_RATE], cells[RATE_WALL], cells[RATE_CPU], cells[RATE_BILLED], v->policy,
		 cells[RATE_RATIO]);
	line_at(1, line);
	if (v->notice && v->notice[0]) {
		attron(A_BOLD);
		line_at(2, v->notice);
		attroff(A_BOLD);
	}
}

/* Numbers to the right of their column, the name to the left of its. */
static void draw_cell(const char *cell, size_t width, bool right)
{
	size_t pad = width > format_width(cell) ? width - format_width(cell) : 0;

	printw("%*s%s%*s", right ? (int)pad : 0, "", cell, right ? 0 : (int)pad, "");
}

static void column_title(const struct view *v, int column, char title[CELL_MAX])
{
	snprintf(title, CELL_MAX, "%s%s", rate_columns[column].title,
		 (int)v->column != column ? ""
		 : v->reverse		  ? "▲"
					  : "▼");
}

static void draw_rows(const struct view *v)
{
	size_t widths[RATE_COLUMNS], shown = v->count - v->top;
	char cells[RATE_COLUMNS][CELL_MAX], title[CELL_MAX];

	if (shown > screen_rows())
		shown = screen_rows();
	for (int c = 0; c < RATE_COLUMNS; c++) {
		column_title(v, c, title);
		widths[c] = format_width(title) + ((int)v->column == c ? 0 : 1);
	}
	for (size_t i = 0; i < v->count; i++) { /* of all: scrolling moves no column */
		rate_cells(&v->rates[i], cells);
		for (int c = 0; c < RATE_COLUMNS; c++)
			if (format_width(cells[c]) > widths[c])
				widths[c] = format_width(cells[c]);
	}
	if (HEAD - 1 < LINES) {
		move(HEAD - 1, 0);
		for (int c = 0; c < RATE_COLUMNS; c++) {
			column_title(v, c, title);
			attron((int)v->column == c ? A_REVERSE | A_BOLD : A_REVERSE);
			draw_cell(title, widths[c], c != RATE_FUNCTION);
			attroff(A_BOLD);
			draw_cell("", c + 1 < RATE_COLUMNS ? 2 : 0, false);
		}
		attroff(A_REVERSE);
	}
	for (size_t i = 0; i < shown; i++) {
		rate_cells(&v->rates[v->top + i], cells);
		move(HEAD + (int)i, 0);
		for (int c = 0; c < RATE_COLUMNS; c++) {
			draw_cell(cells[c], widths[c], c != RATE_FUNCTION);
			draw_cell("", 2, false);
		}
	}
}

static void draw_help(void)
{
	char line[CELL_MAX];
	int row = HEAD - 1;

	line_at(row++, "Keys:");
	for (int c = 0; c < RATE_COLUMNS; c++) {
		snprintf(line, sizeof(line), "  %c      sort by %s", rate_columns[c].key,
			 rate_columns[c].title);
		line_at(row++, line);
	}
	line_at(row++, "  < >    sort by the column beside     R  the other way round");
	line_at(row++, "  a      averages since the start, or the last interval");
	line_at(row++, "  ↑ ↓ PgUp PgDn Home   scroll          space  read again now");
	line_at(row++, "  q      end                           h ?  this page, or back");
}

void screen_draw(const struct view *v)
{
	erase();
	draw_head(v);
	if (v->help)
		draw_help();
	else
		draw_rows(v);
	if (LINES > HEAD) {
		attron(A_DIM);
		line_at(LINES - 1,
			"q end  h help  < > R n i r w c b x e s sort  a averages  ↑↓ scroll");
		attroff(A_DIM);
	}
	refresh();
}

/* ---- keys ---- */

int screen_key(void)
{
	static const struct {
		int code, key;
	} keys[] = {
		{ 'q', PRESSED_QUIT },
		{ 'Q', PRESSED_QUIT },
		{ 'h', PRESSED_HELP_PAGE },
		{ '?', PRESSED_HELP_PAGE },
		{ KEY_UP, PRESSED_ROW_UP },
		{ KEY_DOWN, PRESSED_ROW_DOWN },
		{ 'k', PRESSED_ROW_UP },
		{ 'j', PRESSED_ROW_DOWN },
		{ KEY_PPAGE, PRESSED_PAGE_UP },
		{ KEY_NPAGE, PRESSED_PAGE_DOWN },
		{ KEY_HOME, PRESSED_FIRST },
		{ '<', PRESSED_SORT_LEFT },
		{ '>', PRESSED_SORT_RIGHT },
		{ KEY_LEFT, PRESSED_SORT_LEFT },
		{ KEY_RIGHT, PRESSED_SORT_RIGHT },
		{ 'R', PRESSED_REVERSE },
		{ 'a', PRESSED_AVERAGE },
		{ ' ', PRESSED_REFRESH },
	};
	int code = getch();

	if (code == ERR)
		return PRESSED_NOTHING;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].code == code)
			return keys[i].key;
	for (int c = 0; c < RATE_COLUMNS; c++)
		if (rate_columns[c].key == code)
			return PRESSED_SORT + c;
	return PRESSED_OTHER;
}
