// SPDX-License-Identifier: GPL-2.0
/* Small things of newer kernels; its init checks what it can, and ends with the
 * number of the line that is not as in Linux. */
#include <linux/bits.h>
#include <linux/kprobes.h>
#include <linux/llist.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/signal.h>

struct item {
	int nr;
	struct llist_node node;
};

static LLIST_HEAD(queue);
static char name[KSYM_NAME_LEN];
static pid_t me;

#define CHECK(cond) do { if (!(cond)) { pr_err("line %d\n", __LINE__); return -EINVAL; } } while (0)

static int lists(void)
{
	static struct item items[4] = { { 1 }, { 2 }, { 3 }, { 4 } };
	struct llist_node *all;
	struct item *it, *next;
	int i, sum = 0;

	CHECK(llist_empty(&queue) && !llist_del_first(&queue) && !llist_del_all(&queue));
	for (i = 0; i < 4; i++)
		CHECK(llist_add(&items[i].node, &queue) == (i == 0));
	CHECK(llist_del_first(&queue) == &items[3].node);
	all = llist_del_all(&queue);
	CHECK(llist_empty(&queue) && all == &items[2].node && llist_next(all) == &items[1].node);
	llist_for_each_entry(it, all, node)
		sum = sum * 10 + it->nr;
	CHECK(sum == 321);
	llist_for_each_entry_safe(it, next, llist_reverse_order(all), node) {
		sum = sum * 10 + it->nr;
		it->node.next = NULL;
	}
	CHECK(sum == 321123);
	llist_for_each_entry(it, queue.first, node)
		return -EINVAL;
	CHECK(llist_add_batch(&items[0].node, &items[0].node, &queue));
	return 0;
}

static int __init newer_init(void)
{
	u64 now = local_clock();
	struct pid *pid = find_get_pid(current->pid);

	me = task_pid_nr(current);
	CHECK(lists() == 0);
	CHECK(pid && pid_nr(pid) == me && pid_task(pid, PIDTYPE_PID) == current && task_pid(current) == pid);
	CHECK(!find_vpid(0) && !find_vpid(32000) && !pid_task(NULL, PIDTYPE_PID));
	put_pid(pid);
	CHECK(min_not_zero(0, 7) == 7 && min_not_zero(8, 3) == 3 && clamp(9, 1, 5) == 5 && max3(1, 3, 2) == 3);
	CHECK(GENMASK(7, 4) == 0xf0 && BIT_ULL(40) == 1ULL << 40 && BIT_WORD(130) == 2);
	CHECK(local_clock() > now);
	snprintf(name, sizeof(name), "%ps", (void *)newer_init);
	CHECK(strstarts(name, "newer_init"));
	CHECK(SIGKILL == 9);
	return 0;
}

static void __exit newer_exit(void)
{
	pr_info("%pS ends\n", (void *)newer_exit);
}

module_init(newer_init);
module_exit(newer_exit);
MODULE_LICENSE("GPL");
