/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KCONFIG_H
#define _LINUX_KCONFIG_H

#include <generated/autoconf.h>

/* An option that is 1 turns into an argument more: the second of (0, 1, 0)
 * instead of that of (junk 1, 0). */
#define __ARG_PLACEHOLDER_1		0,
#define __take_second_arg(a, b, ...)	b
#define ___is_defined(arg1_or_junk)	__take_second_arg(arg1_or_junk 1, 0)
#define __is_defined_(val)		___is_defined(__ARG_PLACEHOLDER_##val)
#define __is_defined(x)			__is_defined_(x)

#define IS_BUILTIN(option)	__is_defined(option)
#define IS_MODULE(option)	__is_defined(option##_MODULE)
#define IS_ENABLED(option)	(IS_BUILTIN(option) || IS_MODULE(option))
#define IS_REACHABLE(option)	IS_ENABLED(option)

#endif
