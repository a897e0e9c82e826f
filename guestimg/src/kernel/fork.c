// SPDX-License-Identifier: GPL-2.0
/* Birth and death of kernel threads, and a do_fork to probe. */
#include <emukp.h>
#include <linux/cred.h>
#include <linux/sched.h>

/* What __switch_to_asm pops, and where it then returns to. */
struct inactive_task_frame {
	unsigned long r15, r14, r13, r12, bx, bp;
	unsigned long ret_addr;
};

void ret_from_fork(void);

static atomic_t last_pid = ATOMIC_INIT(0);
DEFINE_SPINLOCK(tasklist_lock);
const struct cred init_cred;	/* root's: all 0 */
struct mm_struct init_mm = {
	.mm_users = ATOMIC_INIT(2),
	.mm_count = ATOMIC_INIT(1),
};

int __probed alloc_pid(void)
{
	return atomic_add_return(1, &last_pid);
}

void __probed set_task_comm(struct task_struct *p, const char *name)
{
	strlcpy(p->comm, name, TASK_COMM_LEN);
}

/*
 * The task_struct lies at the top of the thread's own stack, so the guest
 * needs no allocator; the stack proper begins below it. The new task sleeps
 * until wake_up_process.
 */
struct task_struct *__probed kthread_create(long (*fn)(void *), void *arg,
					    unsigned long stack_top,
					    const char *name)
{
	struct task_struct *p;
	struct inactive_task_frame *frame;
	unsigned long flags;

	p = (void *)((stack_top - sizeof(*p)) & ~15UL);
	memset(p, 0, sizeof(*p));
	p->pid = alloc_pid();
	p->tgid = p->pid;
	p->mm = &init_mm;
	p->active_mm = &init_mm;
	p->real_parent = current;
	p->parent = current;
	p->group_leader = p;
	p->real_cred = &init_cred;
	p->cred = &init_cred;
	set_task_comm(p, name);
	p->stack = (unsigned long)p;
	p->cr3 = init_tasks[0].cr3;
	p->cpu = smp_processor_id();
	p->state = TASK_UNINTERRUPTIBLE;
	p->fn = fn;
	p->arg = arg;
	INIT_LIST_HEAD(&p->run_list);

	/* bp = 0 ends a walk over the frames. */
	frame = (void *)(p->stack - 16 - sizeof(*frame));
	memset(frame, 0, sizeof(*frame) + 16);
	frame->bx = (unsigned long)fn;
	frame->r12 = (unsigned long)arg;
	frame->ret_addr = (unsigned long)ret_from_fork;
	p->sp = (unsigned long)frame;

	spin_lock_irqsave(&tasklist_lock, flags);
	p->next = task_list;
	task_list = p;
	spin_unlock_irqrestore(&tasklist_lock, flags);
	return p;
}

struct task_struct *__probed kthread_run(long (*fn)(void *), void *arg,
					 unsigned long stack_top,
					 const char *name)
{
	struct task_struct *p = kthread_create(fn, arg, stack_top, name);

	wake_up_process(p);
	return p;
}

void __probed forget_task(struct task_struct *p)
{
	struct task_struct **link;
	unsigned long flags;

	spin_lock_irqsave(&tasklist_lock, flags);
	for (link = &task_list; *link; link = &(*link)->next) {
		if (*link == p) {
			*link = p->next;
			break;
		}
	}
	spin_unlock_irqrestore(&tasklist_lock, flags);
}

void __probed do_exit(long code)
{
	struct task_struct *tsk = current;

	BUG_ON(!tsk->pid);	/* the idle task */
	tsk->exit_code = code;
	forget_task(tsk);
	WRITE_ONCE(tsk->state, TASK_DEAD);
	schedule();
	BUG();
}

/* The chain that the kernel's own kprobe example probes
 * (samples/kprobes/kprobe_example.c). No second task is made. */
struct task_struct *__probed copy_process(unsigned long clone_flags,
					  unsigned long stack_start,
					  unsigned long stack_size)
{
	if (clone_flags & 1)
		return ERR_PTR(-EINVAL);
	if (stack_size && stack_start < stack_size)
		return ERR_PTR(-ENOMEM);
	return current;
}

void __probed wake_up_new_task(struct task_struct *p)
{
	p->nr_switches++;
}

int __probed kernel_clone(struct kernel_clone_args *args)
{
	struct task_struct *p = copy_process(args->flags, args->stack,
					     args->stack_size);
	int pid;

	if (IS_ERR(p))
		return (int)PTR_ERR(p);
	pid = alloc_pid();
	wake_up_new_task(p);
	if (args->parent_tid)
		*args->parent_tid = pid;
	if (args->child_tid)
		*args->child_tid = pid;
	return pid;
}

long __probed _do_fork(unsigned long clone_flags, unsigned long stack_start,
		       unsigned long stack_size, int *parent_tidptr,
		       int *child_tidptr, unsigned long tls)
{
	struct kernel_clone_args args = {
		.flags = clone_flags,
		.parent_tid = parent_tidptr,
		.child_tid = child_tidptr,
		.exit_signal = (int)(clone_flags & CSIGNAL),
		.stack = stack_start,
		.stack_size = stack_size,
		.tls = tls,
	};

	return kernel_clone(&args);
}

/* The names follow the years: do_fork to 4.1, _do_fork to 5.9, kernel_clone
 * from 5.10 on. */
long __probed do_fork(unsigned long clone_flags, unsigned long stack_start,
		      unsigned long stack_size, int *parent_tidptr,
		      int *child_tidptr)
{
	return _do_fork(clone_flags, stack_start, stack_size, parent_tidptr,
			child_tidptr, 0);
}
