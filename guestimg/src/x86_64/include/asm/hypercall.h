/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_HYPERCALL_H
#define _ASM_HYPERCALL_H

/* Only rax changes: the harness keeps every other register. */
static __always_inline long hypercall(long nr, unsigned long a, unsigned long b,
				      unsigned long c, unsigned long d)
{
	long ret;

	asm volatile("int $0xf0"
		     : "=a" (ret)
		     : "a" (nr), "D" (a), "S" (b), "d" (c), "c" (d)
		     : "memory");
	return ret;
}
#endif
