// SPDX-License-Identifier: GPL-2.0
/* Strings. memcpy and memset are rep instructions, which single-step once
 * an iteration; memmove may be asked for overlapping buffers. */
#include <emukp.h>

void *__probed memcpy(void *dst, const void *src, size_t n)
{
	void *d = dst;

	asm volatile("rep; movsb" : "+D" (d), "+S" (src), "+c" (n) : : "memory");
	return dst;
}

void *__probed memset(void *s, int c, size_t n)
{
	void *d = s;

	asm volatile("rep; stosb" : "+D" (d), "+c" (n) : "a" (c) : "memory");
	return s;
}

void *__probed memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (d <= s || d >= s + n)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

int __probed memcmp(const void *a, const void *b, size_t n)
{
	const u8 *p = a, *q = b;

	for (; n; n--, p++, q++) {
		if (*p != *q)
			return *p - *q;
	}
	return 0;
}

void *__probed memchr(const void *s, int c, size_t n)
{
	const u8 *p = s;

	for (; n; n--, p++) {
		if (*p == (u8)c)
			return (void *)p;
	}
	return NULL;
}

size_t __probed strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

size_t __probed strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

char *__probed strcpy(char *dst, const char *src)
{
	char *d = dst;

	while ((*d++ = *src++))
		;
	return dst;
}

char *__probed strncpy(char *dst, const char *src, size_t n)
{
	char *d = dst;

	while (n--) {
		*d++ = *src;
		if (*src)
			src++;
	}
	return dst;
}

size_t __probed strlcpy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src);

	if (size) {
		size_t n = min(len, size - 1);

		memcpy(dst, src, n);
		dst[n] = 0;
	}
	return len;
}

char *__probed strcat(char *dst, const char *src)
{
	strcpy(dst + strlen(dst), src);
	return dst;
}

int __probed strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (u8)*a - (u8)*b;
}

int __probed strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b)
			return (u8)*a - (u8)*b;
		if (!*a)
			break;
	}
	return 0;
}

char *__probed strchr(const char *s, int c)
{
	for (; *s != (char)c; s++) {
		if (!*s)
			return NULL;
	}
	return (char *)s;
}

char *__probed strrev(char *s)
{
	size_t i = 0, j = strlen(s);

	while (i + 1 < j) {
		j--;
		swap(s[i], s[j]);
		i++;
	}
	return s;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	return 99;
}

long __probed simple_strtol(const char *s, char **end, unsigned int base)
{
	bool neg = *s == '-';
	unsigned long v = 0;

	if (neg)
		s++;
	if (s[0] == '0' && (s[1] | 0x20) == 'x' && (base == 0 || base == 16)) {
		s += 2;
		base = 16;
	} else if (base == 0) {
		base = *s == '0' ? 8 : 10;
	}
	for (; digit(*s) < (int)base; s++)
		v = v * base + (unsigned long)digit(*s);
	if (end)
		*end = (char *)s;
	return neg ? -(long)v : (long)v;
}
