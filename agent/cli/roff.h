/* SPDX-License-Identifier: GPL-2.0 */
/* Text as man(7): nothing in it is taken for a request, dashes stay dashes. */
#ifndef ONCPU_CLI_ROFF_H
#define ONCPU_CLI_ROFF_H

#include <stddef.h>
#include <stdio.h>

/* Words, as part of a line; `length` bytes of UTF-8. */
void roff_text(const char *text, size_t length, FILE *to);
/* A whole line of text. */
void roff_line(const char *text, FILE *to);
/* Prose as command.h has it: paragraphs, and lines that begin with a space as they are. */
void roff_prose(const char *text, FILE *to);

#endif
