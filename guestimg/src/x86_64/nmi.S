/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The NMI stub. A probe hit in the handler ends in iretq, and iretq lets the
 * next NMI in (SDM 3A 6.7.1), which would overwrite the frame at the top of
 * IST2. So the frame moves to the interrupted kernel stack at once, while
 * NMIs are still blocked; Linux keeps two copies on the IST stack instead
 * (arch/x86/entry/entry_64.S, asm_exc_nmi).
 */
#include <emukp.h>

	.section .entry.text, "ax"

FN asm_exc_nmi
	pushq	$-1
	int	$VEC_PUSHREGS
	cld
	xorl	%ebx, %ebx		/* as paranoidentry */
	movl	$MSR_GS_BASE, %ecx
	rdmsr
	testl	%edx, %edx
	js	1f
	incl	%ebx
	swapgs
	/* From user mode, or before the syscall entry left the user's stack:
	 * the task's kernel stack is empty. */
1:	testb	$3, PT_CS(%rdi)
	jnz	2f
	movq	PT_SP(%rdi), %rax
	movq	PT_IP(%rdi), %rcx
	cmpq	$entry_SYSCALL_64, %rcx
	jb	3f
	cmpq	$entry_SYSCALL_64_safe_stack, %rcx
	jae	3f
2:	movq	%gs:__off_cpu_kernel_sp, %rax
3:	andq	$-16, %rax
	subq	$PT_SIZE, %rax
	movq	%rdi, %rsi
	movq	%rax, %rdi
	movl	$PT_SIZE / 8, %ecx
	rep movsq
	movq	%rax, %rsp
	movq	%rax, %rdi
	xorl	%esi, %esi
	call	do_nmi
	testb	$3, PT_CS(%rsp)		/* the frame has left the IST stack */
	jz	paranoid_exit
	jmp	error_exit
ENDFN asm_exc_nmi
