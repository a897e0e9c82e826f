// SPDX-License-Identifier: GPL-2.0
/* printk and panic: text goes to the harness, a chunk for each call. */
#include <emukp.h>

#define LOG_LINE_MAX	(1024 - 32)

int __probed vprintk(const char *fmt, va_list args)
{
	char buf[LOG_LINE_MAX];
	int n = vsnprintf(buf, sizeof(buf), fmt, args);

	if (n >= (int)sizeof(buf))
		n = sizeof(buf) - 1;
	hypercall(HC_PRINTK, (unsigned long)buf, (unsigned long)n, 0, 0);
	return n;
}

int __probed printk(const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vprintk(fmt, args);
	va_end(args);
	return n;
}

void __probed panic(const char *fmt, ...)
{
	char buf[LOG_LINE_MAX];
	va_list args;

	local_irq_disable();
	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	hypercall(HC_PANIC, (unsigned long)buf, 0, 0, 0);
	BUG();
}
