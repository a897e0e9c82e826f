/* SPDX-License-Identifier: GPL-2.0 */
/* A view of the machine's clock: one is 10,000 instructions. */
#ifndef _LINUX_JIFFIES_H
#define _LINUX_JIFFIES_H

#include <linux/types.h>
#include <linux/param.h>

#define jiffies			((ktime_get)() / (1000000000UL / HZ))
#define jiffies_64		((u64)jiffies)
#define get_jiffies_64()	jiffies_64
#define MAX_JIFFY_OFFSET	((~0UL >> 1) - 1)

#define time_after(a, b)	((long)((b) - (a)) < 0)
#define time_before(a, b)	time_after(b, a)
#define time_after_eq(a, b)	((long)((a) - (b)) >= 0)
#define time_before_eq(a, b)	time_after_eq(b, a)
#define time_in_range(a, b, c)	(time_after_eq(a, b) && time_before_eq(a, c))
#define time_is_before_jiffies(a) time_after(jiffies, a)
#define time_is_after_jiffies(a) time_before(jiffies, a)

#define jiffies_to_msecs(j)	((unsigned int)((j) * (1000 / HZ)))
#define jiffies_to_usecs(j)	((unsigned int)((j) * (1000000 / HZ)))
#define jiffies_to_nsecs(j)	((u64)(j) * (1000000000 / HZ))
#define msecs_to_jiffies(m)	((unsigned long)(m) / (1000 / HZ))
#define usecs_to_jiffies(u)	(((unsigned long)(u) + 1000000 / HZ - 1) / (1000000 / HZ))
#define nsecs_to_jiffies(n)	((unsigned long)(n) / (1000000000 / HZ))

#include <linux/time.h>

#endif
