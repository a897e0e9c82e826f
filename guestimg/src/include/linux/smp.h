/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_SMP_H
#define _LINUX_SMP_H

#include <linux/errno.h>
#include <linux/preempt.h>
#include <linux/cpumask.h>

#undef smp_processor_id
#define smp_processor_id()	((int)cpu_field_read(cpu))
#define raw_smp_processor_id()	smp_processor_id()

#endif
