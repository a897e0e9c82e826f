/* SPDX-License-Identifier: GPL-2.0 */
/* A mutex that yields until it is free (kernel/mutex.c of the guest). */
#ifndef _LINUX_MUTEX_H
#define _LINUX_MUTEX_H

#include <linux/sched.h>

struct mutex {
	struct task_struct *owner;
};

#define __MUTEX_INITIALIZER(name)	{ NULL }
#define DEFINE_MUTEX(name)		struct mutex name = { NULL }
#define mutex_init(m)			((void)((m)->owner = NULL))
#define mutex_destroy(m)		((void)(m))

void mutex_lock(struct mutex *m);
int mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
#define mutex_is_locked(m)		(READ_ONCE((m)->owner) != NULL)
#define mutex_lock_interruptible(m)	({ mutex_lock(m); 0; })
#define mutex_lock_killable(m)		({ mutex_lock(m); 0; })
#define mutex_lock_nested(m, sub)	mutex_lock(m)

#endif
