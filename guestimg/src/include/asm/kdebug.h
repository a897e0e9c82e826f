/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_KDEBUG_H
#define _ASM_KDEBUG_H
#include <linux/kdebug.h>
#endif
