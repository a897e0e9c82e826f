/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_IRQFLAGS_H
#define _LINUX_IRQFLAGS_H

#include <linux/types.h>

/* emukp.h's return the flags. */
#define local_irq_save(flags)		((flags) = (local_irq_save)())
#define local_save_flags(flags)		((flags) = (local_save_flags)())
#define raw_local_irq_save(flags)	local_irq_save(flags)
#define raw_local_irq_restore(flags)	local_irq_restore(flags)
#define raw_local_irq_disable()		local_irq_disable()
#define raw_local_irq_enable()		local_irq_enable()
#define irqs_disabled()			(!((local_save_flags)() & X86_EFLAGS_IF))
#define irqs_disabled_flags(flags)	(!((flags) & X86_EFLAGS_IF))

#endif
