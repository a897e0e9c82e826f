// SPDX-License-Identifier: GPL-2.0
/*
 * vsnprintf with the flags and conversions of lib/vsprintf.c, v4.14: %p is
 * the plain address in 16 digits (it is hashed since v4.15), %px the same;
 * %pS %ps %pF %pf %pB are names, which the harness knows; %pV, %pd, %pD, %ph.
 * No %n and no floating point.
 */
#include <emukp.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/printk.h>

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	int width, precision;		/* -1: none */
	bool left, zero, plus, space, hash;
	bool sign, upper;
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

	/* What points into the first page is an error code or a field of NULL. */
	if ((unsigned long)s < PAGE_SIZE)
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
	char tmp[24], sign = 0;
	int n = 0, width = f->width, zeros;
	bool prefix = f->hash && (f->base == 16 || (f->base == 8 && v));
	u32 rem;

	if (f->sign) {
		if ((s64)v < 0) {
			sign = '-';
			v = -v;
		} else if (f->plus || f->space) {
			sign = f->plus ? '+' : ' ';
		}
	}
	do {
		v = div_u64_rem(v, f->base, &rem);
		tmp[n++] = digits[rem];
	} while (v);
	zeros = max(f->precision - n, 0);
	width -= n + zeros + (sign != 0) + (prefix ? (f->base == 16 ? 2 : 1) : 0);
	if (!f->left && !f->zero)
		pad(o, width, ' ');
	if (sign)
		put(o, sign);
	if (prefix) {
		put(o, '0');
		if (f->base == 16)
			put(o, f->upper ? 'X' : 'x');
	}
	if (!f->left && f->zero)
		pad(o, width, '0');
	pad(o, zeros, '0');
	while (n > 0)
		put(o, tmp[--n]);
	if (f->left)
		pad(o, width, ' ');
}

static void character(struct out *o, char c, const struct spec *f)
{
	if (!f->left)
		pad(o, f->width - 1, ' ');
	put(o, c);
	if (f->left)
		pad(o, f->width - 1, ' ');
}

static noinline void symbol(struct out *o, unsigned long addr, long how,
			    const struct spec *f)
{
	char name[KSYM_SYMBOL_LEN];

	hypercall(HC_SPRINT_SYMBOL, (unsigned long)name, addr, (unsigned long)how, 0);
	string(o, name, f);
}

/* %*ph: the bytes with what C, D or N put between them. */
static void hex_string(struct out *o, const u8 *p, char separator,
		       const struct spec *f)
{
	const struct spec byte = { .width = 2, .precision = -1, .zero = true, .base = 16 };
	int n = clamp(f->width, 1, 64);

	if (separator == 'C')
		separator = ':';
	else if (separator == 'D')
		separator = '-';
	else if (separator != 'N')
		separator = ' ';
	for (int i = 0; i < n; i++) {
		if (i && separator != 'N')
			put(o, separator);
		number(o, p[i], &byte);
	}
}

static void format(struct out *o, const char *fmt, va_list args);

/* ext is the letter behind %p. */
static void pointer(struct out *o, const char *ext, const void *p, struct spec *f)
{
	const struct va_format *vaf = p;
	const struct dentry *d = p;
	va_list again;

	if (!p && *ext != 'K' && *ext != 'x') {
		if (f->width < 0)
			f->width = 2 * sizeof(void *);
		string(o, "(null)", f);
		return;
	}
	switch (*ext) {
	case 'S':
	case 'F':
		symbol(o, (unsigned long)p, SYM_OFFSET, f);
		return;
	case 's':
	case 'f':
		symbol(o, (unsigned long)p, 0, f);
		return;
	case 'B':
		symbol(o, (unsigned long)p, SYM_OFFSET | SYM_BACKTRACE, f);
		return;
	case 'h':
		hex_string(o, p, ext[1], f);
		return;
	case 'V':
		va_copy(again, *vaf->va);
		format(o, vaf->fmt, again);
		va_end(again);
		return;
	case 'D':
		d = ((const struct file *)p)->f_path.dentry;
		fallthrough;
	case 'd':
		string(o, (const char *)d->d_name.name, f);
		return;
	}
	if (f->width < 0) {
		f->width = 2 * sizeof(void *);
		f->zero = true;
	}
	f->base = 16;
	number(o, (unsigned long)p, f);
}

