/* SPDX-License-Identifier: GPL-2.0 */
/* Modules can ask where they are, but have no interrupts of their own. */
#ifndef _LINUX_INTERRUPT_H
#define _LINUX_INTERRUPT_H

#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/irqreturn.h>

#endif
