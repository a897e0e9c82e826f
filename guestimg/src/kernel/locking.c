// SPDX-License-Identifier: GPL-2.0
/* Spinlocks, atomics, a per-CPU counter. The i386 instructions are the same. */
#include <emukp.h>

int __probed spin_trylock(spinlock_t *lock)
{
	int old = 0;

	preempt_disable();
	asm volatile("lock; cmpxchgl %2, %1"
		     : "+a" (old), "+m" (lock->locked)
		     : "r" (1) : "memory", "cc");
	if (old == 0)
		return 1;
	preempt_enable();
	return 0;
}

void __probed spin_lock(spinlock_t *lock)
{
	int v;

	preempt_disable();
	for (;;) {
		v = 1;
		asm volatile("xchgl %0, %1"
			     : "+r" (v), "+m" (lock->locked) : : "memory");
		if (v == 0)
			return;
		while (lock->locked)
			cpu_relax();
	}
}

void __probed spin_unlock(spinlock_t *lock)
{
	asm volatile("movl $0, %0" : "=m" (lock->locked) : : "memory");
	preempt_enable();
}

unsigned long __probed spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags = local_irq_save();

	spin_lock(lock);
	return flags;
}

void __probed spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock(lock);
	local_irq_restore(flags);
}

int __probed atomic_read(const atomic_t *v)
{
	return v->counter;
}

void __probed atomic_set(atomic_t *v, int i)
{
	v->counter = i;
}

void __probed atomic_add(int i, atomic_t *v)
{
	asm volatile("lock; addl %1, %0"
		     : "+m" (v->counter) : "ir" (i) : "memory", "cc");
}

void __probed atomic_inc(atomic_t *v)
{
	asm volatile("lock; incl %0" : "+m" (v->counter) : : "memory", "cc");
}

void __probed atomic_dec(atomic_t *v)
{
	asm volatile("lock; decl %0" : "+m" (v->counter) : : "memory", "cc");
}

int __probed atomic_add_return(int i, atomic_t *v)
{
	int old = i;

	asm volatile("lock; xaddl %0, %1"
		     : "+r" (old), "+m" (v->counter) : : "memory", "cc");
	return old + i;
}

int __probed atomic_dec_and_test(atomic_t *v)
{
	u8 zero;

	asm volatile("lock; decl %0; sete %1"
		     : "+m" (v->counter), "=qm" (zero) : : "memory", "cc");
	return zero;
}

int __probed atomic_cmpxchg(atomic_t *v, int old, int new)
{
	asm volatile("lock; cmpxchgl %2, %1"
		     : "+a" (old), "+m" (v->counter)
		     : "r" (new) : "memory", "cc");
	return old;
}

int __probed atomic_xchg(atomic_t *v, int new)
{
	asm volatile("xchgl %0, %1"
		     : "+r" (new), "+m" (v->counter) : : "memory");
	return new;
}

/* One instruction on this CPU's counter: no lock, no preempt_disable. */
void __probed count_event(void)
{
	this_cpu_inc(counter);
}

unsigned long __probed read_events(long cpu)
{
	return READ_ONCE(cpu_data[cpu].counter);
}

unsigned long __probed ktime_get(void)
{
	return (unsigned long)hypercall(HC_CLOCK, 0, 0, 0, 0);
}
