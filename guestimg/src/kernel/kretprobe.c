// SPDX-License-Identifier: GPL-2.0
/* What the direct trampoline calls. Return probes themselves are Go's. */
#include <emukp.h>

void __kprobes arch_rethook_trampoline_callback(struct pt_regs *regs);

/* Copying the flags to ss lets the trampoline end in popf; ret. */
__used void __kprobes arch_rethook_trampoline_callback(struct pt_regs *regs)
{
	unsigned long *frame = (unsigned long *)(regs + 1);

	regs->sp += 2 * sizeof(long);
	hypercall(HC_RETHOOK, (unsigned long)regs, 0, 0, 0);
	*frame = regs->ip;
	regs->ss = regs->flags;
}

/* A task is gone for good, or forgets who it was: its return probe instances
 * are left over (kernel/kprobes.c kprobe_flush_task). */
void __kprobes kprobe_flush_task(struct task_struct *tsk)
{
	hypercall(HC_KPROBE_FLUSH, (unsigned long)tsk, 0, 0, 0);
}
