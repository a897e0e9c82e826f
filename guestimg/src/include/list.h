/* SPDX-License-Identifier: GPL-2.0 */
/* Circular doubly linked lists with the kernel's names. list_add and
 * list_del are functions here (kernel/list.c), so that they can be probed. */
#ifndef _EMUKP_LIST_H
#define _EMUKP_LIST_H

struct list_head {
	struct list_head *next, *prev;
};

/* What list_del leaves behind (include/linux/poison.h). */
#define LIST_POISON1	((void *)0x100)
#define LIST_POISON2	((void *)0x122)

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *h)
{
	h->next = h;
	h->prev = h;
}

static inline int list_empty(const struct list_head *h)
{
	return READ_ONCE(h->next) == h;
}

#define list_entry(p, type, member)	container_of(p, type, member)
#define list_for_each(p, head) \
	for (p = (head)->next; p != (head); p = p->next)
#define list_for_each_entry(e, head, member)				\
	for (e = list_entry((head)->next, __typeof__(*e), member);	\
	     &e->member != (head);					\
	     e = list_entry(e->member.next, __typeof__(*e), member))

#endif
