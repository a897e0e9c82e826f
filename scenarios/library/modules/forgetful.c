// SPDX-License-Identifier: GPL-2.0
/* An init with a bug in its error path. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
#include <linux/kprobes.h>

static int pre(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe first = { .symbol_name = "do_add", .pre_handler = pre };
static struct kprobe second = { .symbol_name = "do_int3", .pre_handler = pre };

static int __init forgetful_init(void)
{
	int ret = register_kprobe(&first);

	if (ret)
		return ret;
	ret = register_kprobe(&second);
	if (ret)
		pr_err("the second one: %d\n", ret);
	return ret;	/* and the first? */
}

static void __exit forgetful_exit(void)
{
	unregister_kprobe(&second);
	unregister_kprobe(&first);
}

module_init(forgetful_init);
module_exit(forgetful_exit);
MODULE_LICENSE("GPL");
