/* SPDX-License-Identifier: GPL-2.0 */
/* The API's description, as it stands in openapi.json. The assembler runs at the top of the repository. */
	.section .rodata
	.global openapi_text
openapi_text:
	.incbin "agent/api/openapi.json"
	.byte 0
	.section .note.GNU-stack, "", %progbits
