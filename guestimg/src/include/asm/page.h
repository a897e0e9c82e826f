/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_PAGE_H
#define _ASM_PAGE_H

#include <linux/types.h>

#define PAGE_MASK	(~(PAGE_SIZE - 1))
#ifndef __ASSEMBLER__
#define PAGE_OFFSET	0xffff888000000000UL
#else
#define PAGE_OFFSET	0xffff888000000000
#endif

#endif
