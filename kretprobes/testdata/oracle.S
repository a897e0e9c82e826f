/* SPDX-License-Identifier: GPL-2.0 */
/* Functions that the log names beside its targets; they are as large as there.
 * c_sleep sleeps on its argument, where the log's waits that many ms. */

FN c_sleep
	push	%rdi
	call	sleep_on
	pop	%rax
	ret
	.balign	32, 0xcc
ENDFN c_sleep

	.balign	64, 0xcc
FN thr_sleep
	push	%rbx
	.skip	0xd, 0x90
	call	c_sleep			/* returns to +0x13 */
	pop	%rbx
	ret
	.balign	64, 0xcc
ENDFN thr_sleep

FN c_target				/* 10a + b */
	lea	(%rdi,%rdi,4), %rax
	lea	(%rsi,%rax,2), %rax
	ret
	.balign	32, 0xcc
ENDFN c_target
