/* SPDX-License-Identifier: GPL-2.0 */
/* The page's files, gzipped, in the read-only part of the program. The Makefile says where they lie. */
#define ASSET(symbol, file, path, type)		\
	.global page_##symbol;			\
	.hidden page_##symbol;			\
	.global page_##symbol##_end;		\
	.hidden page_##symbol##_end;		\
	page_##symbol: .incbin file;		\
	page_##symbol##_end: .byte 0;

	.section .rodata
#include "assets.def"
	.section .note.GNU-stack, "", %progbits
