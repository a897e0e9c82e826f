/* SPDX-License-Identifier: GPL-2.0 */
/* The annotations of assembly functions, old (to v5.4) and new; ';' stands
 * where theirs has ASM_NL. */
#ifndef _LINUX_LINKAGE_H
#define _LINUX_LINKAGE_H

#include <linux/compiler.h>
#include <linux/stringify.h>

#ifdef __ASSEMBLER__

#define ASM_NL			;
#define __ALIGN			.p2align 4, 0x90
#define __ALIGN_STR		".p2align 4, 0x90"
#define ALIGN			__ALIGN
#define ALIGN_STR		__ALIGN_STR

#define GLOBAL(name)		.globl name ; name:
#define ENTRY(name)		.globl name ; ALIGN ; name:
#define WEAK(name)		.weak name ; ALIGN ; name:
#define END(name)		.size name, .-name
#define ENDPROC(name)		.type name, @function ; END(name)

#define SYM_T_FUNC		@function
#define SYM_T_OBJECT		@object
#define SYM_T_NONE		@notype
#define SYM_A_ALIGN		ALIGN
#define SYM_A_NONE
#define SYM_L_GLOBAL(name)	.globl name
#define SYM_L_WEAK(name)	.weak name
#define SYM_L_LOCAL(name)

#define SYM_ENTRY(name, linkage, align...) linkage(name) ; align ; name:
#define SYM_START(name, linkage, align...) SYM_ENTRY(name, linkage, align)
#define SYM_END(name, sym_type)	.type name, sym_type ; .size name, .-name
#define SYM_ALIAS(alias, name, linkage) linkage(alias) ; .set alias, name

#define SYM_FUNC_START(name)	SYM_START(name, SYM_L_GLOBAL, SYM_A_ALIGN)
#define SYM_FUNC_START_NOALIGN(name) SYM_START(name, SYM_L_GLOBAL, SYM_A_NONE)
#define SYM_FUNC_START_LOCAL(name) SYM_START(name, SYM_L_LOCAL, SYM_A_ALIGN)
#define SYM_FUNC_START_LOCAL_NOALIGN(name) SYM_START(name, SYM_L_LOCAL, SYM_A_NONE)
#define SYM_FUNC_START_WEAK(name) SYM_START(name, SYM_L_WEAK, SYM_A_ALIGN)
#define SYM_FUNC_END(name)	SYM_END(name, SYM_T_FUNC)
#define SYM_FUNC_ALIAS(alias, name) SYM_ALIAS(alias, name, SYM_L_GLOBAL)
#define SYM_TYPED_FUNC_START(name) SYM_FUNC_START(name)

#define SYM_CODE_START(name)	SYM_START(name, SYM_L_GLOBAL, SYM_A_ALIGN)
#define SYM_CODE_START_NOALIGN(name) SYM_START(name, SYM_L_GLOBAL, SYM_A_NONE)
#define SYM_CODE_START_LOCAL(name) SYM_START(name, SYM_L_LOCAL, SYM_A_ALIGN)
#define SYM_CODE_END(name)	SYM_END(name, SYM_T_NONE)

#define SYM_INNER_LABEL(name, linkage) linkage(name) ; .type name, SYM_T_NONE ; name:
#define SYM_INNER_LABEL_ALIGN(name, linkage) linkage(name) ; .type name, SYM_T_NONE ; ALIGN ; name:

#define SYM_DATA_START(name)	SYM_START(name, SYM_L_GLOBAL, SYM_A_NONE)
#define SYM_DATA_START_LOCAL(name) SYM_START(name, SYM_L_LOCAL, SYM_A_NONE)
#define SYM_DATA_END(name)	SYM_END(name, SYM_T_OBJECT)
#define SYM_DATA(name, data...)	SYM_DATA_START(name) ; data ; SYM_DATA_END(name)
#define SYM_DATA_LOCAL(name, data...) SYM_DATA_START_LOCAL(name) ; data ; SYM_DATA_END(name)

#define RET			ret

#else

/* x86_64 has one calling convention. */
#define asmlinkage_protect(n, ret, args...)	do { } while (0)
#define fastcall

#endif
#endif
