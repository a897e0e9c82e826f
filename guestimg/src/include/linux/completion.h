/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_COMPLETION_H
#define _LINUX_COMPLETION_H

#include <linux/wait.h>
#include <linux/spinlock.h>

struct completion {
	unsigned int done;
	spinlock_t lock;
};

#define COMPLETION_INITIALIZER(name)	{ 0, { 0 } }
#define DECLARE_COMPLETION(name)	struct completion name = { 0, { 0 } }
#define DECLARE_COMPLETION_ONSTACK(name) DECLARE_COMPLETION(name)
#define init_completion(x)		((void)(*(x) = (struct completion) { 0, { 0 } }))
#define reinit_completion(x)		((void)((x)->done = 0))
#define INIT_COMPLETION(x)		reinit_completion(&(x))
#define completion_done(x)		(READ_ONCE((x)->done) != 0)

void complete(struct completion *x);
void complete_all(struct completion *x);
bool try_wait_for_completion(struct completion *x);
void wait_for_completion(struct completion *x);
#define wait_for_completion_interruptible(x) ({ wait_for_completion(x); 0; })
#define wait_for_completion_timeout(x, t) \
	wait_event_timeout(*(x), try_wait_for_completion(x), t)
#define wait_for_completion_killable(x)	({ wait_for_completion(x); 0; })

#endif
