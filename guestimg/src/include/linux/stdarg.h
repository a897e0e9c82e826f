/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_STDARG_H
#define _LINUX_STDARG_H

#include <types.h>

#define va_copy(to, from)	__builtin_va_copy(to, from)

#endif
