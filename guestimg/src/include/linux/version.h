/* SPDX-License-Identifier: GPL-2.0 */
/* The last long-term kernel that had jprobes and fault handlers. Newer names
 * are there as well. */
#ifndef _LINUX_VERSION_H
#define _LINUX_VERSION_H

#define KERNEL_VERSION(a, b, c)	(((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE	KERNEL_VERSION(4, 14, 0)
#define UTS_RELEASE		"4.14.0-emukp"

#endif
