/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_STDDEF_H
#define _LINUX_STDDEF_H

#include <types.h>

#define sizeof_field(t, m)	(sizeof(((t *)0)->m))
#define offsetofend(t, m)	(offsetof(t, m) + sizeof_field(t, m))

#endif
