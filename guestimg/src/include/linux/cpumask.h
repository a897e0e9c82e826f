/* SPDX-License-Identifier: GPL-2.0 */
/* CPUs are numbered from 0 without gaps, and all that there are run. */
#ifndef _LINUX_CPUMASK_H
#define _LINUX_CPUMASK_H

#include <linux/bitops.h>

int num_online_cpus(void);
#define num_possible_cpus()	num_online_cpus()
#define num_present_cpus()	num_online_cpus()
#define nr_cpu_ids		((unsigned int)num_online_cpus())
#define cpu_online(cpu)		((unsigned int)(cpu) < nr_cpu_ids)
#define cpu_possible(cpu)	cpu_online(cpu)
#define cpu_present(cpu)	cpu_online(cpu)
#define for_each_online_cpu(cpu) \
	for ((cpu) = 0; (int)(cpu) < num_online_cpus(); (cpu)++)
#define for_each_possible_cpu(cpu)	for_each_online_cpu(cpu)
#define for_each_present_cpu(cpu)	for_each_online_cpu(cpu)

#endif
