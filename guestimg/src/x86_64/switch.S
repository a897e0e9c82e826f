/* SPDX-License-Identifier: GPL-2.0 */
/* Changing stacks (arch/x86/entry/entry_64.S, v4.9 and later). */
#include <emukp.h>

	.text

/* struct task_struct *__switch_to_asm(prev, next) */
FN __switch_to_asm
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, __off_task_sp(%rdi)
	movq	__off_task_sp(%rsi), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	jmp	__switch_to
ENDFN __switch_to_asm

/* First code of a new task: rax = prev, rbx = fn, r12 = arg. */
FN ret_from_fork
	movq	%rax, %rdi
	call	schedule_tail
	movq	%r12, %rdi
	call	*%rbx
	movq	%rax, %rdi
	call	do_exit
	ud2
ENDFN ret_from_fork

/* void enter_user(ip, sp): user mode with clean registers and IF set. */
FN enter_user
	cli
	pushq	$__USER_DS
	pushq	%rsi
	pushq	$0x202
	pushq	$__USER_CS
	pushq	%rdi
	xorl	%eax, %eax
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%esi, %esi
	xorl	%edi, %edi
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	jmp	enter_user_iret
ENDFN enter_user

	/* From the swapgs on nothing may trap: out of reach of probes. */
	.section .entry.text, "ax"
FN enter_user_iret
	swapgs
	iretq
ENDFN enter_user_iret
