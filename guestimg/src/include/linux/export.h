/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_EXPORT_H
#define _LINUX_EXPORT_H

#include <linux/compiler.h>

#ifdef __ASSEMBLER__
#define __EXPORT_SYMBOL_ASM(sym, is_gpl)				\
	.pushsection "__ksymtab_strings", "a" ;				\
771:	.asciz #sym ;							\
	.popsection ;							\
	.pushsection "__ksymtab", "a" ;					\
	.balign 8 ;							\
	.quad sym, 771b, is_gpl ;					\
	.popsection
#define EXPORT_SYMBOL(sym)		__EXPORT_SYMBOL_ASM(sym, 0)
#define EXPORT_SYMBOL_GPL(sym)		__EXPORT_SYMBOL_ASM(sym, 1)
#else

/* An entry of __ksymtab (include/linux/export.h, v4.14). gpl replaces the
 * section of its own. The kernel's globals are all there without one. */
struct kernel_symbol {
	unsigned long value;
	const char *name;
	unsigned long gpl;
};

#define __EXPORT_SYMBOL(sym, is_gpl)					\
	extern __typeof__(sym) sym;					\
	static const char __kstrtab_##sym[]				\
	__section("__ksymtab_strings") __used = #sym;			\
	static const struct kernel_symbol __ksymtab_##sym		\
	__section("__ksymtab") __used __aligned(8) = {			\
		(unsigned long)&sym, __kstrtab_##sym, is_gpl }

#undef EXPORT_SYMBOL
#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL(sym)		__EXPORT_SYMBOL(sym, 0)
#define EXPORT_SYMBOL_GPL(sym)		__EXPORT_SYMBOL(sym, 1)
#define EXPORT_SYMBOL_GPL_FUTURE(sym)	__EXPORT_SYMBOL(sym, 1)
#define EXPORT_UNUSED_SYMBOL(sym)	__EXPORT_SYMBOL(sym, 0)

/* NAME.mod.c defines it, which the build adds as modpost does. */
struct module;
#ifdef MODULE
extern struct module __this_module;
#define THIS_MODULE (&__this_module)
#else
#define THIS_MODULE ((struct module *)0)
#endif

#endif
#endif
