// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include "calltrack.h"

static DEFINE_HASHTABLE(tasks, 5);
static DEFINE_SPINLOCK(table_lock);
static struct kmem_cache *task_cache;
static unsigned int nr_tasks;

int ct_table_init(void)
{
	hash_init(tasks);
	task_cache = KMEM_CACHE(ct_task, SLAB_HWCACHE_ALIGN);
	return task_cache ? 0 : -ENOMEM;
}

static struct ct_task *find_locked(pid_t pid)
{
	struct ct_task *t;

	hash_for_each_possible(tasks, t, node, pid) {
		if (t->pid == pid)
			return t;
	}
	return NULL;
}

struct ct_task *ct_task_get(pid_t pid, const char *comm, gfp_t gfp)
{
	struct ct_task *t, *new = NULL;
	unsigned long flags;

	spin_lock_irqsave(&table_lock, flags);
	t = find_locked(pid);
	if (t)
		kref_get(&t->ref);
	spin_unlock_irqrestore(&table_lock, flags);
	if (t)
		return t;

	new = kmem_cache_zalloc(task_cache, gfp);
	if (unlikely(!new))
		return ERR_PTR(-ENOMEM);
	new->pid = pid;
	strlcpy(new->comm, comm, sizeof(new->comm));
	kref_init(&new->ref);	/* the table's */
	kref_get(&new->ref);	/* the caller's */

	spin_lock_irqsave(&table_lock, flags);
	t = find_locked(pid);
	if (likely(!t)) {
		hash_add(tasks, &new->node, pid);
		nr_tasks++;
		t = new;
		new = NULL;
	} else {
		kref_get(&t->ref);
	}
	spin_unlock_irqrestore(&table_lock, flags);
	if (new)
		kmem_cache_free(task_cache, new);
	return t;
}

static void release_task(struct kref *ref)
{
	kmem_cache_free(task_cache, container_of(ref, struct ct_task, ref));
}

void ct_task_put(struct ct_task *t)
{
	if (!IS_ERR_OR_NULL(t))
		kref_put(&t->ref, release_task);
}

void ct_table_walk(void (*fn)(struct ct_task *t, void *data), void *data)
{
	struct ct_task *t;
	unsigned long flags;
	int bkt;

	spin_lock_irqsave(&table_lock, flags);
	hash_for_each(tasks, bkt, t, node)
		fn(t, data);
	spin_unlock_irqrestore(&table_lock, flags);
}

unsigned int ct_table_count(void)
{
	return READ_ONCE(nr_tasks);
}

void ct_table_exit(void)
{
	struct hlist_node *tmp;
	struct ct_task *t;
	int bkt;

	hash_for_each_safe(tasks, bkt, tmp, t, node) {
		hash_del(&t->node);
		nr_tasks--;
		ct_task_put(t);
	}
	kmem_cache_destroy(task_cache);
}
