/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry stubs: from the IDT to struct pt_regs to a C function.
 *
 * PUSHREGS and POPREGS move the fifteen registers in one step of the
 * harness; everything else is what arch/x86/entry/entry_64.S does (v4.x names).
 */
#include <emukp.h>

	.section .entry.text, "ax"

	.macro PUSHREGS			/* rdi = regs */
	int	$VEC_PUSHREGS
	cld
	.endm

	/* Back to the interrupted code. The harness knows these very bytes and,
	 * for a trap from the kernel, does them together with POPREGS. */
	.macro TRAP_RETURN
	int	$VEC_POPREGS
	testb	$3, PT_CS-PT_ORIG_AX(%rsp)
	jnz	2f
	addq	$8, %rsp
	iretq
2:	jmp	ret_to_user
	.endm

	/* idtentry: swapgs is decided by the saved CS. With a gap, a frame from the
	 * kernel is moved down (arch/x86/entry/entry_64.S v5.2 create_gap): kprobes
	 * emulates call, whose return address goes where the frame was. The harness
	 * knows the bytes up to PUSHREGS. */
	.macro idtentry sym do err=0 gap=0
FN \sym
	.if !\err
	pushq	$-1
	.endif
	testb	$3, PT_CS-PT_ORIG_AX(%rsp)
	jz	1f
	swapgs
	.if \gap
	jmp	2f
1:	.rept	6
	pushq	5*8(%rsp)
	.endr
2:	PUSHREGS
	.else
1:	PUSHREGS
	.endif
	.if \err
	movq	PT_ORIG_AX(%rdi), %rsi
	movq	$-1, PT_ORIG_AX(%rdi)
	.else
	xorl	%esi, %esi
	.endif
	call	\do
	TRAP_RETURN
ENDFN \sym
	.endm

	/* Vectors without a function of their own. */
	.macro idtentry_common vec
FN asm_trap_\vec
	pushq	$-1
	testb	$3, PT_CS-PT_ORIG_AX(%rsp)
	jz	1f
	swapgs
1:	PUSHREGS
	xorl	%esi, %esi
	movl	$\vec, %edx
	call	do_trap
	jmp	error_exit
ENDFN asm_trap_\vec
	.endm

	.macro irqentry vec
FN asm_irq_\vec
	pushq	$-1
	testb	$3, PT_CS-PT_ORIG_AX(%rsp)
	jz	1f
	swapgs
1:	PUSHREGS
	movl	$\vec, %esi
	call	do_IRQ
	jmp	error_exit
ENDFN asm_irq_\vec
	.endm

	/* #DF, NMI and #MC may hit between a ring change and its swapgs,
	 * where CS says nothing about GS: ask the MSR (kernel GS is negative).
	 * bx remembers the answer; POPREGS brings the interrupted bx back. */
	.macro paranoidentry sym do err=0
FN \sym
	.if !\err
	pushq	$-1
	.endif
	PUSHREGS
	xorl	%ebx, %ebx
	movl	$MSR_GS_BASE, %ecx
	rdmsr
	testl	%edx, %edx
	js	1f
	incl	%ebx
	swapgs
1:	.if \err
	movq	PT_ORIG_AX(%rdi), %rsi
	movq	$-1, PT_ORIG_AX(%rdi)
	.else
	xorl	%esi, %esi
	.endif
	call	\do
	jmp	paranoid_exit
