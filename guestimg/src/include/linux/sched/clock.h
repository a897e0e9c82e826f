/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_SCHED_CLOCK_H
#define _LINUX_SCHED_CLOCK_H

#include <linux/ktime.h>

/* The machine has one clock for all CPUs. */
#define sched_clock()		((u64)(ktime_get)())
#define local_clock()		sched_clock()
#define cpu_clock(cpu)		sched_clock()

#endif
