/* SPDX-License-Identifier: GPL-2.0 */
/* The registers that a called function must keep, and where it was called. */
#include <emukp.h>

/* int setjmp(jmp_buf env) */
FN setjmp
	movq	(%rsp), %rdx		/* return address */
	leaq	8(%rsp), %rcx		/* rsp after the return */
	movq	%rbx, 0(%rdi)
	movq	%rbp, 8(%rdi)
	movq	%r12, 16(%rdi)
	movq	%r13, 24(%rdi)
	movq	%r14, 32(%rdi)
	movq	%r15, 40(%rdi)
	movq	%rcx, 48(%rdi)
	movq	%rdx, 56(%rdi)
	xorl	%eax, %eax
	ret
ENDFN setjmp

/* void __longjmp(jmp_buf env, int val): setjmp returns val, or 1 for 0 */
FN __longjmp
	movl	%esi, %eax
	testl	%eax, %eax
	jnz	1f
	incl	%eax
1:	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	48(%rdi), %rsp
	jmp	*56(%rdi)
ENDFN __longjmp
