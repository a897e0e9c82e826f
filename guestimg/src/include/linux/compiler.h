/* SPDX-License-Identifier: GPL-2.0 */
/* Attributes that emukp.h has no use for. */
#ifndef _LINUX_COMPILER_H
#define _LINUX_COMPILER_H

#include <types.h>
#include <linux/stringify.h>

#ifndef __ASSEMBLER__
#define __attribute_const__	__attribute__((__const__))
#define __pure			__attribute__((__pure__))
#define __malloc		__attribute__((__malloc__))
#define __cold			__attribute__((__cold__))
#define __deprecated		__attribute__((__deprecated__))
#define __scanf(a, b)		__attribute__((format(scanf, a, b)))
#define __visible		__attribute__((__externally_visible__))
#define __always_unused		__attribute__((unused))
#define __alias(symbol)		__attribute__((alias(#symbol)))
#define __noclone		__attribute__((__noclone__))
#define __cacheline_aligned	__attribute__((aligned(64)))
#define ____cacheline_aligned	__attribute__((aligned(64)))
#define ____cacheline_aligned_in_smp __attribute__((aligned(64)))
#define noinline_for_stack	noinline
#define __noinline		noinline
#define __naked			__attribute__((naked))
#define __kernel
#define __iomem
#define __rcu
#define __force
#define __nocast
#define __safe
#define __private
#define __bitwise
#define __bitwise__
#define __chk_user_ptr(x)	((void)0)
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __acquire(x)		((void)0)
#define __release(x)		((void)0)
#define __refdata
#define __ref
#define __read_mostly
#define __ro_after_init
#define __inline		inline
#define __inline__		inline
#define __restrict__		restrict

#define ACCESS_ONCE(x)		(*(volatile __typeof__(x) *)&(x))
#define RELOC_HIDE(ptr, off)	((__typeof__(ptr))((unsigned long)(ptr) + (off)))
#define OPTIMIZER_HIDE_VAR(var)	asm("" : "=r" (var) : "0" (var))
#define __same_type(a, b)	__builtin_types_compatible_p(__typeof__(a), __typeof__(b))
#define __must_be_array(a)	BUILD_BUG_ON_ZERO(__same_type((a), &(a)[0]))
#define BUILD_BUG_ON_ZERO(e)	((int)sizeof(struct { int : (-!!(e)); }))
#define compiletime_assert(c, msg) _Static_assert(c, msg)
#define __PASTE_(a, b)		a##b
#define __PASTE(a, b)		__PASTE_(a, b)
#define __UNIQUE_ID(prefix)	__PASTE(__PASTE(__UNIQUE_ID_, prefix), __COUNTER__)
#endif

#define GCC_VERSION (__GNUC__ * 10000 + __GNUC_MINOR__ * 100 + __GNUC_PATCHLEVEL__)

#endif
