// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/kprobes.h>

static int pre(struct kprobe *p, struct pt_regs *regs)
{
	volatile int i;

	pr_info("handler begins\n");
	for (i = 0; i < 2000; i++)
		;
	pr_info("handler ends\n");
	return 0;
}

static struct kprobe kp = { .symbol_name = "do_add", .pre_handler = pre };

static int __init slow_init(void)
{
	return register_kprobe(&kp);
}

static void __exit slow_exit(void)
{
	pr_info("exit begins\n");
	unregister_kprobe(&kp);
	pr_info("exit ends\n");
}

module_init(slow_init);
module_exit(slow_exit);
MODULE_LICENSE("GPL");
