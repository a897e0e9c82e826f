/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_LINKAGE_H
#define _LINUX_LINKAGE_H

#include <linux/compiler.h>

/* x86_64 has one calling convention. */
#define asmlinkage_protect(n, ret, args...)	do { } while (0)
#define fastcall

#endif
