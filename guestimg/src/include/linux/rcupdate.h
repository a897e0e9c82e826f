/* SPDX-License-Identifier: GPL-2.0 */
/* Readers are CPUs with preemption off. Waiting for them may let them run, so
 * it must not be done where sleeping is not allowed. There is no call_rcu(). */
#ifndef _LINUX_RCUPDATE_H
#define _LINUX_RCUPDATE_H

#include <linux/preempt.h>
#include <asm/barrier.h>

#define rcu_read_lock()			preempt_disable()
#define rcu_read_unlock()		preempt_enable()
#define rcu_read_lock_sched()		preempt_disable()
#define rcu_read_unlock_sched()		preempt_enable()
#define rcu_read_lock_bh()		preempt_disable()
#define rcu_read_unlock_bh()		preempt_enable()
#define rcu_dereference(p)		READ_ONCE(p)
#define rcu_dereference_check(p, c)	READ_ONCE(p)
#define rcu_dereference_protected(p, c)	(p)
#define rcu_dereference_raw(p)		READ_ONCE(p)
#define rcu_dereference_sched(p)	READ_ONCE(p)
#define rcu_access_pointer(p)		READ_ONCE(p)
#define rcu_assign_pointer(p, v)	smp_store_release(&(p), v)
void synchronize_sched(void);
#define synchronize_rcu()		synchronize_sched()
#define synchronize_rcu_bh()		synchronize_sched()
#define RCU_INIT_POINTER(p, v)		((p) = (v))

#endif
