// SPDX-License-Identifier: GPL-2.0
/* Threads of modules (kernel/kthread.c). Only kthread_stop() gives the stack of
 * one back, with the task_struct that lies in it. */
#include <emukp.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/printk.h>
#include <linux/thread_info.h>

#define STACK_ORDER	2

_Static_assert((PAGE_SIZE << STACK_ORDER) == THREAD_SIZE, "STACK_ORDER");

/* At the bottom of the stack. */
struct kthread {
	int (*threadfn)(void *data);
	void *data;
	bool should_stop;
};

static long kthread_main(void *arg)
{
	struct kthread *k = arg;

	return k->threadfn(k->data);
}

static struct kthread *to_kthread(struct task_struct *p)
{
	BUG_ON(p->fn != kthread_main);
	return p->arg;
}

struct task_struct *__probed kthread_create_fmt(int (*threadfn)(void *data),
						void *data, const char *namefmt, ...)
{
	unsigned long stack = __get_free_pages(GFP_KERNEL, STACK_ORDER);
	struct kthread *k = (struct kthread *)stack;
	char name[TASK_COMM_LEN];
	struct task_struct *p;
	va_list args;

	if (!stack)
		return ERR_PTR(-ENOMEM);
	k->threadfn = threadfn;
	k->data = data;
	va_start(args, namefmt);
	vsnprintf(name, sizeof(name), namefmt, args);
	va_end(args);
	p = (kthread_create)(kthread_main, k, stack + THREAD_SIZE, name);
	p->flags |= PF_KTHREAD;
	p->mm = NULL;
	return p;
}

bool __probed kthread_should_stop(void)
{
	return READ_ONCE(to_kthread(current)->should_stop);
}

/* Waits until the thread has ended, and returns what it returned. */
int __probed kthread_stop(struct task_struct *p)
{
	struct kthread *k = to_kthread(p);
	int ret;

	WRITE_ONCE(k->should_stop, true);
	wake_up_process(p);
	while (!READ_ONCE(p->gone)) {
		yield();
		yield_cpu();
	}
	ret = (int)p->exit_code;
	free_pages((unsigned long)k, STACK_ORDER);
	return ret;
}
