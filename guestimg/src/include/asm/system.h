/* SPDX-License-Identifier: GPL-2.0 */
/* Gone in v3.4; these took it over. */
#ifndef _ASM_SYSTEM_H
#define _ASM_SYSTEM_H
#include <linux/atomic.h>
#include <linux/irqflags.h>
#include <asm/barrier.h>
#endif
