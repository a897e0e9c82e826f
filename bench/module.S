/* SPDX-License-Identifier: GPL-2.0 */
/* What the benchmark runs: a loop with one place to probe, and 10,000 places
 * for probes that are never hit. */
	.text
	.globl	bench_hits, bench_site, bench_idle
	.type	bench_hits, @function
bench_hits:			/* bench_hits(n) */
	movq	%rdi, %rcx
bench_site:
	nop
	decq	%rcx
	jnz	bench_site
	ret
	.size	bench_hits, . - bench_hits

	.globl	bench_calls, bench_fn, bench_entry, bench_jprobe_return
	.balign	16
	.type	bench_fn, @function
bench_fn:
	nop
	ret
	.size	bench_fn, . - bench_fn

	.balign	16
	.type	bench_calls, @function
bench_calls:			/* bench_calls(n): n calls of bench_fn */
	pushq	%rdi
	.globl	bench_call_site
bench_call_site:
	call	bench_fn
	decq	(%rsp)
	jnz	bench_call_site
	popq	%rdi
	ret
	.size	bench_calls, . - bench_calls

	.globl	bench_rip, bench_rip_site
	.balign	16
	.type	bench_rip, @function
bench_rip:			/* bench_rip(n): n loads relative to rip */
	movq	%rdi, %rcx
bench_rip_site:
	movq	bench_jprobe_return(%rip), %rax
	decq	%rcx
	jnz	bench_rip_site
	ret
	.size	bench_rip, . - bench_rip

	.balign	16
	.type	bench_entry, @function
bench_entry:			/* of a jprobe on bench_fn */
	jmp	*bench_jprobe_return(%rip)
	.size	bench_entry, . - bench_entry

	.globl	bench_pre
	.balign	16
	.type	bench_pre, @function
bench_pre:			/* a pre-handler that does nothing */
	xorl	%eax, %eax
	ret
	.size	bench_pre, . - bench_pre

	/* Pre-handlers that touch memory that is not there, and four ways out. */
#define ABSENT	0x123000
	.globl	bench_pre_bad, bench_pre_extable, bench_pre_setjmp, bench_fault
	.type	bench_pre_bad, @function
bench_pre_bad:
	movq	ABSENT, %rax
	xorl	%eax, %eax
	ret
	.size	bench_pre_bad, . - bench_pre_bad

	.type	bench_pre_extable, @function
bench_pre_extable:
1:	movq	ABSENT, %rax
2:	xorl	%eax, %eax
	ret
	_ASM_EXTABLE(1b, 2b)
	.size	bench_pre_extable, . - bench_pre_extable

	.type	bench_pre_setjmp, @function
bench_pre_setjmp:
	pushq	%rbp
	movq	%rsp, %rbp
	movq	$bench_jmp_buf, %rdi
	call	*bench_setjmp(%rip)
	testl	%eax, %eax
	jnz	1f			/* came here because of longjmp() */
	movq	ABSENT, %rax
1:	xorl	%eax, %eax
	popq	%rbp
	ret
	.size	bench_pre_setjmp, . - bench_pre_setjmp

	.type	bench_fault, @function
bench_fault:				/* (p, regs, trapnr) */
	movq	$bench_trampoline, PT_IP(%rsi)
	movl	$1, %eax
	ret
	.size	bench_fault, . - bench_fault

	.type	bench_trampoline, @function
bench_trampoline:
	movq	$bench_jmp_buf, %rdi
	movl	$1, %esi
	jmp	*bench_longjmp(%rip)
	.size	bench_trampoline, . - bench_trampoline

	.balign	4096
	.type	bench_idle, @function
bench_idle:
	.rept	10000
	nop
	.endr
	ret
	.size	bench_idle, . - bench_idle
	.data
	.balign	8
	.type	bench_jprobe_return, @object
bench_jprobe_return:		/* filled in: the kernel's addresses change */
	.quad	0
	.size	bench_jprobe_return, . - bench_jprobe_return
	.globl	bench_setjmp, bench_longjmp
bench_setjmp:	.quad	0
bench_longjmp:	.quad	0
bench_jmp_buf:	.fill	8, 8, 0
	.section .note.GNU-stack, "", @progbits