static const char *flags(const char *p, struct spec *f)
{
	for (;; p++) {
		switch (*p) {
		case '-': f->left = true; break;
		case '0': f->zero = true; break;
		case '+': f->plus = true; break;
		case ' ': f->space = true; break;
		case '#': f->hash = true; break;
		default: return p;
		}
	}
}

static const char *decimal(const char *p, int *v)
{
	for (*v = 0; isdigit(*p); p++)
		*v = *v * 10 + (*p - '0');
	return p;
}

/* The bytes of an argument: 8 for ll, 1 for hh. */
static const char *length(const char *p, int *bytes)
{
	*bytes = sizeof(int);
	for (;; p++) {
		if (*p == 'l' || *p == 'L' || *p == 'q')
			*bytes = *p == 'l' && *bytes == sizeof(int) ? sizeof(long) : 8;
		else if (*p == 'z' || *p == 'Z' || *p == 't')
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

/* false: no conversion of integers. */
static bool integer(char c, struct spec *f)
{
	switch (c) {
	case 'd':
	case 'i':
		f->sign = true;
		return true;
	case 'X':
		f->upper = true;
		fallthrough;
	case 'x':
		f->base = 16;
		return true;
	case 'o':
		f->base = 8;
		return true;
	case 'u':
		return true;
	}
	return false;
}

static const char *width_and_precision(const char *p, struct spec *f, int star[2])
{
	if (*p == '*') {
		f->width = star[0];
		p++;
		if (f->width < 0) {
			f->left = true;
			f->width = -f->width;
		}
	} else if (isdigit(*p)) {
		p = decimal(p, &f->width);
	}
	if (*p == '.') {
		p++;
		if (*p == '*') {
			f->precision = max(star[1], 0);
			p++;
		} else {
			p = decimal(p, &f->precision);
		}
	}
	return p;
}

static void format(struct out *o, const char *fmt, va_list args)
{
	const char *p;

	for (p = fmt; *p; p++) {
		struct spec f = { .width = -1, .precision = -1, .base = 10 };
		int bytes, star[2] = { 0, 0 };
		const char *q;
		u64 v;

		if (*p != '%') {
			put(o, *p);
			continue;
		}
		p = flags(p + 1, &f);
		q = p;
		if (*q == '*') {
			star[0] = va_arg(args, int);
			q++;
		}
		while (isdigit(*q))
			q++;
		if (q[0] == '.' && q[1] == '*')
			star[1] = va_arg(args, int);
		p = length(width_and_precision(p, &f, star), &bytes);
		switch (*p) {
		case 'c':
			character(o, (char)va_arg(args, int), &f);
			continue;
		case 's':
			string(o, va_arg(args, const char *), &f);
			continue;
		case 'p':
			pointer(o, p + 1, va_arg(args, void *), &f);
			while (isalnum(p[1]))
				p++;
			continue;
		case 0:
			p--;
			continue;
		}
		if (!integer(*p, &f)) {
			put(o, *p);
			continue;
		}
		v = bytes == 8 ? va_arg(args, u64) : va_arg(args, unsigned int);
		number(o, widen(v, bytes, f.sign), &f);
	}
}

int __probed vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { buf, size, 0 };
	va_list again;

	if ((long)size < 0)
		return 0;
	va_copy(again, args);
	format(&o, fmt, again);
	va_end(again);
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

/* As vsnprintf, but what is returned is what was written. */
int __probed vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	int n = vsnprintf(buf, size, fmt, args);

	if (n < (int)size)
		return n;
	return size ? (int)size - 1 : 0;
}

int __probed scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vscnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}

int __probed vsprintf(char *buf, const char *fmt, va_list args)
{
	return vsnprintf(buf, ~0U >> 1, fmt, args);
}

int __probed sprintf(char *buf, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsprintf(buf, fmt, args);
	va_end(args);
	return n;
}
