/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_BITMAP_H
#define _LINUX_BITMAP_H

#include <linux/bitops.h>
#include <linux/string.h>

static inline void bitmap_zero(unsigned long *dst, unsigned int nbits)
{
	memset(dst, 0, BITS_TO_LONGS(nbits) * sizeof(long));
}

static inline int bitmap_weight(const unsigned long *src, unsigned int nbits)
{
	unsigned long bit;
	int n = 0;

	for_each_set_bit(bit, src, nbits)
		n++;
	return n;
}

#define bitmap_empty(src, nbits)	(find_first_bit(src, nbits) >= (nbits))
#define bitmap_full(src, nbits)		(find_first_zero_bit(src, nbits) >= (nbits))

#endif
