/* SPDX-License-Identifier: GPL-2.0 */
/* The doors into the harness. They work at CPL 0 only. */
#ifndef _EMUKP_HYPERCALL_H
#define _EMUKP_HYPERCALL_H

#define HC_TRAP		1	/* regs, vector, error_code */
#define HC_PRINTK	2	/* text, len */
#define HC_PANIC	3	/* text; does not return */
#define HC_SWITCH_MM	4	/* cr3 */
#define HC_YIELD	5
#define HC_CLOCK	6	/* -> machine time in ns */
#define HC_SYSCALL	7	/* regs */
#define HC_RETHOOK	8	/* regs: the direct trampoline of return probes */
#define HC_KPROBE_FLUSH	9	/* task: its return probe instances are left over */
#define HC_FLUSH_THREAD	10	/* task: becomes another program */
#define HC_TASK_DEAD	11	/* task: its stack is not in use any more */
#define HC_RESCHED	12	/* cpu: has something to run */

#define HC_KPROBES	16	/* KP_*, pointer, number: the API of linux/kprobes.h -> int */
#define HC_GET_PAGES	17	/* order -> address of 2^order zeroed pages, 0: none left */
#define HC_FREE_PAGES	18	/* address, order */
#define HC_SPRINT_SYMBOL 19	/* buf, address, SYM_*: name as sprint_symbol -> length */
#define HC_LOOKUP_NAME	20	/* name -> address, 0: no such symbol */
#define HC_DUMP_STACK	21	/* regs, 0: the caller's */
#define HC_SYNCHRONIZE	22	/* wait until no CPU is in a handler that it is in now */
/* 32 to 47 are fault recovery's (traps), 48 and up the code changers'. */
#define HC_REGISTER_FAULT_HANDLER	32	/* handler, insert_tail, traps -> int */
#define HC_UNREGISTER_FAULT_HANDLER	33	/* handler -> int */
#define HC_SIGNAL	42	/* signal, ip, handler: a frame has been made */
#define HC_SEQUENCE	43	/* SEQ_*, ip, new ip: a restartable sequence was left */
#define HC_USER_KILLED	44	/* regs, signal, vector or -1, error_code: the end of a user task */

#define SEQ_RSEQ	0
#define SEQ_RAS		1

/* What HC_KPROBES does; add KP_JPROBE or KP_KRETPROBE for the other kinds. */
#define KP_REGISTER		0
#define KP_UNREGISTER		1
#define KP_ENABLE		2
#define KP_DISABLE		3
#define KP_REGISTER_ALL		4	/* array of pointers, number */
#define KP_UNREGISTER_ALL	5
#define KP_ENABLE_ALL		6
#define KP_DISABLE_ALL		7
#define KP_KPROBE		0
#define KP_JPROBE		8
#define KP_KRETPROBE		16

/* How HC_SPRINT_SYMBOL writes. */
#define SYM_OFFSET	1	/* +0xoff/0xsize, as %pS; without: %ps */
#define SYM_BACKTRACE	2	/* look up address - 1, as %pB */

#define VEC_HYPERCALL	0xf0
#define VEC_PUSHREGS	0xf1	/* store struct pt_regs below orig_ax */
#define VEC_POPREGS	0xf2
#define VEC_CALL_RETURN	0xf3

#ifndef __ASSEMBLER__
#include <asm/hypercall.h>
#endif
#endif
