// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/kprobes.h>

static int pre(struct kprobe *p, struct pt_regs *regs)
{
	pr_info("hit, and gone\n");
	unregister_kprobe(p);
	return 0;
}

static void post(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
	pr_info("after the instruction\n");
}

static struct kprobe kp = {
	.symbol_name = "do_add", .pre_handler = pre, .post_handler = post,
};

static int __init one_shot_init(void)
{
	return register_kprobe(&kp);
}

static void __exit one_shot_exit(void)
{
}

module_init(one_shot_init);
module_exit(one_shot_exit);
MODULE_LICENSE("GPL");
