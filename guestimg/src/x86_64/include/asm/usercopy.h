/* SPDX-License-Identifier: GPL-2.0 */
/* One word from or to user space. A fault ends in .fixup with -EFAULT, as
 * in kernels before v5.16. */
#ifndef _ASM_USERCOPY_H
#define _ASM_USERCOPY_H

#define __get_user_asm(val, ptr, err, mov)				\
	asm volatile("1: " mov " %2, %1\n"				\
		     "2:\n"						\
		     " .pushsection .fixup, \"ax\"\n"			\
		     "3: movl %3, %0\n"					\
		     " xorl %k1, %k1\n"					\
		     " jmp 2b\n"					\
		     " .popsection\n"					\
		     _ASM_EXTABLE_UA(1b, 3b)				\
		     : "+r" (err), "=r" (val)				\
		     : "m" (*(ptr)), "i" (-EFAULT))

#define __put_user_asm(val, ptr, err, mov, mod)				\
	asm volatile("1: " mov " %" mod "1, %2\n"			\
		     "2:\n"						\
		     " .pushsection .fixup, \"ax\"\n"			\
		     "3: movl %3, %0\n"					\
		     " jmp 2b\n"					\
		     " .popsection\n"					\
		     _ASM_EXTABLE_UA(1b, 3b)				\
		     : "+r" (err)					\
		     : "r" (val), "m" (*(ptr)), "i" (-EFAULT)		\
		     : "memory")

static __always_inline int __get_user_1(u8 *val, const u8 __user *p)
{
	int err = 0;
	u32 v;

	__get_user_asm(v, p, err, "movzbl");
	*val = (u8)v;
	return err;
}

static __always_inline int __get_user_long(long *val, const long __user *p)
{
	int err = 0;

	__get_user_asm(*val, p, err, "movq");
	return err;
}

static __always_inline int __put_user_1(u8 val, u8 __user *p)
{
	int err = 0;

	__put_user_asm(val, p, err, "movb", "b");
	return err;
}

static __always_inline int __put_user_long(long val, long __user *p)
{
	int err = 0;

	__put_user_asm(val, p, err, "movq", "q");
	return err;
}
#endif
