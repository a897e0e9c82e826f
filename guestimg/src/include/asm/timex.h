/* SPDX-License-Identifier: GPL-2.0 */
/* RDTSC counts instructions. */
#ifndef _ASM_TIMEX_H
#define _ASM_TIMEX_H

#include <linux/types.h>

typedef unsigned long long cycles_t;

static __always_inline unsigned long long rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a" (lo), "=d" (hi));
	return (u64)hi << 32 | lo;
}
#define get_cycles()		((cycles_t)rdtsc())
#define rdtsc_ordered()		rdtsc()
#define rdtscll(val)		((val) = rdtsc())

#endif
