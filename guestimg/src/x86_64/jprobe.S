/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's half of a jprobe (kprobes/jprobe.go). */
#include <emukp.h>

	.section .kprobes.text, "ax"

/* void jprobe_return(void): how a jprobe's entry ends. The stack is what it
 * was when the probe was hit, however deep the caller is (as
 * arch/x86_64/kernel/kprobes.c v2.6.21 does). */
FN jprobe_return
	movq	%gs:__off_cpu_jprobe_saved_sp, %rsp
	.globl	jprobe_return_int3
jprobe_return_int3:
	int3
	.globl	jprobe_return_end
jprobe_return_end:
	ud2
ENDFN jprobe_return

/* What an entry finds as its return address: only one that forgets
 * jprobe_return() comes here. */
FN jprobe_entry_returned
	int3
	ud2
ENDFN jprobe_entry_returned
