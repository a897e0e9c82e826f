/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Handlers that may look at a fault before the exception table does, as
 * proposed for Akaros in 2015. They are asked in the order of the list; each
 * may change *regs, and says what comes next. docs/faults.md has the rules.
 */
#ifndef _LINUX_FAULT_HANDLER_H
#define _LINUX_FAULT_HANDLER_H

typedef int fault_status_t;

#define status_continue_next_handler	0	/* not mine */
#define status_fault_fixed		1	/* go on with *regs */
#define status_fail			2	/* nobody can: a signal, or an oops */

/* address is CR2 of a page fault, else 0. */
typedef fault_status_t (*fault_handler_t)(struct pt_regs *regs, int trapnr,
					  unsigned long error_code,
					  unsigned long address);

/* Which traps a handler is for, by their vectors; 0 is all that can be. */
#define FAULT_TRAP(trapnr)	(1UL << (trapnr))
#define X86_TRAP_DE		0
#define X86_TRAP_DB		1
#define X86_TRAP_BP		3
#define X86_TRAP_OF		4
#define X86_TRAP_BR		5
#define X86_TRAP_UD		6
#define X86_TRAP_NM		7
#define X86_TRAP_TS		10
#define X86_TRAP_NP		11
#define X86_TRAP_SS		12
#define X86_TRAP_GP		13
#define X86_TRAP_PF		14
#define X86_TRAP_MF		16
#define X86_TRAP_AC		17
#define X86_TRAP_XF		19

/* At the head of the list, or at its tail. -EINVAL: no function, or a trap
 * that nobody may handle; -EEXIST: it is registered. */
int register_fault_handler(fault_handler_t handler, bool insert_tail);
int register_fault_handler_for(unsigned long traps, fault_handler_t handler,
			       bool insert_tail);

/* Waits until no other CPU runs it, unless it is called from a handler.
 * -ENOENT: it is not registered. */
int unregister_fault_handler(fault_handler_t handler);
#endif
