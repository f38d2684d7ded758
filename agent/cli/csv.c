/* SPDX-License-Identifier: GPL-2.0 */
/* See csv.h. */
#include "cli/csv.h"

#include <string.h>

void csv_put(FILE *to, const char *text)
{
	if (!text[strcspn(text, ",\"\r\n")]) {
		fputs(text, to);
		return;
	}
	putc('"', to);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', to);
		putc(*text, to);
	}
	putc('"', to);
}
