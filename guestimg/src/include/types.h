/* SPDX-License-Identifier: GPL-2.0 */
/* Basic types and the compiler's attributes under their kernel names. */
#ifndef _EMUKP_TYPES_H
#define _EMUKP_TYPES_H

#ifndef __ASSEMBLER__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef long ssize_t;
typedef long long loff_t;
typedef unsigned long uintptr_t;
typedef _Bool bool;
typedef __builtin_va_list va_list;

#define true	1
#define false	0
#define NULL	((void *)0)

#define va_start	__builtin_va_start
#define va_arg		__builtin_va_arg
#define va_end		__builtin_va_end

#define __used		__attribute__((used))
#define __unused	__attribute__((unused))
#define __maybe_unused	__attribute__((unused))
#define __packed	__attribute__((packed))
#define __aligned(n)	__attribute__((aligned(n)))
#define __section(s)	__attribute__((section(s)))
#define __weak		__attribute__((weak))
#define __noreturn	__attribute__((noreturn))
#define __printf(a, b)	__attribute__((format(printf, a, b)))
#define __always_inline	inline __attribute__((always_inline))
#define noinline	__attribute__((__noinline__))
#define asmlinkage
#define notrace
#define __init
#define __exit
#define __user
#define __percpu
#define __must_check	__attribute__((warn_unused_result))

/* A function that keeps its symbol, its arguments and its ABI whatever the
 * compiler can prove about it, so that a probe on it sees every call. */
#if __has_attribute(__noipa__)
# define __probed __attribute__((__noinline__, __noclone__, __noipa__))
#elif __has_attribute(__noclone__)
# define __probed __attribute__((__noinline__, __noclone__))
#else
# define __probed __attribute__((__noinline__))
#endif

#define fallthrough	__attribute__((__fallthrough__))
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define barrier()	asm volatile("" : : : "memory")
#define unreachable()	__builtin_unreachable()

#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define offsetof(t, m)	__builtin_offsetof(t, m)
#define container_of(p, t, m) ((t *)((char *)(p) - offsetof(t, m)))
#define min(a, b) ({ __typeof__(a) a__ = (a); __typeof__(b) b__ = (b); \
		     a__ < b__ ? a__ : b__; })
#define max(a, b) ({ __typeof__(a) a__ = (a); __typeof__(b) b__ = (b); \
		     a__ > b__ ? a__ : b__; })
#define swap(a, b) do { __typeof__(a) t__ = (a); (a) = (b); (b) = t__; } while (0)

#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#else
#define PAGE_SIZE	(1 << PAGE_SHIFT)
#endif

#define PAGE_SHIFT	12

#define EPERM	1
#define ENOENT	2
#define ESRCH	3
#define EINTR	4
#define EIO	5
#define EBADF	9
#define EAGAIN	11
#define ENOMEM	12
#define EFAULT	14
#define EBUSY	16
#define EEXIST	17
#define EINVAL	22
#define ENOSPC	28
#define ERANGE	34
#define ENOSYS	38
#define EOPNOTSUPP 95

#define MAX_ERRNO	4095
#ifndef __ASSEMBLER__
#define IS_ERR_VALUE(x)	((unsigned long)(x) >= (unsigned long)-MAX_ERRNO)
#define ERR_PTR(e)	((void *)(long)(e))
#define PTR_ERR(p)	((long)(p))
#define IS_ERR(p)	IS_ERR_VALUE((unsigned long)(p))
#endif

#endif
