/* SPDX-License-Identifier: GPL-2.0 */
/* Exception table entries: self-relative, with a type as since v5.16. With
 * _ABS: two addresses, as before v3.5; a module has one kind or the other. */
#ifndef _ASM_ASM_H
#define _ASM_ASM_H

/* asm/extable_fixup_types.h, v6.x: what a fixup does beside going on at its
 * address. Register numbers are the processor's: 0 ax, 1 cx, 2 dx, 3 bx ... */
#define EX_DATA_REG(n)		((n) << 8)
#define EX_DATA_FLAG(n)		((n) << 12)
#define EX_DATA_IMM(n)		((n) << 16)
#define EX_FLAG_CLEAR_AX	EX_DATA_FLAG(1)
#define EX_FLAG_CLEAR_DX	EX_DATA_FLAG(2)

#define EX_TYPE_DEFAULT		1
#define EX_TYPE_FAULT		2	/* ax := trap number */
#define EX_TYPE_UACCESS		3	/* warns of #GP */
#define EX_TYPE_WRMSR		8
#define EX_TYPE_RDMSR		9	/* ax, dx := 0 */
#define EX_TYPE_WRMSR_SAFE	10	/* reg := -EIO */
#define EX_TYPE_RDMSR_SAFE	11	/* reg := -EIO; ax, dx := 0 */
#define EX_TYPE_IMM_REG		17	/* reg := imm */

#ifdef __ASSEMBLER__
# define _ASM_PTR	.quad
# define _ASM_ALIGN	.balign 8
# define _ASM_EXTABLE_TYPE(from, to, type)	\
	.pushsection "__ex_table", "a" ;	\
	.balign 4 ;				\
	.long (from) - . ;			\
	.long (to) - . ;			\
	.long type ;				\
	.popsection
# define _ASM_EXTABLE_ABS(from, to)		\
	.pushsection "__ex_table", "a" ;	\
	.balign 4 ;				\
	.quad from, to ;			\
	.popsection
# define _ASM_NOKPROBE(entry)			\
	.pushsection "_kprobe_blacklist", "a" ;	\
	.balign 8 ;				\
	.quad entry ;				\
	.popsection
#else
# define _ASM_STR_(x)	#x
# define _ASM_STR(x)	_ASM_STR_(x)
# define _ASM_PTR	" .quad "
# define _ASM_ALIGN	" .balign 8 "
# define _ASM_EXTABLE_TYPE(from, to, type)		\
	" .pushsection \"__ex_table\", \"a\"\n"		\
	" .balign 4\n"					\
	" .long (" #from ") - .\n"			\
	" .long (" #to ") - .\n"			\
	" .long " _ASM_STR(type) "\n"			\
	" .popsection\n"
# define _ASM_EXTABLE_ABS(from, to)			\
	" .pushsection \"__ex_table\", \"a\"\n"		\
	" .balign 4\n"					\
	" .quad " #from ", " #to "\n"			\
	" .popsection\n"
#endif
#define _ASM_EXTABLE(from, to)		_ASM_EXTABLE_TYPE(from, to, EX_TYPE_DEFAULT)
#define _ASM_EXTABLE_UA(from, to)	_ASM_EXTABLE_TYPE(from, to, EX_TYPE_UACCESS)
#define _ASM_EXTABLE_FAULT(from, to)	_ASM_EXTABLE_TYPE(from, to, EX_TYPE_FAULT)
#endif
