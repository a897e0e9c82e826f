/* SPDX-License-Identifier: GPL-2.0 */
/* There is one namespace, and a pid is a task's number: a struct pid * that is not
 * NULL is the number, so it can't outlive anything and needs no reference. */
#ifndef _LINUX_PID_H
#define _LINUX_PID_H

#include <linux/rcupdate.h>
#include <linux/sched.h>

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID, PIDTYPE_MAX };

struct pid;

/* The task of a number, NULL: there is none; hold rcu_read_lock. */
static inline struct task_struct *find_task_by_vpid(pid_t nr)
{
	struct task_struct *p;

	for_each_process(p) {
		if (p->pid == nr)
			return p;
	}
	return NULL;
}

static inline pid_t pid_nr(struct pid *pid) { return (pid_t)(unsigned long)pid; }
static inline pid_t pid_vnr(struct pid *pid) { return pid_nr(pid); }

static inline struct pid *find_vpid(int nr)
{
	return find_task_by_vpid(nr) ? (struct pid *)(unsigned long)nr : NULL;
}

static inline struct pid *find_get_pid(pid_t nr) { return find_vpid(nr); }
static inline struct pid *get_pid(struct pid *pid) { return pid; }
static inline void put_pid(struct pid *pid) { }

static inline struct pid *task_pid(struct task_struct *task)
{
	return (struct pid *)(unsigned long)task->pid;
}
#define task_tgid(task)	task_pid(task)

/* NULL if the task has gone meanwhile. */
static inline struct task_struct *pid_task(struct pid *pid, enum pid_type type)
{
	return pid ? find_task_by_vpid(pid_nr(pid)) : NULL;
}

#endif
