/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PARAM_H
#define _LINUX_PARAM_H

#define HZ		1000
#define USER_HZ		100

#endif
