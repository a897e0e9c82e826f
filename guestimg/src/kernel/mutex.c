// SPDX-License-Identifier: GPL-2.0
/* Mutexes and completions. Who has to wait for a mutex lets others run. */
#include <emukp.h>
#include <linux/completion.h>
#include <linux/mutex.h>

int __probed mutex_trylock(struct mutex *m)
{
	return cmpxchg(&m->owner, NULL, current) == NULL;
}

void __probed mutex_lock(struct mutex *m)
{
	if (in_atomic())
		panic("BUG: sleeping function called from invalid context: mutex_lock in %s/%d",
		      current->comm, current->pid);
	while (!mutex_trylock(m)) {
		if (m->owner == current)
			panic("BUG: %s/%d locks a mutex at %p that it holds",
			      current->comm, current->pid, m);
		yield();
		yield_cpu();
	}
}

void __probed mutex_unlock(struct mutex *m)
{
	struct task_struct *owner = xchg(&m->owner, NULL);

	if (owner != current)
		panic("BUG: %s/%d unlocks a mutex at %p that it does not hold",
		      current->comm, current->pid, m);
}

void __probed complete(struct completion *x)
{
	unsigned long flags;

	spin_lock_irqsave(&x->lock, flags);
	if (x->done != UINT_MAX)
		x->done++;
	spin_unlock_irqrestore(&x->lock, flags);
	wake_up(x);
}

void __probed complete_all(struct completion *x)
{
	WRITE_ONCE(x->done, UINT_MAX);
	wake_up(x);
}

bool __probed try_wait_for_completion(struct completion *x)
{
	unsigned long flags;
	bool done;

	spin_lock_irqsave(&x->lock, flags);
	done = x->done != 0;
	if (done && x->done != UINT_MAX)
		x->done--;
	spin_unlock_irqrestore(&x->lock, flags);
	return done;
}

void __probed wait_for_completion(struct completion *x)
{
	wait_event(*x, try_wait_for_completion(x));
}
