/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MATH64_H
#define _LINUX_MATH64_H

#include <linux/types.h>

static inline u64 div_u64(u64 n, u32 d) { return n / d; }
static inline s64 div_s64(s64 n, s32 d) { return n / d; }
static inline u64 div64_u64(u64 n, u64 d) { return n / d; }
static inline s64 div64_s64(s64 n, s64 d) { return n / d; }
#define div64_long(x, y)	div64_s64(x, y)
#define div64_ul(x, y)		div64_u64(x, y)

/* n becomes the quotient, the remainder is returned. */
#define do_div(n, base) ({				\
	u32 do_div_rem__ = (u32)((u64)(n) % (u32)(base)); \
	(n) = (u64)(n) / (u32)(base);			\
	do_div_rem__; })

#endif
