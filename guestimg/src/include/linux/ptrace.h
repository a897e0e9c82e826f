/* SPDX-License-Identifier: GPL-2.0 */
/* What asks about struct pt_regs is in asm/ptrace.h, which emukp.h includes. */
#ifndef _LINUX_PTRACE_H
#define _LINUX_PTRACE_H

#include <linux/sched.h>
#include <asm/ptrace.h>

int regs_query_register_offset(const char *name);
const char *regs_query_register_name(unsigned int offset);

#define GET_IP(regs)		((regs)->ip)
#define GET_FP(regs)		((regs)->bp)
#define GET_USP(regs)		((regs)->sp)

#endif
