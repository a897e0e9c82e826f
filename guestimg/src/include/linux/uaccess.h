/* SPDX-License-Identifier: GPL-2.0 */
/* copy_from_user() and the like are emukp.h's functions. */
#ifndef _LINUX_UACCESS_H
#define _LINUX_UACCESS_H

#include <linux/sched.h>
#include <linux/errno.h>
#include <asm/page.h>

#define VERIFY_READ	0
#define VERIFY_WRITE	1

/* With a type to v4.20, without from v5.0 on. */
#define __access_ok3(type, addr, size)	(access_ok)((const void __user *)(addr), (size))
#define __access_ok2(addr, size)	(access_ok)((const void __user *)(addr), (size))
#define __access_ok_of(a, b, c, name, ...) name
#define access_ok(...) \
	__access_ok_of(__VA_ARGS__, __access_ok3, __access_ok2)(__VA_ARGS__)

#define __copy_from_user(to, from, n)		copy_from_user(to, from, n)
#define __copy_to_user(to, from, n)		copy_to_user(to, from, n)
#define __copy_from_user_inatomic(to, from, n)	copy_from_user_inatomic(to, from, n)
#define __copy_to_user_inatomic(to, from, n)	copy_to_user_inatomic(to, from, n)
#define copy_from_user_nofault(dst, src, n) \
	(copy_from_user_inatomic(dst, src, n) ? -EFAULT : 0L)
#define copy_to_user_nofault(dst, src, n) \
	(copy_to_user_inatomic(dst, src, n) ? -EFAULT : 0L)
#define probe_user_read(dst, src, n)		copy_from_user_nofault(dst, src, n)
#define probe_kernel_read(dst, src, n)		copy_from_kernel_nofault(dst, src, n)
#define probe_kernel_write(dst, src, n)		copy_to_kernel_nofault(dst, src, n)
#define strncpy_from_user_nofault(d, s, n)	strncpy_from_user(d, s, n)
#define strlen_user(s)				strnlen_user(s, LONG_MAX)
#define get_kernel_nofault(val, p)		copy_from_kernel_nofault(&(val), p, sizeof(val))
#define probe_kernel_address(p, val)		copy_from_kernel_nofault(&(val), p, sizeof(val))
#define strncpy_from_unsafe(d, s, n)		strncpy_from_kernel_nofault(d, s, n)

/* One value of 1, 2, 4 or 8 bytes; x is 0 after a fault. */
#define get_user(x, ptr) ({						\
	__typeof__(*(ptr)) gu_val__;					\
	_Static_assert(sizeof(gu_val__) <= 8, "get_user: 8 bytes at most"); \
	int gu_err__ = copy_from_user(&gu_val__, (ptr), sizeof(gu_val__)) ? -EFAULT : 0; \
	(x) = (__typeof__(x))gu_val__;					\
	gu_err__; })
#define put_user(x, ptr) ({						\
	__typeof__(*(ptr)) pu_val__ = (__typeof__(*(ptr)))(x);		\
	_Static_assert(sizeof(pu_val__) <= 8, "put_user: 8 bytes at most"); \
	copy_to_user((ptr), &pu_val__, sizeof(pu_val__)) ? -EFAULT : 0; })
#define __get_user(x, ptr)	get_user(x, ptr)
#define __put_user(x, ptr)	put_user(x, ptr)

#define pagefault_disable()	preempt_disable()
#define pagefault_enable()	preempt_enable()

#endif
