/* SPDX-License-Identifier: GPL-2.0 */
/* A function that two modules have. */
	.text
	.globl	twin
	.type	twin, @function
twin:	nop
	ret
	.size	twin, . - twin
	.section .note.GNU-stack,"",@progbits
