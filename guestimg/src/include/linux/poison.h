/* SPDX-License-Identifier: GPL-2.0 */
/* LIST_POISON1 and 2 are list.h's. */
#ifndef _LINUX_POISON_H
#define _LINUX_POISON_H

#define POISON_INUSE	0x5a
#define POISON_FREE	0x6b
#define POISON_END	0xa5

#endif
