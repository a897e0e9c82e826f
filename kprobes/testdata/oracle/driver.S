/* SPDX-License-Identifier: GPL-2.0 */
/* What stands beside the targets: how the test calls them, and functions that
 * the log names. */

/* x_call(fn, regs): calls fn with the seven arguments at regs. ax is 0 and ZF
 * set, as in the driver whose log is compared. */
FN x_call
	push	%rbp
	push	48(%rsi)
	mov	%rdi, %r11
	mov	%rsi, %r10
	mov	0(%r10), %rdi
	mov	8(%r10), %rsi
	mov	16(%r10), %rdx
	mov	24(%r10), %rcx
	mov	32(%r10), %r8
	mov	40(%r10), %r9
	xor	%ebp, %ebp
	xor	%eax, %eax
	call	*%r11
	add	$8, %rsp
	pop	%rbp
	ret
ENDFN x_call

FN c_nokp
	mov	%rdi, %rax
	add	$1, %rax
	nop
	ret
ENDFN c_nokp
	_ASM_NOKPROBE(c_nokp)

LOCALFN static_nokp
	mov	%rdi, %rax
	ret
ENDFN static_nokp
	_ASM_NOKPROBE(static_nokp)

FN c_notrace
	mov	%rdi, %rax
	ret
ENDFN c_notrace

	.data
VAR x_regs
	.fill	7, 8, 0
ENDVAR x_regs
VAR x_lk
	.quad	0
ENDVAR x_lk
VAR x_dst
	.fill	16, 1, 0
ENDVAR x_dst
VAR x_src
	.ascii	"abcdefgh"
ENDVAR x_src
