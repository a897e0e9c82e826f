/* SPDX-License-Identifier: GPL-2.0 */
/* atomic_t's basic operations are functions (kernel/locking.c). */
#ifndef _LINUX_ATOMIC_H
#define _LINUX_ATOMIC_H

#include <linux/types.h>
#include <asm/barrier.h>

#define atomic_sub(i, v)		atomic_add(-(i), v)
#define atomic_sub_return(i, v)		atomic_add_return(-(i), v)
#define atomic_inc_return(v)		atomic_add_return(1, v)
#define atomic_dec_return(v)		atomic_add_return(-1, v)
#define atomic_inc_and_test(v)		(atomic_add_return(1, v) == 0)
#define atomic_sub_and_test(i, v)	(atomic_add_return(-(i), v) == 0)
#define atomic_add_negative(i, v)	(atomic_add_return(i, v) < 0)
#define atomic_fetch_add(i, v)		(atomic_add_return(i, v) - (i))
#define atomic_fetch_inc(v)		atomic_fetch_add(1, v)
#define atomic_add_unless(v, a, u)	(atomic_fetch_add_unless(v, a, u) != (u))
#define atomic_inc_not_zero(v)		atomic_add_unless(v, 1, 0)

static inline int atomic_fetch_add_unless(atomic_t *v, int a, int u)
{
	int c = atomic_read(v), old;

	while (c != u && (old = atomic_cmpxchg(v, c, c + a)) != c)
		c = old;
	return c;
}

#define xchg(p, v) ({							\
	__typeof__(*(p)) xchg__ = (v);					\
	asm volatile("xchg %0, %1" : "+r" (xchg__), "+m" (*(p)) : : "memory"); \
	xchg__; })
#define cmpxchg(p, o, n)		__sync_val_compare_and_swap(p, o, n)
#define cmpxchg64(p, o, n)		__sync_val_compare_and_swap(p, o, n)
#define try_cmpxchg(p, op, n)						\
	__atomic_compare_exchange_n(p, op, n, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define ATOMIC64_INIT(i)		{ (i) }
#define ATOMIC_LONG_INIT(i)		{ (i) }

#define __ATOMIC_OPS(pfx, type, atype)					\
static __always_inline type pfx##_read(const atype *v)			\
{									\
	return READ_ONCE(v->counter);					\
}									\
static __always_inline void pfx##_set(atype *v, type i)			\
{									\
	WRITE_ONCE(v->counter, i);					\
}									\
static __always_inline type pfx##_add_return(type i, atype *v)		\
{									\
	return __sync_add_and_fetch(&v->counter, i);			\
}									\
static __always_inline void pfx##_add(type i, atype *v)			\
{									\
	asm volatile("lock; addq %1, %0"				\
		     : "+m" (v->counter) : "er" (i) : "memory", "cc");	\
}									\
static __always_inline void pfx##_inc(atype *v)				\
{									\
	asm volatile("lock; incq %0" : "+m" (v->counter) : : "memory", "cc"); \
}									\
static __always_inline void pfx##_dec(atype *v)				\
{									\
	asm volatile("lock; decq %0" : "+m" (v->counter) : : "memory", "cc"); \
}									\
static __always_inline void pfx##_sub(type i, atype *v)			\
{									\
	pfx##_add(-i, v);						\
}									\
static __always_inline type pfx##_sub_return(type i, atype *v)		\
{									\
	return pfx##_add_return(-i, v);					\
}									\
static __always_inline type pfx##_inc_return(atype *v)			\
{									\
	return pfx##_add_return(1, v);					\
}									\
static __always_inline type pfx##_dec_return(atype *v)			\
{									\
	return pfx##_add_return(-1, v);					\
}									\
static __always_inline type pfx##_fetch_add(type i, atype *v)		\
{									\
	return __sync_fetch_and_add(&v->counter, i);			\
}									\
static __always_inline int pfx##_dec_and_test(atype *v)			\
{									\
	return pfx##_add_return(-1, v) == 0;				\
}									\
static __always_inline int pfx##_inc_and_test(atype *v)			\
{									\
	return pfx##_add_return(1, v) == 0;				\
}									\
static __always_inline type pfx##_cmpxchg(atype *v, type old, type new)	\
{									\
	return __sync_val_compare_and_swap(&v->counter, old, new);	\
}									\
static __always_inline type pfx##_xchg(atype *v, type new)		\
{									\
	return xchg(&v->counter, new);					\
}
__ATOMIC_OPS(atomic64, s64, atomic64_t)
__ATOMIC_OPS(atomic_long, long, atomic_long_t)
#undef __ATOMIC_OPS

#endif
