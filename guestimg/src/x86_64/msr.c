// SPDX-License-Identifier: GPL-2.0
/* RDMSR and WRMSR that survive a register which is not there. The error is
 * kept in ebx, number 3 to the exception table. */
#include <emukp.h>
#include <asm/msr.h>

u64 __probed native_read_msr(u32 msr)
{
	u32 lo, hi;

	asm volatile("1: rdmsr\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_RDMSR)
		     : "=a" (lo), "=d" (hi) : "c" (msr));
	return (u64)hi << 32 | lo;
}

void __probed native_write_msr(u32 msr, u64 val)
{
	asm volatile("1: wrmsr\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_WRMSR)
		     : : "c" (msr), "a" ((u32)val), "d" ((u32)(val >> 32))
		     : "memory");
}

int __probed native_read_msr_safe(u32 msr, u64 *val)
{
	u32 lo, hi;
	int err;

	asm volatile("1: rdmsr\n"
		     " xorl %%ebx, %%ebx\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_RDMSR_SAFE | EX_DATA_REG(3))
		     : "=b" (err), "=a" (lo), "=d" (hi) : "c" (msr));
	*val = (u64)hi << 32 | lo;
	return err;
}

int __probed native_write_msr_safe(u32 msr, u64 val)
{
	int err;

	asm volatile("1: wrmsr\n"
		     " xorl %%ebx, %%ebx\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_WRMSR_SAFE | EX_DATA_REG(3))
		     : "=b" (err)
		     : "c" (msr), "a" ((u32)val), "d" ((u32)(val >> 32))
		     : "memory");
	return err;
}
