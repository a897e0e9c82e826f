/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_BITOPS_H
#define _LINUX_BITOPS_H

#include <linux/bits.h>
#include <linux/types.h>

/* Bit nr of a word, atomic on all CPUs; the old bit comes back in CF. */
#define __BIT_OP(name, insn, lock)					\
static __always_inline void name(long nr, volatile unsigned long *addr)	\
{									\
	asm volatile(lock insn " %1, %0"				\
		     : "+m" (*(volatile unsigned long *)addr)		\
		     : "Ir" (nr) : "memory", "cc");			\
}
#define __TEST_BIT_OP(name, insn, lock)					\
static __always_inline int name(long nr, volatile unsigned long *addr)	\
{									\
	u8 old;								\
									\
	asm volatile(lock insn " %2, %0; setc %1"			\
		     : "+m" (*(volatile unsigned long *)addr), "=qm" (old) \
		     : "Ir" (nr) : "memory", "cc");			\
	return old;							\
}
__BIT_OP(set_bit, "btsq", "lock; ")
__BIT_OP(clear_bit, "btrq", "lock; ")
__BIT_OP(change_bit, "btcq", "lock; ")
__BIT_OP(__set_bit, "btsq", "")
__BIT_OP(__clear_bit, "btrq", "")
__BIT_OP(__change_bit, "btcq", "")
__TEST_BIT_OP(test_and_set_bit, "btsq", "lock; ")
__TEST_BIT_OP(test_and_clear_bit, "btrq", "lock; ")
__TEST_BIT_OP(test_and_change_bit, "btcq", "lock; ")
__TEST_BIT_OP(__test_and_set_bit, "btsq", "")
__TEST_BIT_OP(__test_and_clear_bit, "btrq", "")
#undef __BIT_OP
#undef __TEST_BIT_OP

static __always_inline int test_bit(long nr, const volatile unsigned long *addr)
{
	return addr[BIT_WORD(nr)] >> (nr % 64) & 1;
}

#define smp_mb__before_clear_bit()	barrier()
#define smp_mb__after_clear_bit()	barrier()
#define clear_bit_unlock(nr, addr)	clear_bit(nr, addr)

/* No bit: fls is 0, the others are undefined, but for find_*_bit. */
#define ffs(x)		__builtin_ffs(x)
#define __ffs(x)	((unsigned long)__builtin_ctzl(x))
#define ffz(x)		__ffs(~(x))
#define __fls(x)	(63UL - (unsigned long)__builtin_clzl(x))
static inline int fls(unsigned int x) { return x ? 32 - __builtin_clz(x) : 0; }
static inline int fls64(u64 x) { return x ? 64 - __builtin_clzll(x) : 0; }
static inline int fls_long(unsigned long x) { return fls64(x); }

unsigned long find_next_bit(const unsigned long *addr, unsigned long size,
			    unsigned long offset);
unsigned long find_next_zero_bit(const unsigned long *addr, unsigned long size,
				 unsigned long offset);
#define find_first_bit(addr, size)	find_next_bit(addr, size, 0)
#define find_first_zero_bit(addr, size)	find_next_zero_bit(addr, size, 0)
#define for_each_set_bit(bit, addr, size)			\
	for ((bit) = find_first_bit((addr), (size)); (bit) < (size); \
	     (bit) = find_next_bit((addr), (size), (bit) + 1))

unsigned int hweight64(u64 w);
#define hweight32(w)	hweight64((u32)(w))
#define hweight16(w)	hweight64((u16)(w))
#define hweight8(w)	hweight64((u8)(w))
#define hweight_long(w)	hweight64(w)

static inline u32 rol32(u32 w, unsigned int n) { return w << (n & 31) | w >> (-n & 31); }
static inline u32 ror32(u32 w, unsigned int n) { return w >> (n & 31) | w << (-n & 31); }
static inline u64 rol64(u64 w, unsigned int n) { return w << (n & 63) | w >> (-n & 63); }
static inline u64 ror64(u64 w, unsigned int n) { return w >> (n & 63) | w << (-n & 63); }

#endif
