/* SPDX-License-Identifier: GPL-2.0 */
/* min, max and swap are types.h's. */
#ifndef _LINUX_MINMAX_H
#define _LINUX_MINMAX_H

#include <linux/types.h>

#define min_t(type, x, y)	min((type)(x), (type)(y))
#define max_t(type, x, y)	max((type)(x), (type)(y))
#define min3(x, y, z)		min(min(x, y), z)
#define max3(x, y, z)		max(max(x, y), z)
#define clamp(val, lo, hi)	min((__typeof__(val))max(val, lo), hi)
#define clamp_t(type, val, lo, hi) min_t(type, max_t(type, val, lo), hi)
#define clamp_val(val, lo, hi)	clamp_t(__typeof__(val), val, lo, hi)
#define min_not_zero(x, y) ({						\
	__typeof__(x) mnz_x__ = (x);					\
	__typeof__(y) mnz_y__ = (y);					\
	mnz_x__ == 0 ? mnz_y__ : mnz_y__ == 0 ? mnz_x__ : min(mnz_x__, mnz_y__); })

#endif
