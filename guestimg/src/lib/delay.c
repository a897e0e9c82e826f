// SPDX-License-Identifier: GPL-2.0
/* Waiting, by the machine's clock, which instructions move. */
#include <emukp.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/preempt.h>

static void spin_until(u64 end)
{
	while (ktime_get_ns() < end)
		cpu_relax();
}

void __probed ndelay(unsigned long nsecs)
{
	spin_until(ktime_get_ns() + nsecs);
}

void __probed udelay(unsigned long usecs)
{
	spin_until(ktime_get_ns() + usecs * NSEC_PER_USEC);
}

void __probed mdelay(unsigned long msecs)
{
	spin_until(ktime_get_ns() + msecs * NSEC_PER_MSEC);
}

void __probed msleep(unsigned int msecs)
{
	sleep_until(ktime_get_ns() + (u64)msecs * NSEC_PER_MSEC);
}

void __probed usleep_range(unsigned long min, unsigned long max __unused)
{
	sleep_until(ktime_get_ns() + min * NSEC_PER_USEC);
}
