/* SPDX-License-Identifier: GPL-2.0 */
/* Nothing can be asked to load a module from inside. */
#ifndef _LINUX_KMOD_H
#define _LINUX_KMOD_H

#include <linux/errno.h>

#define request_module(...)		(-ENOSYS)
#define request_module_nowait(...)	(-ENOSYS)

#endif
