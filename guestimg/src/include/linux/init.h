/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_INIT_H
#define _LINUX_INIT_H

#include <linux/compiler.h>

/* Nothing is freed, so these are no sections of their own in the image. */
#ifdef __ASSEMBLER__
#define __INIT		.section ".text.init", "ax"
#define __FINIT		.previous
#define __INITDATA	.section ".data.init", "aw"
#define __INITRODATA	.section ".rodata.init", "a"
#define __FINITDATA	.previous
#else

/* Code and data of init and exit stay where they are: nothing is freed. */
#define __initdata
#define __initconst
#define __exitdata
#define __exitconst
#define __devinit
#define __devexit
#define __cpuinit
#define __net_init
#define __net_exit
#define __meminit
#define __init_or_module
#define __initdata_or_module

typedef int (*initcall_t)(void);
typedef void (*exitcall_t)(void);

/* The inline functions check the types, and that there is one of each in a
 * file. Many a module leaves the semicolon out. */
#undef module_init
#undef module_exit
#define module_init(initfn)						\
	static inline initcall_t __maybe_unused __inittest(void)	\
	{ return initfn; }						\
	int init_module(void) __attribute__((alias(#initfn)));
#define module_exit(exitfn)						\
	static inline exitcall_t __maybe_unused __exittest(void)	\
	{ return exitfn; }						\
	void cleanup_module(void) __attribute__((alias(#exitfn)));

/* In a module, which these are for, every level is module_init. */
#define early_initcall(fn)	module_init(fn)
#define core_initcall(fn)	module_init(fn)
#define postcore_initcall(fn)	module_init(fn)
#define arch_initcall(fn)	module_init(fn)
#define subsys_initcall(fn)	module_init(fn)
#define fs_initcall(fn)		module_init(fn)
#define rootfs_initcall(fn)	module_init(fn)
#define device_initcall(fn)	module_init(fn)
#define late_initcall(fn)	module_init(fn)
#define __initcall(fn)		module_init(fn)
#define __exitcall(fn)		module_exit(fn)

#endif
#endif
