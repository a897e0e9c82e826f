// SPDX-License-Identifier: GPL-2.0
/* Grace periods are the harness's. */
#include <emukp.h>
#include <linux/rcupdate.h>

/* Every handler that runs now on another CPU has ended. */
void __probed synchronize_sched(void)
{
	hypercall(HC_SYNCHRONIZE, 0, 0, 0, 0);
}
