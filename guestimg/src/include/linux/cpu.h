/* SPDX-License-Identifier: GPL-2.0 */
/* No CPU comes or goes. */
#ifndef _LINUX_CPU_H
#define _LINUX_CPU_H

#include <linux/cpumask.h>

#define get_online_cpus()	do { } while (0)
#define put_online_cpus()	do { } while (0)
#define cpus_read_lock()	do { } while (0)
#define cpus_read_unlock()	do { } while (0)

#endif
