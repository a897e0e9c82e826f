/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_TIME_H
#define _LINUX_TIME_H

#include <linux/types.h>
#include <linux/math64.h>

#define MSEC_PER_SEC	1000L
#define USEC_PER_MSEC	1000L
#define NSEC_PER_USEC	1000L
#define NSEC_PER_MSEC	1000000L
#define USEC_PER_SEC	1000000L
#define NSEC_PER_SEC	1000000000L

struct timespec {
	time_t tv_sec;
	long tv_nsec;
};
#define timespec64	timespec	/* the same where time_t has 64 bits */

struct timeval {
	time_t tv_sec;
	suseconds_t tv_usec;
};

static inline s64 timespec_to_ns(const struct timespec *ts)
{
	return ts->tv_sec * NSEC_PER_SEC + ts->tv_nsec;
}
#define timespec64_to_ns(ts)	timespec_to_ns(ts)

static inline struct timespec ns_to_timespec(s64 ns)
{
	return (struct timespec) { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };
}
#define ns_to_timespec64(ns)	ns_to_timespec(ns)

static inline struct timespec timespec_sub(struct timespec a, struct timespec b)
{
	return ns_to_timespec(timespec_to_ns(&a) - timespec_to_ns(&b));
}
#define timespec64_sub(a, b)	timespec_sub(a, b)

struct tm {
	int tm_sec, tm_min, tm_hour, tm_mday, tm_mon;
	long tm_year;
	int tm_wday, tm_yday;
};

#include <linux/ktime.h>

#endif
