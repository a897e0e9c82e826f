// SPDX-License-Identifier: GPL-2.0
/*
 * A run queue for each CPU, first in, first out, without migration
 * (kernel/sched/core.c in small).
 *
 * Lock: rq->lock guards queue, curr, nr_running and its tasks' state, on_rq.
 */
#include <emukp.h>

struct task_struct init_tasks[NR_CPUS];
struct task_struct *task_list;

/* The CPU becomes its idle task. */
void sched_init(long cpu, unsigned long stack_top)
{
	struct task_struct *idle = &init_tasks[cpu];
	struct rq *rq = &cpu_data[cpu].rq;

	snprintf(idle->comm, TASK_COMM_LEN, "swapper/%ld", cpu);
	idle->stack = stack_top;
	idle->cr3 = read_cr3();
	idle->cpu = cpu;
	idle->flags = PF_IDLE | PF_KTHREAD;
	idle->active_mm = &init_mm;
	idle->real_parent = idle;
	idle->parent = idle;
	idle->group_leader = idle;
	idle->real_cred = &init_cred;
	idle->cred = &init_cred;
	INIT_LIST_HEAD(&idle->run_list);
	INIT_LIST_HEAD(&rq->queue);
	rq->curr = idle;
	rq->idle = idle;
	idle->next = task_list;
	task_list = idle;
	cpu_data[cpu].current_task = idle;
}

static void enqueue_task(struct rq *rq, struct task_struct *p)
{
	p->on_rq = 1;
	rq->nr_running++;
	list_add_tail(&p->run_list, &rq->queue);
}

struct task_struct *__probed pick_next_task(struct rq *rq)
{
	struct task_struct *p;

	if (list_empty(&rq->queue))
		return rq->idle;
	p = list_entry(rq->queue.next, struct task_struct, run_list);
	list_del(&p->run_list);
	p->on_rq = 0;
	rq->nr_running--;
	return p;
}

/* Runs in the task that comes after prev (kernel/sched.c, v2.6.21). A dead
 * task's stack is not in use any more. */
void __probed finish_task_switch(struct task_struct *prev)
{
	if (READ_ONCE(prev->state) != TASK_DEAD)
		return;
	kprobe_flush_task(prev);
	WRITE_ONCE(prev->gone, 1);
	hypercall(HC_TASK_DEAD, (unsigned long)prev, 0, 0, 0);
}

void __probed switch_mm(struct task_struct *prev, struct task_struct *next)
{
	if (prev->cr3 != next->cr3)
		hypercall(HC_SWITCH_MM, next->cr3, 0, 0, 0);
}

/* The preempt count belongs to the task while it is switched out. */
void __probed context_switch(struct task_struct *prev, struct task_struct *next)
{
	prev->preempt_count = this_cpu_read(preempt_count);
	prev->nr_switches++;
	rseq_event(prev, RSEQ_EVENT_PREEMPT);
	switch_mm(prev, next);
	this_cpu_write(preempt_count, next->preempt_count);
	finish_task_switch(__switch_to_asm(prev, next));
}

/* A handler of a probe must not sleep: the hit would go on in another task
 * (kernel/sched.c __schedule_bug, v2.6.21; here it ends the run). */
static void noinline __schedule_bug(struct task_struct *prev)
{
	panic("BUG: scheduling while atomic: %s/%d/0x%lx", prev->comm, prev->pid,
	      preempt_count());
}

void __probed schedule(void)
{
	unsigned long flags = local_irq_save();
	struct task_struct *prev = current, *next;
	struct rq *rq = &this_cpu_read(self)->rq;

	if (unlikely(preempt_count()))
		__schedule_bug(prev);
	if (unlikely(nr_sleepers.counter))
		wake_sleepers();
	this_cpu_write(need_resched, 0);
	spin_lock(&rq->lock);
	if (prev->state == TASK_RUNNING && prev != rq->idle)
		enqueue_task(rq, prev);
	next = pick_next_task(rq);
	rq->curr = next;
	spin_unlock(&rq->lock);
	if (next != prev)
		context_switch(prev, next);
	local_irq_restore(flags);
}

/* A new task comes here from ret_from_fork, interrupts off. */
__used void schedule_tail(struct task_struct *prev)
{
	finish_task_switch(prev);
	local_irq_enable();
}

/* 1 if p was asleep. */
int __probed wake_up_process(struct task_struct *p)
{
	struct rq *rq = &cpu_data[p->cpu].rq;
	unsigned long flags = spin_lock_irqsave(&rq->lock);
	int woken = p->state == TASK_INTERRUPTIBLE ||
		    p->state == TASK_UNINTERRUPTIBLE;

	if (woken) {
		p->state = TASK_RUNNING;
		if (p != rq->curr && !p->on_rq)
			enqueue_task(rq, p);
	}
	spin_unlock_irqrestore(&rq->lock, flags);
	if (woken && p->cpu != smp_processor_id())
		hypercall(HC_RESCHED, (unsigned long)p->cpu, 0, 0, 0);
	return woken;
}

void __probed yield(void)
{
	set_current_state(TASK_RUNNING);
	schedule();
}

/* Lets the harness choose who runs next. */
void __probed yield_cpu(void)
{
	hypercall(HC_YIELD, 0, 0, 0, 0);
}

void cpu_idle(void)
{
	struct rq *rq = &this_cpu_read(self)->rq;

	for (;;) {
		local_irq_disable();
		if (unlikely(nr_sleepers.counter)) {
			wake_sleepers();
			if (!READ_ONCE(rq->nr_running) && time_is_waited_for()) {
				local_irq_enable();
				for (int i = 0; i < 100; i++)
					cpu_relax();
				yield_cpu();
				continue;
			}
		}
		if (!READ_ONCE(rq->nr_running)) {
			native_halt();
			continue;
		}
		local_irq_enable();
		schedule();
	}
}
