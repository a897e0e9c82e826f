// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

extern int nobody_has_this(void);

static int __init lonely_init(void)
{
	return nobody_has_this();
}

module_init(lonely_init);
MODULE_LICENSE("GPL");
