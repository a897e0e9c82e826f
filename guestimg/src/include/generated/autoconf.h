/* SPDX-License-Identifier: GPL-2.0 */
/* What this kernel is built with, as far as modules ask for it. */
#ifndef _GENERATED_AUTOCONF_H
#define _GENERATED_AUTOCONF_H

#define CONFIG_X86		1
#define CONFIG_X86_64		1
#define CONFIG_64BIT		1
#define CONFIG_SMP		1
#define CONFIG_NR_CPUS		64
#define CONFIG_HZ		1000
#define CONFIG_BUG		1
#define CONFIG_FRAME_POINTER	1
#define CONFIG_KALLSYMS		1
#define CONFIG_KALLSYMS_ALL	1
#define CONFIG_KPROBES		1
#define CONFIG_KRETPROBES	1
#define CONFIG_HAVE_KPROBES	1
#define CONFIG_HAVE_KRETPROBES	1
#define CONFIG_MODULES		1
#define CONFIG_MODULE_UNLOAD	1
#define CONFIG_MMU		1
#define CONFIG_PREEMPT_COUNT	1
#define CONFIG_PRINTK		1
#define CONFIG_STACKTRACE	1

#endif
