/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_SMP_H
#define _ASM_SMP_H
#include <linux/smp.h>
#endif
