/* SPDX-License-Identifier: GPL-2.0 */
/* Copies that may fault. A fault in a word goes on bytewise at the same
 * place, so that the count of bytes left is exact. */
#include <emukp.h>

	.text

/* unsigned long __copy_user(to, from, n): bytes not copied */
FN __copy_user
	movq	%rdx, %rcx
	cmpq	$8, %rcx
	jb	5f
1:	movq	(%rsi), %rax
2:	movq	%rax, (%rdi)
	addq	$8, %rsi
	addq	$8, %rdi
	subq	$8, %rcx
	cmpq	$8, %rcx
	jae	1b
5:	testq	%rcx, %rcx
	jz	6f
3:	movb	(%rsi), %al
4:	movb	%al, (%rdi)
	incq	%rsi
	incq	%rdi
	decq	%rcx
	jnz	3b
6:	movq	%rcx, %rax
	ret
ENDFN __copy_user
	_ASM_EXTABLE(1b, 5b)
	_ASM_EXTABLE(2b, 5b)
	_ASM_EXTABLE(3b, 6b)
	_ASM_EXTABLE(4b, 6b)

/* unsigned long __clear_user(to, n): bytes not cleared */
FN __clear_user
	movq	%rsi, %rcx
	testq	%rcx, %rcx
	jz	2f
1:	movb	$0, (%rdi)
	incq	%rdi
	decq	%rcx
	jnz	1b
2:	movq	%rcx, %rax
	ret
ENDFN __clear_user
	_ASM_EXTABLE(1b, 2b)
