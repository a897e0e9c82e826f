// SPDX-License-Identifier: GPL-2.0
/* Bits of arrays of words (lib/find_bit.c, lib/hweight.c). */
#include <emukp.h>
#include <linux/bitops.h>
#include <linux/kernel.h>

static unsigned long find(const unsigned long *addr, unsigned long size,
			  unsigned long from, unsigned long invert)
{
	while (from < size) {
		unsigned long w = (addr[from / 64] ^ invert) >> (from % 64);

		if (w)
			return min(from + __ffs(w), size);
		from = (from | 63) + 1;
	}
	return size;
}

unsigned long __probed find_next_bit(const unsigned long *addr,
				     unsigned long size, unsigned long offset)
{
	return find(addr, size, offset, 0);
}

unsigned long __probed find_next_zero_bit(const unsigned long *addr,
					  unsigned long size, unsigned long offset)
{
	return find(addr, size, offset, ~0UL);
}

unsigned int __probed hweight64(u64 w)
{
	unsigned int n = 0;

	for (; w; w &= w - 1)
		n++;
	return n;
}
