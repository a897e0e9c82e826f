/* SPDX-License-Identifier: GPL-2.0 */
/* The functions that the log's lines name. Those written in C begin with five
 * bytes there, an ftrace site: so they do here. */

.macro TARGET name
	.text
	.balign 32, 0xcc
	.globl \name
	.type \name, @function
\name:
.endm

.macro ENDTARGET name
	.size \name, . - \name
.endm

.macro SITE
	.byte	0x0f, 0x1f, 0x44, 0x00, 0x00
.endm

TARGET c_target				/* 10a + b */
	SITE
	lea	(%rdi,%rdi,4), %rax
	lea	(%rsi,%rax,2), %rax
	ret
	.balign	32, 0xcc
ENDTARGET c_target

TARGET c_inner				/* a + 1 */
	SITE
	lea	1(%rdi), %rax
	ret
	.balign	32, 0xcc
ENDTARGET c_inner

TARGET c_caller				/* c_inner(a), returning here to +0x5 */
	call	c_inner
	ret
	.balign	32, 0xcc
ENDTARGET c_caller

TARGET c_sleep
	SITE
	ret
	.balign	32, 0xcc
ENDTARGET c_sleep

TARGET c_nokp
	SITE
	ret
	.balign	32, 0xcc
ENDTARGET c_nokp

TARGET exc_int3
	SITE
	ret
	.balign	32, 0xcc
ENDTARGET exc_int3

TARGET t_leaf				/* 2a + 1 */
	mov	%rdi, %rax
	add	%rdi, %rax
	add	$1, %rax
	ret
	.balign	32, 0xcc
ENDTARGET t_leaf

	.section _kprobe_blacklist, "aw"
	.quad	c_nokp, exc_int3

	.data
	.balign	8
	.globl	t_var, t_object
	.type	t_var, @object
	.size	t_var, 8
t_var:	.quad	0x1122334455667788
	.type	t_object, @object
	.size	t_object, 4096
	.balign	8
t_object:
	.skip	4096
	.section .note.GNU-stack,"",@progbits
