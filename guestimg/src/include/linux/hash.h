/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_HASH_H
#define _LINUX_HASH_H

#include <linux/types.h>

#define GOLDEN_RATIO_32	0x61c88647u
#define GOLDEN_RATIO_64	0x61c8864680b583ebull

static inline u32 hash_32(u32 val, unsigned int bits)
{
	return (val * GOLDEN_RATIO_32) >> (32 - bits);
}

static inline u32 hash_64(u64 val, unsigned int bits)
{
	return (u32)((val * GOLDEN_RATIO_64) >> (64 - bits));
}
u32 hash_long(unsigned long v, unsigned int bits);	/* lib/hash.c */
#define hash_ptr(ptr, bits)	hash_64((unsigned long)(ptr), bits)

#endif
