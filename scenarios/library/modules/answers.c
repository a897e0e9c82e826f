// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

int the_answer(void)
{
	return 42;
}
EXPORT_SYMBOL_GPL(the_answer);

MODULE_LICENSE("GPL");
