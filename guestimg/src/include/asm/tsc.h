/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_TSC_H
#define _ASM_TSC_H
#include <asm/timex.h>
#endif
