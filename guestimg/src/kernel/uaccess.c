// SPDX-License-Identifier: GPL-2.0
/* User memory. Counts returned are bytes NOT copied; after a partial
 * copy_from_user the rest of the buffer is cleared (lib/usercopy.c). */
#include <emukp.h>

int __probed access_ok(const void __user *p, unsigned long n)
{
	unsigned long a = (unsigned long)p;

	return n <= TASK_SIZE_MAX && a <= TASK_SIZE_MAX - n;
}

unsigned long __probed copy_from_user(void *to, const void __user *from,
				      unsigned long n)
{
	unsigned long left = n;

	if (access_ok(from, n))
		left = __copy_user(to, from, n);
	if (left)
		memset((char *)to + (n - left), 0, left);
	return left;
}

unsigned long __probed copy_to_user(void __user *to, const void *from,
				    unsigned long n)
{
	if (!access_ok(to, n))
		return n;
	return __copy_user(to, from, n);
}

/* The buffer's rest is left alone, and nothing here sleeps. */
unsigned long __probed copy_from_user_inatomic(void *to, const void __user *from,
					       unsigned long n)
{
	if (!access_ok(from, n))
		return n;
	return __copy_user(to, from, n);
}

unsigned long __probed copy_to_user_inatomic(void __user *to, const void *from,
					     unsigned long n)
{
	if (!access_ok(to, n))
		return n;
	return __copy_user(to, from, n);
}

unsigned long __probed clear_user(void __user *to, unsigned long n)
{
	if (!access_ok(to, n))
		return n;
	return __clear_user(to, n);
}

/* Length without NUL, count if there is none in count bytes, or -EFAULT. */
long __probed strncpy_from_user(char *dst, const char __user *src, long count)
{
	long i;
	u8 c;

	for (i = 0; i < count; i++) {
		if (!access_ok(src + i, 1) ||
		    __get_user_1(&c, (const u8 __user *)src + i))
			return -EFAULT;
		dst[i] = (char)c;
		if (!c)
			return i;
	}
	return count;
}

/* Length with NUL, more than count if there is none, 0 for a fault. */
long __probed strnlen_user(const char __user *s, long count)
{
	long i;
	u8 c;

	for (i = 0; i < count; i++) {
		if (!access_ok(s + i, 1) ||
		    __get_user_1(&c, (const u8 __user *)s + i))
			return 0;
		if (!c)
			return i + 1;
	}
	return count + 1;
}

int __probed get_user(long *val, const long __user *p)
{
	*val = 0;
	if (!access_ok(p, sizeof(*p)))
		return -EFAULT;
	return __get_user_long(val, p);
}

int __probed put_user(long val, long __user *p)
{
	if (!access_ok(p, sizeof(*p)))
		return -EFAULT;
	return __put_user_long(val, p);
}

/* Any address at all; -EFAULT if one byte is not there. */
long __probed copy_from_kernel_nofault(void *dst, const void *src, size_t n)
{
	return __copy_user(dst, src, n) ? -EFAULT : 0;
}

long __probed copy_to_kernel_nofault(void *dst, const void *src, size_t n)
{
	return __copy_user(dst, src, n) ? -EFAULT : 0;
}

/* Length with NUL, count if there is none in count bytes, or -EFAULT; what is
 * there ends in NUL in any case (mm/maccess.c strncpy_from_unsafe). */
long __probed strncpy_from_kernel_nofault(char *dst, const void *src, long count)
{
	for (long i = 0; i < count; i++) {
		if (__copy_user(dst + i, (const char *)src + i, 1)) {
			dst[i] = 0;
			return -EFAULT;
		}
		if (!dst[i])
			return i + 1;
	}
	if (count > 0)
		dst[count - 1] = 0;
	return max(count, 0L);
}
