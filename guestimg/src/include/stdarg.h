/* SPDX-License-Identifier: GPL-2.0 */
/* Before v5.16 modules took it from the compiler. */
#include <linux/stdarg.h>