ENDFN \sym
	.endm

	/* #DB and #BP have no IST: a probe hit inside the handler of another
	 * probe needs the outer frame intact (Linux: int3 since v4.21/v5.0,
	 * #DB by shifting its IST). #DB needs no paranoia either: gates and
	 * SYSCALL clear TF, so it never falls into the entry code. */
	idtentry	asm_exc_divide_error do_divide_error
	idtentry	asm_exc_debug do_debug
	idtentry	asm_exc_int3 do_int3 gap=1
	idtentry	asm_exc_overflow do_overflow
	idtentry	asm_exc_bounds do_bounds
	idtentry	asm_exc_invalid_op do_invalid_op
	idtentry	asm_exc_device_not_available do_device_not_available
	paranoidentry	asm_exc_double_fault do_double_fault err=1
	idtentry	asm_exc_invalid_tss do_invalid_TSS err=1
	idtentry	asm_exc_segment_not_present do_segment_not_present err=1
	idtentry	asm_exc_stack_segment do_stack_segment err=1
	idtentry	asm_exc_general_protection do_general_protection err=1
	idtentry	asm_exc_page_fault do_page_fault err=1
	idtentry	asm_exc_coprocessor_error do_coprocessor_error
	idtentry	asm_exc_alignment_check do_alignment_check err=1
	paranoidentry	asm_exc_machine_check do_machine_check
	idtentry	asm_exc_simd_coprocessor_error do_simd_coprocessor_error

	.irp v, 9, 15, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	idtentry_common	\v
	.endr

	irqentry	0xfc
	irqentry	0xfd

FN error_exit
	TRAP_RETURN
ENDFN error_exit

/* Ring 3 has been interrupted, and its registers are back: what is due
 * before it goes on may change them. NMIs stay blocked until the iretq. */
FN ret_to_user
	PUSHREGS
.Lret_to_user_regs:
	call	exit_to_user_mode
	int	$VEC_POPREGS
	swapgs
	addq	$8, %rsp
	iretq
ENDFN ret_to_user

/* void return_to_user(regs): for a task that was never there. */
FN return_to_user
	cli
	movq	%rdi, %rsp
	jmp	.Lret_to_user_regs
ENDFN return_to_user

FN paranoid_exit
	testl	%ebx, %ebx
	jz	1f
	swapgs
1:	int	$VEC_POPREGS
	addq	$8, %rsp
	iretq
ENDFN paranoid_exit

/* syscall: rcx = ip, r11 = flags, still on the user's stack (SDM 2B). The
 * way out is iretq, so that a changed pt_regs always holds. */
FN entry_SYSCALL_64
	swapgs
	movq	%rsp, %gs:__off_cpu_user_sp
	movq	%gs:__off_cpu_kernel_sp, %rsp
	.globl	entry_SYSCALL_64_safe_stack
entry_SYSCALL_64_safe_stack:
	pushq	$__USER_DS
	pushq	%gs:__off_cpu_user_sp
	pushq	%r11
	pushq	$__USER_CS
	pushq	%rcx
	pushq	%rax
	PUSHREGS
	call	do_syscall
	jmp	error_exit
ENDFN entry_SYSCALL_64

/* int $0x80: the gate has DPL 3, CPL 0 may use it too. */
FN entry_INT80
	pushq	%rax
	testb	$3, PT_CS-PT_ORIG_AX(%rsp)
	jz	1f
	swapgs
1:	PUSHREGS
	call	do_int80
	jmp	error_exit
ENDFN entry_INT80

/* Where a function called by the harness returns to. */
FN __call_return
	int	$VEC_CALL_RETURN
	ud2
ENDFN __call_return

	.section .rodata, "a"
	.balign	8
	.globl	idt_stubs
	.type	idt_stubs, @object
idt_stubs:
	.quad	asm_exc_divide_error, asm_exc_debug, asm_exc_nmi, asm_exc_int3
	.quad	asm_exc_overflow, asm_exc_bounds, asm_exc_invalid_op
	.quad	asm_exc_device_not_available, asm_exc_double_fault, asm_trap_9
	.quad	asm_exc_invalid_tss, asm_exc_segment_not_present
	.quad	asm_exc_stack_segment, asm_exc_general_protection
	.quad	asm_exc_page_fault, asm_trap_15, asm_exc_coprocessor_error
	.quad	asm_exc_alignment_check, asm_exc_machine_check
	.quad	asm_exc_simd_coprocessor_error
	.irp v, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.quad	asm_trap_\v
	.endr
	.size	idt_stubs, . - idt_stubs
