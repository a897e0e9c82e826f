// SPDX-License-Identifier: GPL-2.0
/* Boot, after the CPU's own state is set (init/main.c, arch/x86/kernel/
 * smpboot.c). Interrupts stay off: the harness takes over next. */
#include <emukp.h>

static atomic_t nr_cpus_online = ATOMIC_INIT(0);

void __probed start_secondary(void)
{
	atomic_inc(&nr_cpus_online);
}

void __probed start_kernel(void)
{
	start_secondary();
}

int __probed num_online_cpus(void)
{
	return atomic_read(&nr_cpus_online);
}
