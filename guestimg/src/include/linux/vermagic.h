/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VERMAGIC_H
#define _LINUX_VERMAGIC_H

#include <linux/version.h>

#define VERMAGIC_STRING	UTS_RELEASE " SMP mod_unload "

#endif
