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

#define VEC_HYPERCALL	0xf0
#define VEC_PUSHREGS	0xf1	/* store struct pt_regs below orig_ax */
#define VEC_POPREGS	0xf2
#define VEC_CALL_RETURN	0xf3

#ifndef __ASSEMBLER__
#include <asm/hypercall.h>
#endif
#endif
