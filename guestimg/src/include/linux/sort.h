/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_SORT_H
#define _LINUX_SORT_H

#include <linux/types.h>

/* emukp.h's swaps by itself. */
#define sort(base, num, size, cmp, swap_func) \
	sort_with_swap(base, num, size, cmp, swap_func)

#endif
