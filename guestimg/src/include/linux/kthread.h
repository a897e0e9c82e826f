/* SPDX-License-Identifier: GPL-2.0 */
/* Threads of modules (kernel/kthread.c of the guest). */
#ifndef _LINUX_KTHREAD_H
#define _LINUX_KTHREAD_H

#include <linux/err.h>
#include <linux/sched.h>

/* Asleep until wake_up_process(), on the CPU of the caller; an ERR_PTR where
 * there is no memory for a stack. */
struct task_struct *kthread_create_fmt(int (*threadfn)(void *data), void *data,
				       const char *namefmt, ...) __printf(3, 4);
int kthread_stop(struct task_struct *k);
bool kthread_should_stop(void);
#define kthread_create(threadfn, data, namefmt, ...) \
	kthread_create_fmt(threadfn, data, namefmt, ##__VA_ARGS__)
#define kthread_run(threadfn, data, namefmt, ...) ({			\
	struct task_struct *k__ =					\
		kthread_create_fmt(threadfn, data, namefmt, ##__VA_ARGS__); \
	if (!IS_ERR(k__))						\
		wake_up_process(k__);					\
	k__; })

#endif
