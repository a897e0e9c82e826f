/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_MSR_H
#define _ASM_MSR_H
#include <asm/timex.h>
#endif
