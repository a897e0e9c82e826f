/* SPDX-License-Identifier: GPL-2.0 */
/* The locks are emukp.h's, 4 bytes each: a raw one is the same. */
#ifndef _LINUX_SPINLOCK_H
#define _LINUX_SPINLOCK_H

#include <linux/preempt.h>
#include <linux/atomic.h>
#include <linux/bug.h>

typedef spinlock_t raw_spinlock_t;
typedef spinlock_t arch_spinlock_t;
#define __SPIN_LOCK_UNLOCKED(name)	{ 0 }
#define __RAW_SPIN_LOCK_UNLOCKED(name)	{ 0 }
#define __ARCH_SPIN_LOCK_UNLOCKED	{ 0 }
#define DEFINE_RAW_SPINLOCK(name)	raw_spinlock_t name = { 0 }
#define spin_lock_init(lock)		((void)((lock)->locked = 0))
#define raw_spin_lock_init(lock)	spin_lock_init(lock)

/* emukp.h's returns the flags. */
#define spin_lock_irqsave(lock, flags)	((flags) = (spin_lock_irqsave)(lock))
#define spin_lock_irqsave_nested(lock, flags, sub) spin_lock_irqsave(lock, flags)
#define spin_lock_nested(lock, sub)	spin_lock(lock)
#define spin_lock_irq(lock)		do { local_irq_disable(); spin_lock(lock); } while (0)
#define spin_unlock_irq(lock)		do { spin_unlock(lock); local_irq_enable(); } while (0)
#define spin_trylock_irqsave(lock, flags) ({				\
	local_irq_save(flags);						\
	int got__ = spin_trylock(lock);					\
	if (!got__)							\
		local_irq_restore(flags);				\
	got__; })
#define spin_is_locked(lock)		((lock)->locked != 0)
#define assert_spin_locked(lock)	BUG_ON(!spin_is_locked(lock))
/* There are no softirqs to keep out. */
#define spin_lock_bh(lock)		spin_lock(lock)
#define spin_unlock_bh(lock)		spin_unlock(lock)
#define spin_trylock_bh(lock)		spin_trylock(lock)

#define raw_spin_lock(lock)		spin_lock(lock)
#define raw_spin_unlock(lock)		spin_unlock(lock)
#define raw_spin_trylock(lock)		spin_trylock(lock)
#define raw_spin_lock_irq(lock)		spin_lock_irq(lock)
#define raw_spin_unlock_irq(lock)	spin_unlock_irq(lock)
#define raw_spin_lock_irqsave(lock, flags) spin_lock_irqsave(lock, flags)
#define raw_spin_unlock_irqrestore(lock, flags) spin_unlock_irqrestore(lock, flags)
#define raw_spin_is_locked(lock)	spin_is_locked(lock)
#define arch_spin_lock(lock)		spin_lock(lock)
#define arch_spin_unlock(lock)		spin_unlock(lock)

#include <linux/rwlock.h>

#endif
