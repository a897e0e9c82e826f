/* SPDX-License-Identifier: GPL-2.0 */
/* A wait queue is an address to sleep on: the tasks themselves know where
 * they sleep (kernel/task.c). */
#ifndef _LINUX_WAIT_H
#define _LINUX_WAIT_H

#include <linux/sched.h>

struct wait_queue_head {
	int unused;
};
typedef struct wait_queue_head wait_queue_head_t;

#define DECLARE_WAIT_QUEUE_HEAD(name)	wait_queue_head_t name
#define init_waitqueue_head(wq)		((void)((wq)->unused = 0))

/* The state is set before the condition is looked at: a wake_up() in between
 * is not lost. */
#define wait_event(wq, cond) do {					\
	for (;;) {							\
		set_current_state(TASK_UNINTERRUPTIBLE);		\
		WRITE_ONCE(current->wchan, (void *)&(wq));		\
		if (cond)						\
			break;						\
		schedule();						\
	}								\
	WRITE_ONCE(current->wchan, NULL);				\
	set_current_state(TASK_RUNNING);				\
	} while (0)
/* 0: the time was up first; otherwise the jiffies that were left, at least 1. */
#define wait_event_timeout(wq, cond, timeout) ({			\
	long left__ = (timeout), done__ = 0;				\
	for (;;) {							\
		set_current_state(TASK_UNINTERRUPTIBLE);		\
		WRITE_ONCE(current->wchan, (void *)&(wq));		\
		done__ = !!(cond);					\
		if (done__ || !left__)					\
			break;						\
		left__ = schedule_timeout(left__);			\
	}								\
	WRITE_ONCE(current->wchan, NULL);				\
	set_current_state(TASK_RUNNING);				\
	done__ ? max(left__, 1L) : 0L; })
#define wait_event_interruptible_timeout(wq, cond, t)	wait_event_timeout(wq, cond, t)
#define wait_event_interruptible(wq, cond)	({ wait_event(wq, cond); 0; })
#define wait_event_killable(wq, cond)		({ wait_event(wq, cond); 0; })
#define wake_up_all(wq)				wake_up(wq)
#define wake_up_interruptible(wq)		wake_up(wq)
#define wake_up_interruptible_all(wq)		wake_up(wq)

#endif
