/* SPDX-License-Identifier: GPL-2.0 */
/* See help.h. */
#include <string.h>

#include "cli/format.h"
#include "cli/help.h"

enum { WIDTH = 80 };

/* A line that is being filled: words go on a new one, indented, where they no longer fit. */
struct filling {
	FILE *to;
	size_t column, indent;
};

static void fill(struct filling *f, const char *word, size_t length)
{
	char text[256];
	size_t width;

	snprintf(text, sizeof(text), "%.*s", (int)length, word);
	width = format_width(text);
	if (f->column > f->indent && f->column + 1 + width > WIDTH) {
		fputc('\n', f->to);
		f->column = 0;
	}
	if (!f->column)
		f->column += (size_t)fprintf(f->to, "%*s", (int)f->indent, "");
	else if (f->column > f->indent)
		f->column += (size_t)fprintf(f->to, " ");
	fputs(text, f->to);
	f->column += width;
}

static void fill_words(struct filling *f, const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end) {
		size_t n = strcspn(text, " \n");

		if (n > (size_t)(end - text))
			n = (size_t)(end - text);
		if (n)
			fill(f, text, n);
		text += n + 1;
	}
}

static void fill_end(struct filling *f)
{
	if (f->column)
		fputc('\n', f->to);
	f->column = 0;
}

/* Prose as command.h has it. */
static void print_prose(const char *text, FILE *to)
{
	struct filling f = { to, 0, 0 };

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n && *text != ' ') {
			fill_words(&f, text, n);
		} else {
			fill_end(&f);
			fprintf(to, "%.*s\n", (int)n, text);
		}
		text += n + (text[n] == '\n');
	}
	fill_end(&f);
}

void help_synopsis(const struct command *c,
		   void (*piece)(void *user, const char *text, bool line_begins), void *user)
{
	char text[256];
	const char *at = c->synopsis;
	bool begins = true;

	for (; at && *at; at += strspn(at, "\n"), begins = true) {
		for (size_t line = strcspn(at, "\n"); line; begins = false) {
			size_t n = *at == '[' ? strcspn(at, "]") + 1 : strcspn(at, " \n");

			snprintf(text, sizeof(text), "%.*s", (int)n, at);
			piece(user, text, begins);
			n += strspn(at + n, " ");
			at += n;
			line -= n;
		}
	}
	if (c->synopsis)
		return;
	for (const struct command_option *o = c->options; o->name; o++) {
		if (!o->help)
			continue;
		snprintf(text, sizeof(text), "[--%s%s%s]", o->name, o->argument ? " " : "",
			 o->argument ? o->argument : "");
		piece(user, text, begins);
		begins = false;
	}
	if (c->arguments || begins)
		piece(user, c->arguments ? c->arguments : "", begins);
}

struct usage {
	struct filling f;
	const char *name;
};

static void usage_piece(void *user, const char *text, bool line_begins)
{
	struct usage *u = user;

	if (line_begins) {
		fill_end(&u->f);
		u->f.column = (size_t)fprintf(u->f.to, "  oncpu %s", u->name);
		u->f.indent = u->f.column + 1;
		if (*text)
			u->f.column += (size_t)fprintf(u->f.to, " ");
	}
	fill(&u->f, text, strlen(text));
}

static void print_options(const struct command_option *options, FILE *to)
{
	enum { INDENT = 26 };

	for (const struct command_option *o = options; o->name; o++) {
		struct filling f = { to, 0, INDENT };

		if (!o->help)
			continue;
		f.column =
			(size_t)fprintf(to, "  --%s %s", o->name, o->argument ? o->argument : "");
		if (f.column >= INDENT)
			fill_end(&f);
		else
			f.column += (size_t)fprintf(to, "%*s", (int)(INDENT - f.column), "");
		fill_words(&f, o->help, strlen(o->help));
		fill_end(&f);
	}
}

void help_command(const struct command *c, FILE *to)
{
	struct usage u = { { to, 0, 0 }, c->name };
	bool any = false;

	fprintf(to, "%s\n\nusage:\n", c->summary);
	help_synopsis(c, usage_piece, &u);
	fill_end(&u.f);
	if (c->description) {
		fputc('\n', to);
		print_prose(c->description, to);
	}
	for (const struct command_option *o = c->options; o->name; o++)
		any |= o->help != NULL;
	if (any) {
		fputs("\noptions:\n", to);
		print_options(c->options, to);
	}
	if (c->exits) {
		fputc('\n', to);
		print_prose(c->exits, to);
	}
	if (c->examples) {
		fputs("\nexamples:\n", to);
		print_prose(c->examples, to);
	}
}

void help_overview(FILE *to)
{
	fputs("oncpu measures the exact on-CPU time of function invocations, and what they would "
	      "be\nbilled.\n\nusage: oncpu COMMAND [OPTION...]\n\n",
	      to);
	for (size_t i = 0; commands[i]; i++)
		fprintf(to, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\noncpu help COMMAND tells more; oncpu --version the version.\n", to);
}
