// SPDX-License-Identifier: GPL-2.0
/*
 * vsnprintf: flags - 0, width, precision of strings, h l ll z, and
 * d i u x X p s c %. %pS, %ps, %pF and %pB print the address in hex: names
 * are known to the harness only.
 */
#include <emukp.h>

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	int width, precision;
	bool left, zero, sign, upper;
	unsigned int base;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, int n, char c)
{
	while (n-- > 0)
		put(o, c);
}

static void string(struct out *o, const char *s, const struct spec *f)
{
	int n;

	if (!s)
		s = "(null)";
	n = (int)strnlen(s, f->precision < 0 ? ~0UL >> 1 : (size_t)f->precision);
	if (!f->left)
		pad(o, f->width - n, ' ');
	for (int i = 0; i < n; i++)
		put(o, s[i]);
	if (f->left)
		pad(o, f->width - n, ' ');
}

static void number(struct out *o, u64 v, const struct spec *f)
{
	const char *digits = f->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char tmp[24];
	bool neg = f->sign && (s64)v < 0;
	int n = 0, width = f->width;
	u32 rem;

	if (neg) {
		v = -v;
		width--;
	}
	do {
		v = div_u64_rem(v, f->base, &rem);
		tmp[n++] = digits[rem];
	} while (v);
	if (!f->left && !f->zero)
		pad(o, width - n, ' ');
	if (neg)
		put(o, '-');
	if (!f->left && f->zero)
		pad(o, width - n, '0');
	for (int i = n; i > 0; i--)
		put(o, tmp[i - 1]);
	if (f->left)
		pad(o, width - n, ' ');
}

static const char *flags(const char *p, struct spec *f)
{
	for (;; p++) {
		if (*p == '-')
			f->left = true;
		else if (*p == '0')
			f->zero = true;
		else if (*p != '#' && *p != '+' && *p != ' ')
			return p;
	}
}

static const char *decimal(const char *p, int *v)
{
	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		*v = *v * 10 + (*p - '0');
	return p;
}

/* The bytes of an argument: 8 for ll, 1 for hh. */
static const char *length(const char *p, int *bytes)
{
	*bytes = sizeof(int);
	for (;; p++) {
		if (*p == 'l')
			*bytes = *bytes == sizeof(int) ? sizeof(long) : 8;
		else if (*p == 'z' || *p == 't')
			*bytes = sizeof(long);
		else if (*p == 'h')
			*bytes /= 2;
		else
			return p;
	}
}

/* l twice is 8 bytes even where long has 4. */
static u64 widen(u64 v, int bytes, bool sign)
{
	switch (bytes) {
	case 1: return sign ? (u64)(s8)v : (u8)v;
	case 2: return sign ? (u64)(s16)v : (u16)v;
	case 4: return sign ? (u64)(s32)v : (u32)v;
	}
	return v;
}

int __probed vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { buf, size, 0 };
	const char *p;

	for (p = fmt; *p; p++) {
		struct spec f = { .precision = -1, .base = 10 };
		int bytes;
		u64 v;

		if (*p != '%') {
			put(&o, *p);
			continue;
		}
		p = flags(p + 1, &f);
		if (*p == '*') {
			f.width = va_arg(args, int);
			p++;
		} else {
			p = decimal(p, &f.width);
		}
		if (*p == '.') {
			if (p[1] == '*') {
				f.precision = va_arg(args, int);
				p += 2;
			} else {
				p = decimal(p + 1, &f.precision);
			}
		}
		p = length(p, &bytes);
		switch (*p) {
		case 'c':
			pad(&o, f.left ? 0 : f.width - 1, ' ');
			put(&o, (char)va_arg(args, int));
			pad(&o, f.left ? f.width - 1 : 0, ' ');
			continue;
		case 's':
			string(&o, va_arg(args, const char *), &f);
			continue;
		case 'p':
			if (p[1] == 'S' || p[1] == 's' || p[1] == 'F' || p[1] == 'B')
				p++;
			f.base = 16;
			f.zero = true;
			f.width = 2 * sizeof(void *);
			number(&o, (unsigned long)va_arg(args, void *), &f);
			continue;
		case 'd':
		case 'i':
			f.sign = true;
			break;
		case 'X':
			f.upper = true;
			fallthrough;
		case 'x':
			f.base = 16;
			break;
		case 'o':
			f.base = 8;
			break;
		case 'u':
			break;
		case 0:
			p--;
			continue;
		default:
			put(&o, *p);
			continue;
		}
		v = bytes == 8 ? va_arg(args, u64) : va_arg(args, unsigned int);
		number(&o, widen(v, bytes, f.sign), &f);
	}
	if (size)
		buf[min(o.len, size - 1)] = 0;
	return (int)o.len;
}

int __probed snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}
