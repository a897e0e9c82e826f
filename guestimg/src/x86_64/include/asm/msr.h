/* SPDX-License-Identifier: GPL-2.0 */
/* Model-specific registers. One that does not exist is a #GP: the exception
 * table gives 0 and a line in the log, or with _safe -EIO (v6.x asm/msr.h). */
#ifndef _ASM_MSR_H
#define _ASM_MSR_H

#include <asm/timex.h>

u64 native_read_msr(u32 msr);
void native_write_msr(u32 msr, u64 val);
int native_read_msr_safe(u32 msr, u64 *val);
int native_write_msr_safe(u32 msr, u64 val);

#define rdmsrl(msr, val)	((val) = native_read_msr(msr))
#define rdmsrl_safe(msr, p)	native_read_msr_safe(msr, p)
#define wrmsrl_safe(msr, val)	native_write_msr_safe(msr, val)
#endif
