/* SPDX-License-Identifier: GPL-2.0 */
/* struct mm_struct is emukp.h's. */
#ifndef _LINUX_MM_TYPES_H
#define _LINUX_MM_TYPES_H
#include <linux/types.h>
#endif
