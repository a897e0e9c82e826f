// SPDX-License-Identifier: GPL-2.0
/* Strings to numbers, strictly: the whole string, but for one newline at its
 * end, and no overflow (lib/kstrtox.c). */
#include <emukp.h>
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

static unsigned int digit_of(char c)
{
	if (isdigit(c))
		return (unsigned int)(c - '0');
	if (isalpha(c))
		return (unsigned int)(tolower(c) - 'a' + 10);
	return 99;
}

static const char *fix_base(const char *s, unsigned int *base)
{
	bool hex = s[0] == '0' && tolower(s[1]) == 'x' && isxdigit(s[2]);

	if (*base == 0)
		*base = hex ? 16 : *s == '0' ? 8 : 10;
	return *base == 16 && s[0] == '0' && tolower(s[1]) == 'x' ? s + 2 : s;
}

/* How far s is a number; overflow says whether it is too large for *v. */
static const char *parse(const char *s, unsigned int base, u64 *v, bool *overflow)
{
	*v = 0;
	*overflow = false;
	for (; digit_of(*s) < base; s++) {
		u64 next = *v * base + digit_of(*s);

		if (*v > (~0ULL - digit_of(*s)) / base)
			*overflow = true;
		*v = next;
	}
	return s;
}

static int parse_all(const char *s, unsigned int base, u64 *v)
{
	bool overflow;
	const char *end;

	s = fix_base(s, &base);
	end = parse(s, base, v, &overflow);
	if (end == s)
		return -EINVAL;
	if (overflow)
		return -ERANGE;
	if (*end == '\n')
		end++;
	return *end ? -EINVAL : 0;
}

int __probed kstrtoull(const char *s, unsigned int base, unsigned long long *res)
{
	u64 v;
	int err = parse_all(s[0] == '+' ? s + 1 : s, base, &v);

	if (!err)
		*res = v;
	return err;
}

int __probed kstrtoll(const char *s, unsigned int base, long long *res)
{
	bool neg = s[0] == '-';
	u64 v;
	int err = parse_all(neg || s[0] == '+' ? s + 1 : s, base, &v);

	if (err)
		return err;
	if (v > (u64)LLONG_MAX + neg)
		return -ERANGE;
	*res = neg ? -(s64)v : (s64)v;
	return 0;
}

#define KSTRTO(name, type, wide, from)					\
int __probed name(const char *s, unsigned int base, type *res)		\
{									\
	wide v;								\
	int err = from(s, base, &v);					\
									\
	if (err)							\
		return err;						\
	if (v != (wide)(type)v)						\
		return -ERANGE;						\
	*res = (type)v;							\
	return 0;							\
}
KSTRTO(kstrtoul, unsigned long, unsigned long long, kstrtoull)
KSTRTO(kstrtol, long, long long, kstrtoll)
KSTRTO(kstrtouint, unsigned int, unsigned long long, kstrtoull)
KSTRTO(kstrtoint, int, long long, kstrtoll)
KSTRTO(kstrtou16, u16, unsigned long long, kstrtoull)
KSTRTO(kstrtos16, s16, long long, kstrtoll)
KSTRTO(kstrtou8, u8, unsigned long long, kstrtoull)
KSTRTO(kstrtos8, s8, long long, kstrtoll)

/* y Y 1 on On ...; only what is needed to decide is looked at. */
int __probed kstrtobool(const char *s, bool *res)
{
	if (!s)
		return -EINVAL;
	switch (tolower(s[0])) {
	case 'y':
	case '1':
		*res = true;
		return 0;
	case 'n':
	case '0':
		*res = false;
		return 0;
	case 'o':
		if (tolower(s[1]) == 'n' || tolower(s[1]) == 'f') {
			*res = tolower(s[1]) == 'n';
			return 0;
		}
	}
	return -EINVAL;
}

/* The old ones stop where the number does. */
unsigned long long __probed simple_strtoull(const char *s, char **end,
					    unsigned int base)
{
	bool overflow;
	u64 v;

	s = parse(fix_base(s, &base), base, &v, &overflow);
	if (end)
		*end = (char *)s;
	return v;
}

unsigned long __probed simple_strtoul(const char *s, char **end, unsigned int base)
{
	return simple_strtoull(s, end, base);
}

long long __probed simple_strtoll(const char *s, char **end, unsigned int base)
{
	if (*s == '-')
		return -(long long)simple_strtoull(s + 1, end, base);
	return (long long)simple_strtoull(s, end, base);
}

/* A number of a list "1,2,3": 0 no number, 1 the last one, 2 a comma follows. */
int __probed get_option(char **str, int *pint)
{
	char *s = *str;

	if (!s || !*s)
		return 0;
	*pint = (int)simple_strtoll(s, str, 0);
	if (s == *str)
		return 0;
	if (**str != ',')
		return 1;
	(*str)++;
	return 2;
}

int __probed hex_to_bin(char c)
{
	return isxdigit(c) ? (int)digit_of(c) : -1;
}
