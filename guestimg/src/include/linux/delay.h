/* SPDX-License-Identifier: GPL-2.0 */
/* The clock moves by instructions, so all of these execute some; msleep and
 * its like let other tasks and CPUs run meanwhile. */
#ifndef _LINUX_DELAY_H
#define _LINUX_DELAY_H

#include <linux/kernel.h>

void ndelay(unsigned long nsecs);
void udelay(unsigned long usecs);
void mdelay(unsigned long msecs);
void msleep(unsigned int msecs);
void usleep_range(unsigned long min, unsigned long max);
#define ssleep(seconds)			msleep((seconds) * 1000)
#define msleep_interruptible(msecs)	({ msleep(msecs); 0UL; })

#endif
