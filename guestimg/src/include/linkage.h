/* SPDX-License-Identifier: GPL-2.0 */
/* Macros for assembly sources; C sources see nothing here. */
#ifndef _EMUKP_LINKAGE_H
#define _EMUKP_LINKAGE_H
#ifdef __ASSEMBLER__

/* FN opens a global function in the current section; int3 fills the gaps,
 * so that a jump into one is seen. */
.macro FN name
	.balign 16, 0xcc
	.globl \name
	.type \name, @function
\name:
.endm

/* LOCALFN is FN for a file-local symbol. */
.macro LOCALFN name
	.balign 16, 0xcc
	.type \name, @function
\name:
.endm

.macro ENDFN name
	.size \name, . - \name
.endm

.macro VAR name
	.balign 8
	.globl \name
	.type \name, @object
\name:
.endm

.macro ENDVAR name
	.size \name, . - \name
.endm

.section .note.GNU-stack, "", @progbits
.text

#endif
#endif
