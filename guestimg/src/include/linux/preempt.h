/* SPDX-License-Identifier: GPL-2.0 */
/* preempt_disable() and preempt_enable() are emukp.h's. */
#ifndef _LINUX_PREEMPT_H
#define _LINUX_PREEMPT_H

#include <linux/linkage.h>
#include <linux/types.h>

#undef preempt_count
#define preempt_count()		((int)cpu_field_read(preempt_count))

/* The count has no room for kinds of interrupts: they are counted beside it. */
#define in_irq()		(cpu_field_read(hardirq_count) != 0)
#define in_nmi()		(cpu_field_read(nmi_count) != 0)
#define in_softirq()		0
#define in_serving_softirq()	0
#define in_interrupt()		(in_irq() || in_nmi())
#define in_task()		(!in_interrupt())
#define in_hardirq()		in_irq()
#define in_atomic()		(preempt_count() != 0 || in_interrupt())
#define preemptible()		(!in_atomic() && !irqs_disabled())
#define hardirq_count()		((int)cpu_field_read(hardirq_count))

#define preempt_enable_no_resched()	preempt_enable()
#define preempt_disable_notrace()	preempt_disable()
#define preempt_enable_notrace()	preempt_enable()
#define get_cpu()		({ preempt_disable(); (int)cpu_field_read(cpu); })
#define put_cpu()		preempt_enable()

#include <linux/irqflags.h>

#endif
