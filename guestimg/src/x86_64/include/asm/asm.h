/* SPDX-License-Identifier: GPL-2.0 */
/* Exception table entries: self-relative, with a type as since v5.16. */
#ifndef _ASM_ASM_H
#define _ASM_ASM_H

#define EX_TYPE_DEFAULT	1

#ifdef __ASSEMBLER__
# define _ASM_EXTABLE_TYPE(from, to, type)	\
	.pushsection "__ex_table", "a" ;	\
	.balign 4 ;				\
	.long (from) - . ;			\
	.long (to) - . ;			\
	.long type ;				\
	.popsection
# define _ASM_EXTABLE(from, to) _ASM_EXTABLE_TYPE(from, to, EX_TYPE_DEFAULT)
# define _ASM_NOKPROBE(entry)			\
	.pushsection "_kprobe_blacklist", "a" ;	\
	.balign 8 ;				\
	.quad entry ;				\
	.popsection
#else
# define _ASM_EXTABLE(from, to)				\
	" .pushsection \"__ex_table\", \"a\"\n"		\
	" .balign 4\n"					\
	" .long (" #from ") - .\n"			\
	" .long (" #to ") - .\n"			\
	" .long 1\n"					\
	" .popsection\n"
#endif
#endif
