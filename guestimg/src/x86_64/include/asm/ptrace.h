/* SPDX-License-Identifier: GPL-2.0 */
/* struct pt_regs as in arch/x86/include/asm/ptrace.h. */
#ifndef _ASM_PTRACE_H
#define _ASM_PTRACE_H

/* Offsets for the entry stubs. */
#if defined(__ASSEMBLER__) || !defined(MODULE)
#define PT_ORIG_AX	120
#define PT_IP		128
#define PT_CS		136
#define PT_SP		152
#define PT_SS		160
#define PT_SIZE		168
#endif

#ifndef __ASSEMBLER__
/* The names before 2.6.25 are those of the instructions. */
#define __PT_REG(name, old)	union { unsigned long name, old; }
struct pt_regs {
	unsigned long r15, r14, r13, r12;
	__PT_REG(bp, rbp);
	__PT_REG(bx, rbx);
	unsigned long r11, r10, r9, r8;
	__PT_REG(ax, rax);
	__PT_REG(cx, rcx);
	__PT_REG(dx, rdx);
	__PT_REG(si, rsi);
	__PT_REG(di, rdi);
	__PT_REG(orig_ax, orig_rax);
	__PT_REG(ip, rip);
	unsigned long cs;
	__PT_REG(flags, eflags);
	__PT_REG(sp, rsp);
	unsigned long ss;
};

#define MAX_REG_OFFSET	__builtin_offsetof(struct pt_regs, ss)

static inline int user_mode(const struct pt_regs *regs)
{
	return (regs->cs & 3) != 0;
}

static inline unsigned long instruction_pointer(const struct pt_regs *regs)
{
	return regs->ip;
}

static inline void instruction_pointer_set(struct pt_regs *regs, unsigned long val)
{
	regs->ip = val;
}

static inline unsigned long kernel_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp;
}

static inline void kernel_stack_pointer_set(struct pt_regs *regs, unsigned long val)
{
	regs->sp = val;
}

static inline unsigned long user_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp;
}

static inline void user_stack_pointer_set(struct pt_regs *regs, unsigned long val)
{
	regs->sp = val;
}

static inline unsigned long frame_pointer(const struct pt_regs *regs)
{
	return regs->bp;
}

static inline void frame_pointer_set(struct pt_regs *regs, unsigned long val)
{
	regs->bp = val;
}

static inline unsigned long regs_return_value(const struct pt_regs *regs)
{
	return regs->ax;
}

static inline void regs_set_return_value(struct pt_regs *regs, unsigned long rc)
{
	regs->ax = rc;
}

static inline int is_syscall_success(const struct pt_regs *regs)
{
	return regs->ax < -4095UL;
}

static inline int regs_irqs_disabled(const struct pt_regs *regs)
{
	return !(regs->flags & 0x200);
}

/* The value at an offset in struct pt_regs; 0 beyond it. */
static inline unsigned long regs_get_register(const struct pt_regs *regs,
					      unsigned int offset)
{
	if (offset > MAX_REG_OFFSET)
		return 0;
	return *(const unsigned long *)((const char *)regs + offset);
}

/* The nth word of the kernel stack as it was; 0 beyond the current task's. */
unsigned long regs_get_kernel_stack_nth(const struct pt_regs *regs, unsigned int n);

/* The nth argument, from 0, at a function's entry: the System V convention. */
static inline unsigned long regs_get_kernel_argument(const struct pt_regs *regs,
						     unsigned int n)
{
	switch (n) {
	case 0: return regs->di;
	case 1: return regs->si;
	case 2: return regs->dx;
	case 3: return regs->cx;
	case 4: return regs->r8;
	case 5: return regs->r9;
	}
	return regs_get_kernel_stack_nth(regs, n - 5);
}
#endif
#endif
