/* SPDX-License-Identifier: GPL-2.0 */
/* Where user programs end. */
	.text

/* A task's function returns here: its value is the exit code. */
FN __user_exit
	movq	%rax, %rdi
	movl	$__NR_exit, %eax
	syscall
	ud2
ENDFN __user_exit

/* A signal handler returns here (SA_RESTORER). */
FN __restore_rt
	movl	$__NR_rt_sigreturn, %eax
	syscall
	ud2
ENDFN __restore_rt
