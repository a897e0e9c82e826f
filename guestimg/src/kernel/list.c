// SPDX-License-Identifier: GPL-2.0
/* list_add and friends as functions, and lists of numbers. */
#include <emukp.h>

void __probed list_add(struct list_head *entry, struct list_head *head)
{
	struct list_head *next = head->next;

	next->prev = entry;
	entry->next = next;
	entry->prev = head;
	WRITE_ONCE(head->next, entry);
}

void __probed list_add_tail(struct list_head *entry, struct list_head *head)
{
	list_add(entry, head->prev);
}

void __probed list_del(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	WRITE_ONCE(entry->prev->next, entry->next);
	entry->next = LIST_POISON1;
	entry->prev = LIST_POISON2;
}

struct num_node *__probed list_find(struct list_head *head, long value)
{
	struct num_node *n;

	list_for_each_entry(n, head, list) {
		if (n->value == value)
			return n;
	}
	return NULL;
}

long __probed list_sum(struct list_head *head)
{
	struct num_node *n;
	long sum = 0;

	list_for_each_entry(n, head, list)
		sum += n->value;
	return sum;
}

int __probed list_length(struct list_head *head)
{
	struct list_head *p;
	int n = 0;

	list_for_each(p, head)
		n++;
	return n;
}
