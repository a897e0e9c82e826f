/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_TYPES_H
#define _LINUX_TYPES_H

#include <types.h>
#include <linux/bits.h>

#ifndef __ASSEMBLER__
typedef u8 __u8, uint8_t, u_int8_t, unchar, u_char;
typedef u16 __u16, uint16_t, u_int16_t, ushort, u_short;
typedef u32 __u32, uint32_t, u_int32_t, uint, u_int;
typedef u64 __u64, uint64_t, u_int64_t;
typedef s8 __s8, int8_t;
typedef s16 __s16, int16_t;
typedef s32 __s32, int32_t;
typedef s64 __s64, int64_t;
typedef unsigned long ulong, u_long;
typedef u16 __le16, __be16;
typedef u32 __le32, __be32;
typedef u64 __le64, __be64;

typedef long intptr_t;
typedef long time_t, clock_t, suseconds_t;
typedef s64 time64_t;
typedef long off_t;
typedef int pid_t, key_t, timer_t, clockid_t;
typedef unsigned int uid_t, gid_t;
typedef unsigned short umode_t;
typedef unsigned int nlink_t, mode_t;
typedef u32 dev_t;
typedef unsigned long ino_t;
typedef u64 sector_t, blkcnt_t;
typedef u64 dma_addr_t, phys_addr_t, resource_size_t;
typedef unsigned int gfp_t, fmode_t, slab_flags_t;
typedef unsigned long irq_hw_number_t;
typedef void *fl_owner_t;

typedef struct { long counter; } atomic_long_t;
typedef struct { s64 counter; } atomic64_t;

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

struct callback_head {
	struct callback_head *next;
	void (*func)(struct callback_head *head);
} __aligned(sizeof(void *));
#define rcu_head callback_head

#define BITS_TO_LONGS(nr)	(((nr) + 63) / 64)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
#endif

#endif
