/* SPDX-License-Identifier: GPL-2.0 */
/* struct pt_regs as in arch/x86/include/asm/ptrace.h. */
#ifndef _ASM_PTRACE_H
#define _ASM_PTRACE_H

/* Offsets for the entry stubs. */
#define PT_ORIG_AX	120
#define PT_IP		128
#define PT_CS		136
#define PT_SP		152
#define PT_SS		160
#define PT_SIZE		168

#ifndef __ASSEMBLER__
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di;
	unsigned long orig_ax;
	unsigned long ip, cs, flags, sp, ss;
};

#define user_mode(regs)			((regs)->cs & 3)
#define instruction_pointer(regs)	((regs)->ip)
#define kernel_stack_pointer(regs)	((regs)->sp)
#define regs_return_value(regs)		((regs)->ax)
#endif
#endif
