/* SPDX-License-Identifier: GPL-2.0 */
/* list_add, list_add_tail and list_del are functions (kernel/list.c): they
 * can be probed. The rest is inline. */
#ifndef _LINUX_LIST_H
#define _LINUX_LIST_H

#include <linux/kernel.h>
#include <linux/poison.h>

static inline void list_del_init(struct list_head *entry)
{
	list_del(entry);
	INIT_LIST_HEAD(entry);
}

static inline void list_replace(struct list_head *old, struct list_head *new)
{
	new->next = old->next;
	new->next->prev = new;
	new->prev = old->prev;
	new->prev->next = new;
}

static inline void list_replace_init(struct list_head *old, struct list_head *new)
{
	list_replace(old, new);
	INIT_LIST_HEAD(old);
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add(entry, head);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add_tail(entry, head);
}

static inline int list_is_last(const struct list_head *entry,
			       const struct list_head *head)
{
	return entry->next == head;
}

static inline int list_is_singular(const struct list_head *head)
{
	return !list_empty(head) && head->next == head->prev;
}

static inline void __list_splice(const struct list_head *list,
				 struct list_head *prev, struct list_head *next)
{
	list->next->prev = prev;
	prev->next = list->next;
	list->prev->next = next;
	next->prev = list->prev;
}

static inline void list_splice(const struct list_head *list, struct list_head *head)
{
	if (!list_empty(list))
		__list_splice(list, head, head->next);
}

static inline void list_splice_tail(struct list_head *list, struct list_head *head)
{
	if (!list_empty(list))
		__list_splice(list, head->prev, head);
}

static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
	list_splice(list, head);
	INIT_LIST_HEAD(list);
}

#define list_first_entry(p, type, member)	list_entry((p)->next, type, member)
#define list_last_entry(p, type, member)	list_entry((p)->prev, type, member)
#define list_first_entry_or_null(p, type, member) \
	(list_empty(p) ? NULL : list_first_entry(p, type, member))
#define list_next_entry(e, member) \
	list_entry((e)->member.next, __typeof__(*(e)), member)
#define list_prev_entry(e, member) \
	list_entry((e)->member.prev, __typeof__(*(e)), member)
#define list_for_each_prev(p, head) \
	for (p = (head)->prev; p != (head); p = p->prev)
#define list_for_each_safe(p, n, head) \
	for (p = (head)->next, n = p->next; p != (head); p = n, n = p->next)
#define list_for_each_entry_reverse(e, head, member)			\
	for (e = list_last_entry(head, __typeof__(*e), member);		\
	     &e->member != (head); e = list_prev_entry(e, member))
#define list_for_each_entry_continue(e, head, member)			\
	for (e = list_next_entry(e, member);				\
	     &e->member != (head); e = list_next_entry(e, member))
#define list_for_each_entry_safe(e, n, head, member)			\
	for (e = list_first_entry(head, __typeof__(*e), member),	\
	     n = list_next_entry(e, member);				\
	     &e->member != (head); e = n, n = list_next_entry(n, member))

/* Readers on other CPUs see a list that is whole. */
#define list_add_rcu(entry, head)	list_add(entry, head)
#define list_add_tail_rcu(entry, head)	list_add_tail(entry, head)
#define list_for_each_entry_rcu(e, head, member) \
	list_for_each_entry(e, head, member)
static inline void list_del_rcu(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	WRITE_ONCE(entry->prev->next, entry->next);
	entry->prev = LIST_POISON2;
}

#define HLIST_HEAD_INIT		{ .first = NULL }
#define HLIST_HEAD(name)	struct hlist_head name = { .first = NULL }
#define INIT_HLIST_HEAD(p)	((p)->first = NULL)

static inline void INIT_HLIST_NODE(struct hlist_node *n)
{
	n->next = NULL;
	n->pprev = NULL;
}

static inline int hlist_unhashed(const struct hlist_node *n) { return !n->pprev; }

static inline int hlist_empty(const struct hlist_head *h)
{
	return !READ_ONCE(h->first);
}

static inline void __hlist_del(struct hlist_node *n)
{
	struct hlist_node *next = n->next;

	WRITE_ONCE(*n->pprev, next);
	if (next)
		next->pprev = n->pprev;
}

static inline void hlist_del(struct hlist_node *n)
{
	__hlist_del(n);
	n->next = LIST_POISON1;
	n->pprev = LIST_POISON2;
}

static inline void hlist_del_init(struct hlist_node *n)
{
	if (!hlist_unhashed(n)) {
		__hlist_del(n);
		INIT_HLIST_NODE(n);
	}
}

static inline void hlist_del_rcu(struct hlist_node *n)
{
	__hlist_del(n);
	n->pprev = LIST_POISON2;
}

static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	struct hlist_node *first = h->first;

	n->next = first;
	n->pprev = &h->first;
	if (first)
		first->pprev = &n->next;
	WRITE_ONCE(h->first, n);
}
#define hlist_add_head_rcu(n, h)	hlist_add_head(n, h)

#define hlist_entry(p, type, member)	container_of(p, type, member)
#define hlist_entry_safe(p, type, member) ({				\
	__typeof__(p) p__ = (p);					\
	p__ ? hlist_entry(p__, type, member) : NULL; })
#define hlist_for_each(p, head) \
	for (p = (head)->first; p; p = p->next)
#define hlist_for_each_safe(p, n, head) \
	for (p = (head)->first; p && ({ n = p->next; 1; }); p = n)
#define hlist_for_each_entry(e, head, member)				\
	for (e = hlist_entry_safe((head)->first, __typeof__(*(e)), member); \
	     e;								\
	     e = hlist_entry_safe((e)->member.next, __typeof__(*(e)), member))
#define hlist_for_each_entry_rcu(e, head, member) \
	hlist_for_each_entry(e, head, member)
#define hlist_for_each_entry_safe(e, n, head, member)			\
	for (e = hlist_entry_safe((head)->first, __typeof__(*(e)), member); \
	     e && ({ n = e->member.next; 1; });				\
	     e = hlist_entry_safe(n, __typeof__(*(e)), member))

#endif
