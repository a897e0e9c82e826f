/* SPDX-License-Identifier: GPL-2.0 */
/* current is emukp.h's, from asm/percpu.h. */
#ifndef _ASM_CURRENT_H
#define _ASM_CURRENT_H
#include <linux/types.h>
#endif
