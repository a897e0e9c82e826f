/* SPDX-License-Identifier: GPL-2.0 */
/*
 * First instructions of every CPU. The harness has set CR0, CR3, CR4, EFER
 * and a 64-bit CS. rdi = CPU number, rsi = top of the idle task's stack,
 * rdx, rcx, r8 = tops of the stacks for IST1 to IST3; IF = 0.
 */
#include <emukp.h>

	.section .head.text, "ax"

FN startup_64
	movq	%rsi, %rsp
	xorl	%ebp, %ebp
	cld
	pushq	%rdi
	call	cpu_init		/* GDT, IDT, TSS, GS, current */
	popq	%rdi
	testq	%rdi, %rdi
	jnz	1f
	call	start_kernel
	jmp	cpu_boot_done
1:	call	start_secondary
	jmp	cpu_boot_done
ENDFN startup_64

/* The CPU is set up: the harness takes over. */
FN cpu_boot_done
	int	$VEC_CALL_RETURN
	ud2
ENDFN cpu_boot_done

	_ASM_NOKPROBE(startup_64)
	_ASM_NOKPROBE(cpu_boot_done)
