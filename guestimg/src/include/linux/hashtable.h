/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_HASHTABLE_H
#define _LINUX_HASHTABLE_H

#include <linux/list.h>
#include <linux/hash.h>
#include <linux/rculist.h>

#define DEFINE_HASHTABLE(name, bits)	struct hlist_head name[1 << (bits)]
#define DECLARE_HASHTABLE(name, bits)	struct hlist_head name[1 << (bits)]
#define HASH_SIZE(name)			ARRAY_SIZE(name)
#define HASH_BITS(name)			ilog2(HASH_SIZE(name))
#define hash_min(val, bits)		hash_64((u64)(val), bits)

#define hash_init(t) do {						\
	for (size_t i__ = 0; i__ < HASH_SIZE(t); i__++)			\
		INIT_HLIST_HEAD(&(t)[i__]);				\
	} while (0)
#define hash_add(t, node, key)	hlist_add_head(node, &(t)[hash_min(key, HASH_BITS(t))])
#define hash_add_rcu(t, node, key) hash_add(t, node, key)
#define hash_hashed(node)	(!hlist_unhashed(node))
#define hash_del(node)		hlist_del_init(node)
#define hash_del_rcu(node)	hlist_del_init(node)
#define hash_empty(t) ({						\
	bool empty__ = true;						\
	for (size_t i__ = 0; i__ < HASH_SIZE(t); i__++)			\
		empty__ = empty__ && hlist_empty(&(t)[i__]);		\
	empty__; })
#define hash_for_each(t, bkt, obj, member)				\
	for ((bkt) = 0, obj = NULL; !obj && (size_t)(bkt) < HASH_SIZE(t); (bkt)++) \
		hlist_for_each_entry(obj, &(t)[bkt], member)
#define hash_for_each_safe(t, bkt, tmp, obj, member)			\
	for ((bkt) = 0, obj = NULL; !obj && (size_t)(bkt) < HASH_SIZE(t); (bkt)++) \
		hlist_for_each_entry_safe(obj, tmp, &(t)[bkt], member)
#define hash_for_each_rcu(t, bkt, obj, member) hash_for_each(t, bkt, obj, member)
#define hash_for_each_possible(t, obj, member, key) \
	hlist_for_each_entry(obj, &(t)[hash_min(key, HASH_BITS(t))], member)
#define hash_for_each_possible_rcu(t, obj, member, key) \
	hash_for_each_possible(t, obj, member, key)
#define hash_for_each_possible_safe(t, obj, tmp, member, key) \
	hlist_for_each_entry_safe(obj, tmp, &(t)[hash_min(key, HASH_BITS(t))], member)

#endif
