/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oncpu top: reads /v1/functions again and again and shows the difference. Signals are blocked but
 * while it waits for a key or for the agent, so that none strikes between a check and a wait; one
 * that strikes while the agent is asked ends that conversation.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/rates.h"
#include "cli/screen.h"

#define NS_PER_S 1000000000
#define PATIENCE_S 5 /* an agent that is silent for so long is gone */

enum { NOTICE_MAX = 256, LINE_ROOM = 2048 };

struct top {
	struct place place;
	const char *function, *policy, *since;
	int64_t interval_ns;
	bool once, json;

	char path[512];
	struct reading first, before, now; /* first: empty, at the time that --since says */
	struct rate *rates;
	struct view view;
	char notice[NOTICE_MAX], failure[NOTICE_MAX];
	sigset_t waiting; /* the signals that are blocked while it waits */
};

static volatile sig_atomic_t got_signal, resized;
static struct client_cancel cancel;

static void on_signal(int number)
{
	if (number == SIGWINCH) {
		resized = 1;
		return;
	}
	got_signal = number;
	client_cancel(&cancel);
}

static void catch_signals(struct top *t)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		sigaddset(&block, caught[i]);
		sigaction(caught[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, &t->waiting);
	signal(SIGPIPE, SIG_IGN); /* the agent may go while it is asked */
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- reading ---- */

static int on_line(void *user, const char *line, size_t length)
{
	struct top *t = user;
	struct function_line function;
	int error = function_line_of(line, length, &function);

	if (error || (t->function && strcmp(t->function, function.sum.function) != 0))
		return error;
	return reading_add(&t->now, &function);
}

static void on_notice(void *user, const char *text)
{
	struct top *t = user;

	snprintf(t->notice, sizeof(t->notice), "%s", text);
}

/* A new reading; the one before is kept. 0, or -errno with t->failure. */
static int read_again(struct top *t)
{
	struct client client = {
		.socket = t->place.socket, .timeout_s = PATIENCE_S, .say = on_notice, .say_user = t
	};
	sigset_t asking, blocked;
	int error;

	reading_free(&t->before);
	t->before = t->now;
	memset(&t->now, 0, sizeof(t->now));
	t->notice[0] = 0;
	asking = t->waiting;
	sigaddset(&asking, SIGWINCH); /* would only interrupt it */
	sigprocmask(SIG_SETMASK, &asking, &blocked);
	error = client_get(&client, t->path, on_line, t);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	t->now.at_ns = monotonic_ns();
	if (error == -EACCES)
		snprintf(t->failure, sizeof(t->failure),
			 "%s: permission denied (use sudo, or be in its group)", t->place.socket);
	else if (error == -ETIMEDOUT)
		snprintf(t->failure, sizeof(t->failure), "the agent at %s was silent for %d s",
			 t->place.socket, PATIENCE_S);
	else if (error == -EPROTO)
		snprintf(t->failure, sizeof(t->failure), "%s", t->notice);
	else if (error == -ECONNREFUSED)
		snprintf(t->failure, sizeof(t->failure),
			 "no agent answers at %s (start one: sudo oncpu agent; or name it: "
			 "--socket)",
			 t->place.socket);
	else if (error)
		snprintf(t->failure, sizeof(t->failure), "the agent at %s has gone%s%s",
			 t->place.socket, error == -ENODATA ? "" : ": ",
			 error == -ENODATA ? "" : strerror(-error));
	return error;
}

static int differ(struct top *t)
{
	const struct reading *from = t->view.average ? &t->first : &t->before;
	struct rate *rates;
	int error = rates_between(from, &t->now, t->policy, &rates);

	if (error)
		return error;
	free(t->rates);
	t->rates = rates;
	rates_sort(rates, t->now.count, t->view.column, t->view.reverse);
	t->view.rates = rates;
	t->view.count = t->now.count;
	return 0;
}

/* ---- once ---- */

static int print_once(struct top *t)
{
	struct table table = { .columns = RATE_COLUMNS };
	struct rate total = rates_total(t->view.rates, t->view.count);
	char(*cells)[CELL_MAX], line[LINE_ROOM];

	for (int c = 0; c < RATE_COLUMNS; c++) {
		table.titles[c] = rate_columns[c].title;
		table.right[c] = c != RATE_FUNCTION;
	}
	for (size_t i = 0; i < t->view.count; i++) {
		if (t->json && (rate_json(&t->view.rates[i], t->policy, line, sizeof(line)) < 0 ||
				puts(line) < 0))
			return command_fail("cannot write the output");
		if (!t->json && (cells = table_row(&table)))
			rate_cells(&t->view.rates[i], cells);
	}
	if (!t->json && t->view.count > 1 && (cells = table_row(&table)))
		rate_cells(&total, cells);
	if (!t->json && t->view.count)
		table_print(&table, stdout);
	else if (!t->json)
		fprintf(stderr, "no functions yet\n");
	table_free(&table);
	return fflush(stdout) ? command_fail("cannot write the output") : 0;
}

/* Until the time, a signal, or a key where there is a screen. */
static void wait_until(struct top *t, int64_t until_ns, bool keys)
{
	struct pollfd terminal = { .fd = STDIN_FILENO, .events = POLLIN };
	int64_t left = until_ns - monotonic_ns();
	struct timespec wait;

	if (left < 0)
		left = 0;
	wait.tv_sec = left / NS_PER_S;
	wait.tv_nsec = left % NS_PER_S;
	if (ppoll(&terminal, keys ? 1 : 0, &wait, &t->waiting) > 0 && !(terminal.revents & POLLIN))
		got_signal = SIGHUP; /* the terminal is gone */
}

static int once(struct top *t)
{
	int64_t until;

	if (read_again(t))
		return got_signal ? 128 + got_signal : command_fail("%s", t->failure);
	until = t->now.at_ns + t->interval_ns;
	while (!got_signal && monotonic_ns() < until)
		wait_until(t, until, false);
	if (got_signal)
		return 128 + got_signal;
	if (read_again(t) || differ(t))
		return command_fail("%s", t->failure);
	if (t->notice[0])
		fprintf(stderr, "oncpu: %s\n", t->notice);
	return print_once(t);
}

/* ---- live ---- */

static void scroll_to(struct top *t, int64_t row)
{
	size_t rows = screen_rows();
	int64_t last = t->view.count > rows ? (int64_t)(t->view.count - rows) : 0;

	t->view.top = (size_t)(row < 0 ? 0 : row > last ? last : row);
}

/* True: end. */
static bool on_key(struct top *t, int key)
{
	int64_t top = (int64_t)t->view.top, page = (int64_t)screen_rows();
	int column = (int)t->view.column;

	switch (key) {
	case PRESSED_QUIT:
		return true;
	case PRESSED_HELP_PAGE:
		t->view.help = !t->view.help;
		return false;
	case PRESSED_ROW_UP:
		scroll_to(t, top - 1);
		return false;
	case PRESSED_ROW_DOWN:
		scroll_to(t, top + 1);
		return false;
	case PRESSED_PAGE_UP:
		scroll_to(t, top - page);
		return false;
	case PRESSED_PAGE_DOWN:
		scroll_to(t, top + page);
		return false;
	case PRESSED_FIRST:
		scroll_to(t, 0);
		return false;
	case PRESSED_SORT_LEFT:
		column += RATE_COLUMNS - 1;
		break;
	case PRESSED_SORT_RIGHT:
		column += 1;
		break;
	case PRESSED_REVERSE:
		t->view.reverse = !t->view.reverse;
		break;
	case PRESSED_AVERAGE:
		t->view.average = !t->view.average;
		break;
	default:
		if (key < PRESSED_SORT)
			return false;
		column = key - PRESSED_SORT;
		break;
	}
	t->view.column = (enum rate_column)(column % RATE_COLUMNS);
	differ(t);
	return false;
}

/* 0 at the user's wish, or a code with t->failure. */
static int live(struct top *t)
{
	int64_t next = t->now.at_ns + t->interval_ns;
	int key;

	for (;;) {
		if (resized) {
			resized = 0;
			screen_resize();
		}
		scroll_to(t, (int64_t)t->view.top);
		screen_draw(&t->view);
		wait_until(t, next, true);
		while ((key = screen_key()) != PRESSED_NOTHING) {
			if (key == PRESSED_REFRESH)
				next = 0;
			if (on_key(t, key))
				return 0;
		}
		if (got_signal)
			return got_signal == SIGINT ? 0 : 128 + got_signal;
		if (monotonic_ns() < next)
			continue;
		if (read_again(t) || differ(t))
			return got_signal ? 128 + got_signal : 1;
		next = t->now.at_ns + t->interval_ns;
	}
}

static int on_screen(struct top *t)
{
	int code;

	if (read_again(t) || differ(t))
		return got_signal ? 128 + got_signal : command_fail("%s", t->failure);
	code = screen_begin();
	if (code)
		return command_fail(code == -ENOTTY ? "top needs a terminal (--once prints one "
						      "reading)"
						    : "this terminal cannot be drawn on (set TERM, "
						      "or use --once)");
	code = live(t);
	screen_end();
	return code == 1 ? command_fail("%s", t->failure) : code;
}

/* ---- the command ---- */

static int column_named(const char *word)
{
	for (int c = 0; c < RATE_COLUMNS; c++)
		if (!strcmp(rate_columns[c].word, word))
			return c;
	return -1;
}

static int parse(struct top *t, int argc, char **argv)
{
	int c;

	while ((c = command_next(&top_command, argc, argv)) != -1) {
		int column = c == 'o' ? column_named(optarg) : 0;

		if (c == '?')
			return command_misused("top", argc, argv);
		if (column < 0)
			return command_fail("--sort %s is no column (see: oncpu help top)", optarg),
			       2;
		if (c == 'i' &&
		    (parse_duration_ns(optarg, &t->interval_ns) || t->interval_ns < NS_PER_S / 10 ||
		     t->interval_ns > 3600ll * NS_PER_S))
			return command_fail("--interval %s is no time from 100ms to 1h", optarg), 2;
		t->once |= c == '1';
		t->json |= c == 'j';
		t->view.reverse |= c == 'R';
		if (c == 'o')
			t->view.column = (enum rate_column)column;
		else if (c == 'f')
			t->function = optarg;
		else if (c == 'P')
			t->policy = optarg;
		else if (c == 't')
			t->since = optarg;
		else if (c == 'S')
			t->place.socket = optarg;
	}
	if (optind < argc)
		return command_fail("top takes no argument (%s)", argv[optind]), 2;
	if (t->json && !t->once)
		return command_fail("--json goes with --once"), 2;
	return 0;
}

/* The same instant for every reading: sums from there on only grow. */
static int fix_since(struct top *t)
{
	char text[24];
	struct timespec now;
	int64_t since;

	if (source_since(t->since, &since))
		return command_fail(
			       "--since %s is no time (15m, 2026-01-31T12:00:00Z, or ns since the "
			       "epoch)",
			       t->since),
		       2;
	clock_gettime(CLOCK_REALTIME, &now);
	t->first.at_ns = monotonic_ns() - ((int64_t)now.tv_sec * NS_PER_S + now.tv_nsec - since);
	snprintf(text, sizeof(text), "%lld", (long long)since);
	snprintf(t->path, sizeof(t->path), "/v1/functions");
	client_query(t->path, sizeof(t->path), "since", text, strlen(text));
	return 0;
}

static int command_top(int argc, char **argv)
{
	struct top t = { .policy = "aws-lambda",
			 .since = "15m",
			 .interval_ns = 2ll * NS_PER_S,
			 .view = { .column = RATE_CPU } };
	int code;

	place_defaults(&t.place);
	code = parse(&t, argc, argv);
	if (!code)
		code = fix_since(&t);
	if (code)
		return code;
	t.view.policy = t.policy;
	t.view.since = t.since;
	t.view.interval_ns = t.interval_ns;
	t.view.notice = t.notice;
	catch_signals(&t);
	code = t.once ? once(&t) : on_screen(&t);
	reading_free(&t.before);
	reading_free(&t.now);
	free(t.rates);
	return code;
}

static const struct command_option options[] = {
	{ "once", '1', NULL, "print the rates of one interval as a table, and end" },
	OPTION_JSON("with --once: one oncpu.top/1 object a function, a line each"),
	{ "interval", 'i', "T", "between two readings, 100ms to 1h (2s)" },
	{ "sort", 'o', "function|instances|rate|wall|cpu|billed|ratio|errors|cold",
	  "the column to sort by (cpu)" },
	{ "reverse", 'R', NULL, "the other way round" },
	{ "policy", 'P', "NAME", "whose bill is shown (aws-lambda)" },
	{ "function", 'f', "NAME", "only this function" },
	{ "since", 't', "T", "from when on errors, cold starts and averages are counted (15m)" },
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command top_command = {
	.name = "top",
	.summary = "functions live: rate, wall, on-CPU and billed time a second",
	.options = options,
	.description =
		"Asks the running agent every interval and shows the difference. An invocation "
		"counts "
		"in the interval in which it ends, with all of its time. ON-CPU/s is the number of "
		"CPUs in use: 1.500 s is one and a half. ERRORS (failed, timed out and crashed) "
		"and "
		"COLD are counted since --since; a dash stands where the ledger's retention has "
		"cut "
		"the sums meanwhile.\n\n"
		"Keys, which h shows as well:\n\n"
		"  n i r w c b x e s   sort by function, instances, rate, wall, on-CPU, billed,\n"
		"                      ratio, errors, cold starts\n"
		"  < >  R              sort by the column beside; the other way round\n"
		"  a                   averages since --since, or the last interval\n"
		"  space               read again now\n"
		"  up down PgUp PgDn Home   scroll\n"
		"  q                   end",
	.exits =
		"Exits 0 at q and at SIGINT, 1 with a line on stderr when the agent goes away; the "
		"terminal is put back in every case.",
	.examples = "  oncpu top --once --json --interval 10s | jq .cpu_ns",
	.section = 1,
	.run = command_top,
};
