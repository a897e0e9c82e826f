/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_PARAM_H
#define _ASM_PARAM_H
#include <linux/param.h>
#endif
