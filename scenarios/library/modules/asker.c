// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

extern int the_answer(void);

static int __init asker_init(void)
{
	pr_info("the answer is %d\n", the_answer());
	return 0;
}

static void __exit asker_exit(void)
{
}

module_init(asker_init);
module_exit(asker_exit);
MODULE_LICENSE("GPL");
