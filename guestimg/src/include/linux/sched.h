/* SPDX-License-Identifier: GPL-2.0 */
/* struct task_struct, schedule() and the like are emukp.h's. */
#ifndef _LINUX_SCHED_H
#define _LINUX_SCHED_H

#include <linux/types.h>
#include <linux/list.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <asm/current.h>
#include <linux/cred.h>

#define CSIGNAL			0x000000ff
#define CLONE_VM		0x00000100
#define CLONE_FS		0x00000200
#define CLONE_FILES		0x00000400
#define CLONE_SIGHAND		0x00000800
#define CLONE_PTRACE		0x00002000
#define CLONE_VFORK		0x00004000
#define CLONE_PARENT		0x00008000
#define CLONE_THREAD		0x00010000
#define CLONE_NEWNS		0x00020000
#define CLONE_SYSVSEM		0x00040000
#define CLONE_SETTLS		0x00080000
#define CLONE_PARENT_SETTID	0x00100000
#define CLONE_CHILD_CLEARTID	0x00200000
#define CLONE_CHILD_SETTID	0x01000000

#define MAX_SCHEDULE_TIMEOUT	LONG_MAX
long schedule_timeout(long timeout);
#define schedule_timeout_uninterruptible(t) \
	({ set_current_state(TASK_UNINTERRUPTIBLE); schedule_timeout(t); })
#define schedule_timeout_interruptible(t) \
	({ set_current_state(TASK_INTERRUPTIBLE); schedule_timeout(t); })

/* The argument of kernel_clone() (include/linux/sched/task.h, v5.10). */
struct kernel_clone_args {
	u64 flags;
	int __user *pidfd;
	int __user *child_tid;
	int __user *parent_tid;
	int exit_signal;
	unsigned long stack;
	unsigned long stack_size;
	unsigned long tls;
	pid_t *set_tid;
	size_t set_tid_size;
	int cgroup;
};

#define task_pid_nr(tsk)	((tsk)->pid)
#define task_pid_vnr(tsk)	((tsk)->pid)
#define task_tgid_nr(tsk)	((tsk)->tgid)
#define task_tgid_vnr(tsk)	((tsk)->tgid)
#define task_ppid_nr(tsk)	((tsk)->real_parent->tgid)
#define task_cpu(tsk)		((unsigned int)(tsk)->cpu)
#define task_stack_page(tsk)	((void *)(tsk)->stack)
#define is_global_init(tsk)	((tsk)->tgid == 1)
#define is_idle_task(tsk)	(((tsk)->flags & PF_IDLE) != 0)
#define thread_group_leader(tsk) ((tsk) == (tsk)->group_leader)
#define get_task_comm(buf, tsk)	strncpy((buf), (tsk)->comm, TASK_COMM_LEN)
#define set_task_state(tsk, s)	WRITE_ONCE((tsk)->state, (s))
#define __set_current_state(s)	set_current_state(s)
#define need_resched()		(cpu_field_read(rq.nr_running) != 0)
#define cond_resched()		({ yield(); 0; })
/* Other names for init_tasks and task_list, which a module may use for its own:
 * BuildKernelModule links them. */
#ifdef MODULE
extern struct task_struct __kernel_init_tasks[NR_CPUS], *__kernel_task_list;
#else
#define __kernel_init_tasks	init_tasks
#define __kernel_task_list	task_list
#endif
#define init_task		(__kernel_init_tasks[0])

/* All tasks but the idle ones; hold tasklist_lock or rcu_read_lock. */
#define for_each_process(p) \
	for (p = __kernel_task_list; p; p = p->next) \
		if (p->pid == 0) { } else
#define for_each_process_thread(p, t) for_each_process(p) if ((t = p))

/* There are no signals. */
#define signal_pending(tsk)	0
#define fatal_signal_pending(tsk) 0


#endif
