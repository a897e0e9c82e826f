// SPDX-License-Identifier: GPL-2.0
/*
 * One function for each trap, called by the entry stubs. Each asks the
 * harness (HC_TRAP), where the kprobes subsystem lives. Those that the path
 * of a probe hit runs through are closed to probes, as in v2.6.32
 * arch/x86/kernel/traps.c; the others may be probed.
 */
#include <emukp.h>

#define TRAP(regs, nr, err) \
	hypercall(HC_TRAP, (unsigned long)(regs), (nr), (unsigned long)(err), 0)

#define DO_TRAP(attr, nr, name)						\
void attr do_##name(struct pt_regs *regs, long error_code)		\
{									\
	TRAP(regs, nr, error_code);					\
}

DO_TRAP(__probed, 0, divide_error)
DO_TRAP(__kprobes, 1, debug)
DO_TRAP(__kprobes, 3, int3)
DO_TRAP(__probed, 4, overflow)
DO_TRAP(__probed, 5, bounds)
DO_TRAP(__probed, 6, invalid_op)
DO_TRAP(__probed, 7, device_not_available)
DO_TRAP(__kprobes, 8, double_fault)
DO_TRAP(__probed, 10, invalid_TSS)
DO_TRAP(__probed, 11, segment_not_present)
DO_TRAP(__probed, 12, stack_segment)
DO_TRAP(__kprobes, 13, general_protection)
DO_TRAP(__probed, 16, coprocessor_error)
DO_TRAP(__probed, 17, alignment_check)
DO_TRAP(__kprobes, 18, machine_check)
DO_TRAP(__probed, 19, simd_coprocessor_error)

void __kprobes do_trap(struct pt_regs *regs, long error_code, long trapnr)
{
	TRAP(regs, (unsigned long)trapnr, error_code);
}

/* What register_nmi_handler was given; only it can be probed. */
static nmi_handler_t nmi_handler;

void register_nmi_handler(nmi_handler_t handler)
{
	WRITE_ONCE(nmi_handler, handler);
}

void __kprobes do_nmi(struct pt_regs *regs, long error_code)
{
	nmi_handler_t handler;

	cpu_field_inc(nmi_count);
	TRAP(regs, 2, error_code);
	handler = READ_ONCE(nmi_handler);
	if (handler)
		handler(regs);
	if (user_mode(regs))
		rseq_event(current, RSEQ_EVENT_NMI);
	cpu_field_dec(nmi_count);
}

/* CR2 is read first: a nested fault (copy_from_user in a handler) changes it. */
void __kprobes do_page_fault(struct pt_regs *regs, long error_code)
{
	struct task_struct *tsk = current;
	unsigned long address = read_cr2();

	tsk->cr2 = address;
	tsk->trap_nr = 14;
	tsk->error_code = (unsigned long)error_code;
	TRAP(regs, 14, error_code);
	if (user_mode(regs))
		rseq_event(tsk, RSEQ_EVENT_FAULT);
}

void __probed do_IRQ(struct pt_regs *regs, long vector)
{
	cpu_field_inc(irq_count);
	cpu_field_inc(hardirq_count);
	if (vector == RESCHEDULE_VECTOR)
		this_cpu_write(need_resched, 1);
	TRAP(regs, (unsigned long)vector, 0);
	cpu_field_dec(hardirq_count);
}

/* The number is in orig_ax; ax is preset as entry_SYSCALL_64 does. */
void __probed do_syscall(struct pt_regs *regs)
{
	regs->ax = (unsigned long)-ENOSYS;
	hypercall(HC_SYSCALL, (unsigned long)regs, 0, 0, 0);
	if (!current->user)
		return;		/* entered by enter_user alone */
	local_irq_enable();
	regs->ax = (unsigned long)do_syscall_64((long)regs->orig_ax, regs);
	local_irq_disable();
}

void __probed do_int80(struct pt_regs *regs)
{
	regs->ax = (unsigned long)-ENOSYS;
	hypercall(HC_SYSCALL, (unsigned long)regs, 0x80, 0, 0);
}
