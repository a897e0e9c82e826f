/* SPDX-License-Identifier: GPL-2.0 */
/* sys_read() and sys_write() are emukp.h's; there are no others. */
#ifndef _LINUX_SYSCALLS_H
#define _LINUX_SYSCALLS_H

#include <linux/fs.h>
#include <linux/linkage.h>
#include <linux/sched.h>
#include <linux/types.h>

#endif
