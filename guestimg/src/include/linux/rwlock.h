/* SPDX-License-Identifier: GPL-2.0 */
/* Many readers or one writer, in one word: -1 is a writer. */
#ifndef _LINUX_RWLOCK_H
#define _LINUX_RWLOCK_H

#include <linux/atomic.h>
#include <linux/irqflags.h>

typedef struct { atomic_t count; } rwlock_t;
#define __RW_LOCK_UNLOCKED(name)	{ ATOMIC_INIT(0) }
#define DEFINE_RWLOCK(name)		rwlock_t name = { ATOMIC_INIT(0) }
#define rwlock_init(lock)		atomic_set(&(lock)->count, 0)

static inline int read_trylock(rwlock_t *lock)
{
	int c = atomic_read(&lock->count);

	preempt_disable();
	if (c >= 0 && atomic_cmpxchg(&lock->count, c, c + 1) == c)
		return 1;
	preempt_enable();
	return 0;
}

static inline int write_trylock(rwlock_t *lock)
{
	preempt_disable();
	if (atomic_cmpxchg(&lock->count, 0, -1) == 0)
		return 1;
	preempt_enable();
	return 0;
}

static inline void read_lock(rwlock_t *lock)
{
	while (!read_trylock(lock))
		cpu_relax();
}

static inline void write_lock(rwlock_t *lock)
{
	while (!write_trylock(lock))
		cpu_relax();
}

static inline void read_unlock(rwlock_t *lock)
{
	atomic_dec(&lock->count);
	preempt_enable();
}

static inline void write_unlock(rwlock_t *lock)
{
	atomic_set(&lock->count, 0);
	preempt_enable();
}

#define read_lock_irqsave(lock, flags)	do { local_irq_save(flags); read_lock(lock); } while (0)
#define write_lock_irqsave(lock, flags)	do { local_irq_save(flags); write_lock(lock); } while (0)
#define read_unlock_irqrestore(lock, flags) \
	do { read_unlock(lock); local_irq_restore(flags); } while (0)
#define write_unlock_irqrestore(lock, flags) \
	do { write_unlock(lock); local_irq_restore(flags); } while (0)
#define read_lock_irq(lock)	do { local_irq_disable(); read_lock(lock); } while (0)
#define read_unlock_irq(lock)	do { read_unlock(lock); local_irq_enable(); } while (0)
#define write_lock_irq(lock)	do { local_irq_disable(); write_lock(lock); } while (0)
#define write_unlock_irq(lock)	do { write_unlock(lock); local_irq_enable(); } while (0)
#define read_lock_bh(lock)	read_lock(lock)
#define read_unlock_bh(lock)	read_unlock(lock)
#define write_lock_bh(lock)	write_lock(lock)
#define write_unlock_bh(lock)	write_unlock(lock)

#endif
