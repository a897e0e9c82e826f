/* SPDX-License-Identifier: GPL-2.0 */
/* Instructions that C has no words for. */
#ifndef _ASM_PROCESSOR_H
#define _ASM_PROCESSOR_H

#define X86_EFLAGS_CF	0x1
#define X86_EFLAGS_FIXED 0x2
#define X86_EFLAGS_PF	0x4
#define X86_EFLAGS_AF	0x10
#define X86_EFLAGS_ZF	0x40
#define X86_EFLAGS_SF	0x80
#define X86_EFLAGS_TF	0x100
#define X86_EFLAGS_IF	0x200
#define X86_EFLAGS_DF	0x400
#define X86_EFLAGS_OF	0x800
#define X86_EFLAGS_RF	0x10000
#define X86_EFLAGS_AC	0x40000
#define BITS_PER_LONG	64
#define TASK_SIZE_MAX	((1UL << 47) - PAGE_SIZE)

static __always_inline void cpu_relax(void)
{
	asm volatile("pause" : : : "memory");
}

static __always_inline void native_halt(void)
{
	asm volatile("sti; hlt" : : : "memory");
}

static __always_inline void local_irq_disable(void)
{
	asm volatile("cli" : : : "memory");
}

static __always_inline void local_irq_enable(void)
{
	asm volatile("sti" : : : "memory");
}

static __always_inline unsigned long local_save_flags(void)
{
	unsigned long flags;

	asm volatile("pushf; pop %0" : "=rm" (flags) : : "memory");
	return flags;
}

static __always_inline unsigned long local_irq_save(void)
{
	unsigned long flags = local_save_flags();

	local_irq_disable();
	return flags;
}

static __always_inline void local_irq_restore(unsigned long flags)
{
	if (flags & X86_EFLAGS_IF)
		local_irq_enable();
}

static __always_inline unsigned long read_cr2(void)
{
	unsigned long v;

	asm volatile("mov %%cr2, %0" : "=r" (v) : : "memory");
	return v;
}

static __always_inline unsigned long read_cr3(void)
{
	unsigned long v;

	asm volatile("mov %%cr3, %0" : "=r" (v) : : "memory");
	return v;
}

static __always_inline void wrmsrl(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c" (msr), "a" ((u32)v), "d" ((u32)(v >> 32))
		     : "memory");
}

static __always_inline u64 div_u64_rem(u64 n, u32 d, u32 *rem)
{
	*rem = (u32)(n % d);
	return n / d;
}
#endif
