// SPDX-License-Identifier: GPL-2.0
/* Copies of strings and memory in memory of their own (mm/util.c). */
#include <emukp.h>
#include <linux/slab.h>

char *__probed kstrdup(const char *s, gfp_t gfp)
{
	return s ? kmemdup(s, strlen(s) + 1, gfp) : NULL;
}

char *__probed kstrndup(const char *s, size_t max, gfp_t gfp)
{
	size_t n;
	char *p;

	if (!s)
		return NULL;
	n = strnlen(s, max);
	p = kmalloc(n + 1, gfp);
	if (p) {
		memcpy(p, s, n);
		p[n] = 0;
	}
	return p;
}

void *__probed kmemdup(const void *src, size_t len, gfp_t gfp)
{
	void *p = kmalloc(len, gfp);

	if (p)
		memcpy(p, src, len);
	return p;
}

char *__probed kvasprintf(gfp_t gfp, const char *fmt, va_list args)
{
	va_list again;
	size_t n;
	char *p;

	va_copy(again, args);
	n = (size_t)vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	p = kmalloc(n + 1, gfp);
	if (p)
		vsnprintf(p, n + 1, fmt, args);
	return p;
}

char *__probed kasprintf(gfp_t gfp, const char *fmt, ...)
{
	va_list args;
	char *p;

	va_start(args, fmt);
	p = kvasprintf(gfp, fmt, args);
	va_end(args);
	return p;
}
