/* SPDX-License-Identifier: GPL-2.0 */
/* Nanoseconds of the machine's clock, which every instruction of any CPU
 * moves by 100 ns. */
#ifndef _LINUX_KTIME_H
#define _LINUX_KTIME_H

#include <linux/time.h>
#include <linux/jiffies.h>

typedef s64 ktime_t;	/* as since v4.10 */

#define KTIME_MAX	((s64)~((u64)1 << 63))

#define ktime_get()		((ktime_t)(ktime_get)())
#define ktime_get_ns()		((u64)(ktime_get)())
#define ktime_get_raw()		ktime_get()
#define ktime_get_raw_ns()	ktime_get_ns()
#define ktime_get_mono_fast_ns() ktime_get_ns()
/* The machine began in 1970, and never sleeps. */
#define ktime_get_real()	ktime_get()
#define ktime_get_real_ns()	ktime_get_ns()
#define ktime_get_boottime()	ktime_get()
#define ktime_get_boot_ns()	ktime_get_ns()
#define ktime_get_seconds()	((time64_t)(ktime_get() / NSEC_PER_SEC))
#define ktime_get_real_seconds() ktime_get_seconds()

static inline ktime_t ktime_set(s64 secs, unsigned long nsecs)
{
	return secs * NSEC_PER_SEC + (s64)nsecs;
}

static inline int ktime_compare(ktime_t a, ktime_t b)
{
	return (a > b) - (a < b);
}

#define ktime_sub(a, b)		((ktime_t)((a) - (b)))
#define ktime_add(a, b)		((ktime_t)((a) + (b)))
#define ktime_add_ns(a, ns)	((ktime_t)((a) + (s64)(ns)))
#define ktime_sub_ns(a, ns)	((ktime_t)((a) - (s64)(ns)))
#define ktime_add_us(a, us)	ktime_add_ns(a, (us) * NSEC_PER_USEC)
#define ktime_add_ms(a, ms)	ktime_add_ns(a, (ms) * NSEC_PER_MSEC)
#define ktime_equal(a, b)	((a) == (b))
#define ktime_after(a, b)	((a) > (b))
#define ktime_before(a, b)	((a) < (b))
#define ktime_to_ns(kt)		((s64)(kt))
#define ktime_to_us(kt)		((s64)(kt) / NSEC_PER_USEC)
#define ktime_to_ms(kt)		((s64)(kt) / NSEC_PER_MSEC)
#define ktime_us_delta(a, b)	ktime_to_us(ktime_sub(a, b))
#define ktime_ms_delta(a, b)	ktime_to_ms(ktime_sub(a, b))
#define ns_to_ktime(ns)		((ktime_t)(ns))
#define ms_to_ktime(ms)		((ktime_t)(ms) * NSEC_PER_MSEC)
#define us_to_ktime(us)		((ktime_t)(us) * NSEC_PER_USEC)

static inline struct timespec ktime_to_timespec(ktime_t kt)
{
	return (struct timespec) { kt / NSEC_PER_SEC, kt % NSEC_PER_SEC };
}
#define ktime_to_timespec64(kt)	ktime_to_timespec(kt)

#define getnstimeofday(ts)	((void)(*(ts) = ktime_to_timespec(ktime_get())))
#define ktime_get_ts(ts)	getnstimeofday(ts)
#define ktime_get_real_ts(ts)	getnstimeofday(ts)
#define ktime_get_ts64(ts)	getnstimeofday(ts)
#define ktime_get_real_ts64(ts)	getnstimeofday(ts)
#define getrawmonotonic(ts)	getnstimeofday(ts)
#define current_kernel_time()	ktime_to_timespec(ktime_get())
#define get_seconds()		((unsigned long)ktime_get_seconds())

static inline void do_gettimeofday(struct timeval *tv)
{
	ktime_t now = ktime_get();

	tv->tv_sec = now / NSEC_PER_SEC;
	tv->tv_usec = now % NSEC_PER_SEC / NSEC_PER_USEC;
}

#endif
