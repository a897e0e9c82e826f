// SPDX-License-Identifier: GPL-2.0
/* Tasks that the harness starts and ends, and a way to sleep. */
#include <emukp.h>

typedef long call_fn(long, long, long, long, long, long,
		     long, long, long, long, long, long);

/* Body of a task: one call. More arguments than fn takes do no harm. */
long __probed task_call(void *arg)
{
	const struct task_call *tc = arg;
	const long *a = tc->args;
	call_fn *fn = (call_fn *)tc->fn;

	return fn(a[0], a[1], a[2], a[3], a[4], a[5],
		  a[6], a[7], a[8], a[9], a[10], a[11]);
}

/* Until wake_up(chan). */
long __probed sleep_on(void *chan)
{
	struct task_struct *tsk = current;

	set_current_state(TASK_UNINTERRUPTIBLE);
	WRITE_ONCE(tsk->wchan, chan);	/* from here on wake_up finds it */
	schedule();
	tsk->wchan = NULL;
	return 0;
}

/* Wakes all that sleep on chan and says how many they were. */
int __probed wake_up(void *chan)
{
	unsigned long flags = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p;
	int n = 0;

	for (p = task_list; p; p = p->next) {
		if (p->wchan == chan && chan)
			n += wake_up_process(p);
	}
	spin_unlock_irqrestore(&tasklist_lock, flags);
	return n;
}

/* Ends a task that is not running now. Nothing of it runs again, so that its
 * stack may be freed. */
int __probed kill_task(struct task_struct *p)
{
	struct rq *rq = &cpu_data[p->cpu].rq;
	unsigned long flags = spin_lock_irqsave(&rq->lock);
	int ret = p == rq->curr ? -EBUSY : 0;

	if (!ret) {
		if (p->on_rq) {
			list_del(&p->run_list);
			p->on_rq = 0;
			rq->nr_running--;
		}
		p->state = TASK_DEAD;
	}
	spin_unlock_irqrestore(&rq->lock, flags);
	if (!ret) {
		forget_task(p);
		finish_task_switch(p);
	}
	return ret;
}
