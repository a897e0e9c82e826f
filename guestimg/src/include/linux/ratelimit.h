/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_RATELIMIT_H
#define _LINUX_RATELIMIT_H

#include <linux/param.h>
#include <linux/types.h>

#define DEFAULT_RATELIMIT_INTERVAL	(5 * HZ)
#define DEFAULT_RATELIMIT_BURST		10

/* Times are in jiffies of the machine's clock. */
struct ratelimit_state {
	spinlock_t lock;
	int interval, burst, printed, missed;
	unsigned long begin;
};

#define DEFINE_RATELIMIT_STATE(name, interval_init, burst_init)	\
	struct ratelimit_state name = {				\
		.interval = (interval_init), .burst = (burst_init) }

static inline void ratelimit_state_init(struct ratelimit_state *rs,
					int interval, int burst)
{
	*rs = (struct ratelimit_state) { .interval = interval, .burst = burst };
}

int ___ratelimit(struct ratelimit_state *rs, const char *func);
#define __ratelimit(state)	___ratelimit(state, __func__)

extern struct ratelimit_state printk_ratelimit_state;
#define printk_ratelimit()	__ratelimit(&printk_ratelimit_state)

#endif
