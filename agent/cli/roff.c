/* SPDX-License-Identifier: GPL-2.0 */
/* See roff.h. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cli/roff.h"

/* One character of UTF-8 that is not ASCII, as groff names it; returns its bytes. */
static size_t wide(const unsigned char *at, size_t left, FILE *to)
{
	size_t n = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
	uint32_t point = *at & (0xffu >> (n + 1));

	if (n > left)
		return left;
	for (size_t i = 1; i < n; i++)
		point = point << 6 | (at[i] & 0x3f);
	fprintf(to, "\\[u%04X]", point);
	return n;
}

void roff_text(const char *text, size_t length, FILE *to)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\\')
			fputs("\\e", to);
		else if (c == '-')
			fputs("\\-", to);
		else if (c == '\'')
			fputs("\\(aq", to);
		else if (c == '"')
			fputs("\\(dq", to);
		else if (c == '~' || c == '^' || c == '`')
			fputs(c == '~' ? "\\(ti" : c == '^' ? "\\(ha" : "\\(ga", to);
		else if (c >= 0x80)
			i += wide((const unsigned char *)text + i, length - i, to) - 1;
		else
			fputc(c, to);
	}
}

static void line_of(const char *text, size_t length, FILE *to)
{
	if (length && (text[0] == '.' || text[0] == '\''))
		fputs("\\&", to);
	roff_text(text, length, to);
	fputc('\n', to);
}

void roff_line(const char *text, FILE *to)
{
	line_of(text, strlen(text), to);
}

void roff_prose(const char *text, FILE *to)
{
	bool verbatim = false, gap = false;

	while (*text) {
		size_t n = strcspn(text, "\n"), indent = strspn(text, " ");

		if (n && *text == ' ') {
			if (!verbatim)
				fputs(gap ? ".PP\n.RS 4\n.nf\n" : ".RS 4\n.nf\n", to);
			verbatim = true;
			line_of(text + (indent < 2 ? indent : 2), n - (indent < 2 ? indent : 2),
				to);
		} else if (n) {
			if (verbatim)
				fputs(".fi\n.RE\n", to);
			if (gap || verbatim)
				fputs(".PP\n", to);
			verbatim = false;
			line_of(text, n, to);
		}
		if (!n && verbatim && text[1] == ' ')
			fputs("\\&\n", to);
		gap = !n;
		text += n + (text[n] == '\n');
	}
	if (verbatim)
		fputs(".fi\n.RE\n", to);
}
