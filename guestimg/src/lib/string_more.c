// SPDX-License-Identifier: GPL-2.0
/* The rest of linux/string.h. */
#include <emukp.h>
#include <linux/ctype.h>
#include <linux/string.h>

char *__probed strncat(char *dst, const char *src, size_t n)
{
	size_t len = strlen(dst), i;

	for (i = 0; i < n && src[i]; i++)
		dst[len + i] = src[i];
	dst[len + i] = 0;
	return dst;
}

size_t __probed strlcat(char *dst, const char *src, size_t size)
{
	size_t len = strnlen(dst, size);

	BUG_ON(len >= size);
	return len + strlcpy(dst + len, src, size - len);
}

ssize_t __probed strscpy(char *dst, const char *src, size_t size)
{
	size_t len;

	if (!size)
		return -E2BIG;
	len = strnlen(src, size);
	memcpy(dst, src, min(len, size - 1));
	dst[min(len, size - 1)] = 0;
	return len == size ? -E2BIG : (ssize_t)len;
}

int __probed strncasecmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		int d = tolower((u8)*a) - tolower((u8)*b);

		if (d || !*a)
			return d;
	}
	return 0;
}

int __probed strcasecmp(const char *a, const char *b)
{
	return strncasecmp(a, b, ~0UL);
}

char *__probed strnchr(const char *s, size_t n, int c)
{
	for (; n && *s; n--, s++) {
		if (*s == (char)c)
			return (char *)s;
	}
	return NULL;
}

char *__probed strchrnul(const char *s, int c)
{
	while (*s && *s != (char)c)
		s++;
	return (char *)s;
}

char *__probed strrchr(const char *s, int c)
{
	const char *last = NULL;

	do {
		if (*s == (char)c)
			last = s;
	} while (*s++);
	return (char *)last;
}

char *__probed strnstr(const char *s, const char *find, size_t n)
{
	size_t len = strlen(find);

	for (n = strnlen(s, n); n >= len; n--, s++) {
		if (!memcmp(s, find, len))
			return (char *)s;
	}
	return NULL;
}

char *__probed strstr(const char *s, const char *find)
{
	return strnstr(s, find, ~0UL);
}

size_t __probed strspn(const char *s, const char *accept)
{
	size_t n = 0;

	while (s[n] && strchr(accept, s[n]))
		n++;
	return n;
}

size_t __probed strcspn(const char *s, const char *reject)
{
	size_t n = 0;

	while (s[n] && !strchr(reject, s[n]))
		n++;
	return n;
}

char *__probed strpbrk(const char *s, const char *accept)
{
	s += strcspn(s, accept);
	return *s ? (char *)s : NULL;
}

char *__probed strsep(char **s, const char *delim)
{
	char *begin = *s, *end;

	if (!begin)
		return NULL;
	end = strpbrk(begin, delim);
	if (end)
		*end++ = 0;
	*s = end;
	return begin;
}

char *__probed skip_spaces(const char *s)
{
	while (isspace(*s))
		s++;
	return (char *)s;
}

char *__probed strim(char *s)
{
	size_t n = strlen(s);

	while (n && isspace(s[n - 1]))
		n--;
	s[n] = 0;
	return skip_spaces(s);
}

void *__probed memscan(void *s, int c, size_t n)
{
	void *p = memchr(s, c, n);

	return p ? p : (char *)s + n;
}

/* The first byte that is not c. */
void *__probed memchr_inv(const void *s, int c, size_t n)
{
	const u8 *p = s;

	for (; n; n--, p++) {
		if (*p != (u8)c)
			return (void *)p;
	}
	return NULL;
}

/* Equal but for a newline at the end of one. */
bool __probed sysfs_streq(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b || (!*a && b[0] == '\n' && !b[1]) ||
	       (!*b && a[0] == '\n' && !a[1]);
}

int __probed match_string(const char *const *array, size_t n, const char *string)
{
	for (size_t i = 0; i < n && array[i]; i++) {
		if (!strcmp(array[i], string))
			return (int)i;
	}
	return -EINVAL;
}

const char *__probed kbasename(const char *path)
{
	const char *tail = strrchr(path, '/');

	return tail ? tail + 1 : path;
}
