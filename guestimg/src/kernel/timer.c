// SPDX-License-Identifier: GPL-2.0
/*
 * Sleeping for a time. The clock moves only when instructions run, and there
 * is no timer interrupt: whoever calls schedule(), or is idle, wakes those
 * whose time has come. An idle CPU keeps the clock going as long as a process
 * waits for it, or the harness's own call waits for anything; a kernel thread
 * alone does not keep the machine busy.
 */
#include <emukp.h>
#include <linux/ktime.h>
#include <linux/jiffies.h>
#include <linux/preempt.h>
#include <linux/sched.h>

atomic_t nr_sleepers = ATOMIC_INIT(0);

/* A task that the harness calls functions in has no function of its own. */
static bool is_callers(const struct task_struct *p)
{
	return !p->fn && p->pid;
}

/* Sleeps in the state that is set, until ns or until it is woken. */
static void sleep_once(u64 ns)
{
	struct task_struct *tsk = current;

	if (in_atomic())
		panic("BUG: sleeping function called from invalid context: %s in %s/%d",
		      "schedule_timeout", tsk->comm, tsk->pid);
	atomic_inc(&nr_sleepers);
	WRITE_ONCE(tsk->wake_at, ns);
	schedule();
	WRITE_ONCE(tsk->wake_at, 0);
	atomic_dec(&nr_sleepers);
}

void __probed sleep_until(u64 ns)
{
	do {
		set_current_state(TASK_UNINTERRUPTIBLE);
		sleep_once(ns);
	} while (ktime_get_ns() < ns);
}

/* The jiffies that were left when it was woken. */
long __probed schedule_timeout(long timeout)
{
	u64 end = ktime_get_ns() + jiffies_to_nsecs(timeout), now;

	if (timeout == MAX_SCHEDULE_TIMEOUT) {
		schedule();
		return timeout;
	}
	if (timeout < 0) {
		printk(KERN_ERR "schedule_timeout: wrong timeout value %lx\n", timeout);
		set_current_state(TASK_RUNNING);
		return 0;
	}
	sleep_once(end);
	now = ktime_get_ns();
	return now < end ? (long)nsecs_to_jiffies(end - now + jiffies_to_nsecs(1) - 1) : 0;
}

void wake_sleepers(void)
{
	u64 now = ktime_get_ns();
	struct task_struct *p;
	unsigned long flags = (spin_lock_irqsave)(&tasklist_lock);

	for (p = task_list; p; p = p->next) {
		if (p->wake_at && p->wake_at <= now) {
			WRITE_ONCE(p->wake_at, 0);
			wake_up_process(p);
		}
	}
	spin_unlock_irqrestore(&tasklist_lock, flags);
}

int time_is_waited_for(void)
{
	struct task_struct *p;
	bool sleeper = false, waited = false;
	unsigned long flags = (spin_lock_irqsave)(&tasklist_lock);

	for (p = task_list; p; p = p->next) {
		if (p->wake_at)
			sleeper = true;
		if ((p->wake_at && p->mm) ||
		    (is_callers(p) && p->state != TASK_RUNNING))
			waited = true;
	}
	spin_unlock_irqrestore(&tasklist_lock, flags);
	return sleeper && waited;
}
