// SPDX-License-Identifier: GPL-2.0
/* Notifier chains (kernel/notifier.c). */
#include <emukp.h>
#include <linux/notifier.h>

int __probed atomic_notifier_chain_register(struct atomic_notifier_head *nh,
					    struct notifier_block *nb)
{
	struct notifier_block **link = &nh->head;
	unsigned long flags;

	spin_lock_irqsave(&nh->lock, flags);
	while (*link && (*link)->priority >= nb->priority)
		link = &(*link)->next;
	nb->next = *link;
	WRITE_ONCE(*link, nb);
	spin_unlock_irqrestore(&nh->lock, flags);
	return 0;
}

int __probed atomic_notifier_chain_unregister(struct atomic_notifier_head *nh,
					      struct notifier_block *nb)
{
	struct notifier_block **link = &nh->head;
	unsigned long flags;
	int ret = -ENOENT;

	spin_lock_irqsave(&nh->lock, flags);
	while (*link && *link != nb)
		link = &(*link)->next;
	if (*link) {
		WRITE_ONCE(*link, nb->next);
		ret = 0;
	}
	spin_unlock_irqrestore(&nh->lock, flags);
	return ret;
}

int __probed atomic_notifier_call_chain(struct atomic_notifier_head *nh,
					unsigned long val, void *v)
{
	struct notifier_block *nb = READ_ONCE(nh->head), *next;
	int ret = NOTIFY_DONE;

	for (; nb; nb = next) {
		next = READ_ONCE(nb->next);
		ret = nb->notifier_call(nb, val, v);
		if (ret & NOTIFY_STOP_MASK)
			break;
	}
	return ret;
}
