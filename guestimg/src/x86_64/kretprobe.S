/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a function returns to whose return is probed. Both trampolines are
 * entered by a ret: the stack is as the caller has it, no register is free.
 */
#include <emukp.h>

	.section .kprobes.text, "ax"

/* 2005: a kprobe stands here. Its pre-handler changes ip and returns 1, so
 * the nop is never stepped; ud2 catches a return that was let through. */
FN kretprobe_trampoline
	nop
	ud2
ENDFN kretprobe_trampoline

/* Later: no trap, a struct pt_regs as if one had come
 * (arch/x86/kernel/rethook.c, v6.1). The first push keeps the place of the
 * return address, which the C function fills in. */
FN arch_rethook_trampoline
	pushq	$arch_rethook_trampoline
	pushq	$__KERNEL_DS
	pushq	%rsp			/* less two words: mended in C */
	pushfq
	pushq	$__KERNEL_CS
	pushq	$arch_rethook_trampoline
	pushq	$-1
	int	$VEC_PUSHREGS		/* rdi = regs */
	cld
	call	arch_rethook_trampoline_callback
	int	$VEC_POPREGS
	addq	$PT_SS-PT_ORIG_AX, %rsp	/* ss holds the flags now */
	popfq
	ret
ENDFN arch_rethook_trampoline
