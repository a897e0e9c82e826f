// SPDX-License-Identifier: GPL-2.0
/*
 * calltrack: how long functions take and what they return, by task. Return
 * probes note; a thread reports every period_ms milliseconds, if there are any.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "calltrack.h"

static char *funcs = "vfs_read";
module_param(funcs, charp, 0444);
MODULE_PARM_DESC(funcs, "Functions to track, separated by semicolons");

static unsigned int period_ms;
module_param(period_ms, uint, 0444);
MODULE_PARM_DESC(period_ms, "Milliseconds between reports; 0: none");

static int maxactive = 8;
module_param(maxactive, int, 0444);

static char only[TASK_COMM_LEN];
module_param_string(only, only, sizeof(only), 0644);
MODULE_PARM_DESC(only, "Name of the task to follow; empty: all");

static LIST_HEAD(tracked);

struct call {
	ktime_t start;
	struct ct_task *task;
};

static struct ct_func *to_func(struct kretprobe_instance *ri)
{
	return container_of(get_kretprobe(ri), struct ct_func, rp);
}
NOKPROBE_SYMBOL(to_func);

static int on_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct call *c = (struct call *)ri->data;

	if (!current->mm || (only[0] && strcmp(current->comm, only)))
		return 1;
	c->task = ct_task_get(current->pid, current->comm, GFP_ATOMIC);
	if (IS_ERR(c->task))
		return 1;
	atomic_inc(&to_func(ri)->in_flight);
	c->start = ktime_get();
	return 0;
}
NOKPROBE_SYMBOL(on_entry);

static int on_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct call *c = (struct call *)ri->data;
	struct ct_func *f = to_func(ri);
	s64 ns = ktime_to_ns(ktime_sub(ktime_get(), c->start));

	c->task->calls++;
	c->task->last_ret = (long)regs_return_value(regs);
	if (IS_ERR_VALUE(regs_return_value(regs)))
		f->failures++;
	c->task->worst = max_t(u64, c->task->worst, ns);
	ct_hist_add(f->hist, ns);
	atomic_dec(&f->in_flight);
	ct_task_put(c->task);
	return 0;
}
NOKPROBE_SYMBOL(on_return);

static void untrack(struct ct_func *f)
{
	unregister_kretprobe(&f->rp);
	list_del(&f->list);
	free_percpu(f->hist);
	kfree(f);
}

static int __init track(const char *name)
{
	struct ct_func *f = kzalloc(sizeof(*f), GFP_KERNEL);
	int err = -ENOMEM;

	if (!f)
		return err;
	f->hist = alloc_percpu(struct ct_hist);
	if (!f->hist)
		goto out_free;
	if (strlen(name) >= sizeof(f->name)) {
		err = -ENAMETOOLONG;
		goto out_hist;
	}
	strcpy(f->name, name);
	atomic_set(&f->in_flight, 0);
	f->rp.kp.symbol_name = f->name;
	f->rp.entry_handler = on_entry;
	f->rp.handler = on_return;
	f->rp.data_size = sizeof(struct call);
	f->rp.maxactive = maxactive;
	err = register_kretprobe(&f->rp);
	if (err) {
		pr_err("%s can't be tracked: %d\n", name, err);
		goto out_hist;
	}
	list_add_tail(&f->list, &tracked);
	pr_debug("tracking %s at %px\n", f->name, f->rp.kp.addr);
	return 0;

out_hist:
	free_percpu(f->hist);
out_free:
	kfree(f);
	return err;
}

static void untrack_all(void)
{
	struct ct_func *f, *next;

	list_for_each_entry_safe(f, next, &tracked, list)
		untrack(f);
}

static int __init calltrack_init(void)
{
	char *list, *rest, *name;
	int err;

	BUILD_BUG_ON(sizeof(struct call) > 64);
	err = ct_table_init();
	if (err)
		return err;
	rest = list = kstrdup(funcs, GFP_KERNEL);
	if (!list)
		err = -ENOMEM;
	while (!err && (name = strsep(&rest, ";")) != NULL) {
		name = strim(name);
		if (*name)
			err = track(name);
	}
	kfree(list);
	if (!err && period_ms)
		err = ct_report_start(period_ms, &tracked);
	if (err) {
		untrack_all();
		ct_table_exit();
	}
	return err;
}

static void __exit calltrack_exit(void)
{
	ct_report_stop();
	ct_report(&tracked);
	untrack_all();
	ct_table_exit();
	pr_info("gone\n");
}

module_init(calltrack_init);
module_exit(calltrack_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("Somebody");
MODULE_DESCRIPTION("Tracks calls of functions by task");
MODULE_VERSION("1.2");
