// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/kprobes.h>

static int pre(struct kprobe *p, struct pt_regs *regs)
{
	for (;;)
		cpu_relax();
	return 0;
}

static struct kprobe kp = { .symbol_name = "do_add", .pre_handler = pre };

static int __init endless_init(void)
{
	return register_kprobe(&kp);
}

static void __exit endless_exit(void)
{
	unregister_kprobe(&kp);
}

module_init(endless_init);
module_exit(endless_exit);
MODULE_LICENSE("GPL");
