/* SPDX-License-Identifier: GPL-2.0 */
/* The presets, as they stand in policies.json. The assembler runs at the top of the repository. */
	.section .rodata
	.global policies_preset
policies_preset:
	.incbin "agent/core/policies.json"
	.byte 0
	.section .note.GNU-stack, "", %progbits
