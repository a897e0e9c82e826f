// SPDX-License-Identifier: GPL-2.0
/* WARN() and dump_stack() (kernel/panic.c, lib/dump_stack.c). */
#include <emukp.h>
#include <linux/bug.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/jiffies.h>
#include <linux/spinlock.h>

void __probed dump_stack(void)
{
	hypercall(HC_DUMP_STACK, 0, 0, 0, 0);
}

void __probed __warn(const char *file, int line, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	printk(KERN_WARNING "------------[ cut here ]------------\n");
	printk(KERN_WARNING "WARNING: CPU: %ld PID: %d at %s:%d %pS\n",
	       (long)cpu_field_read(cpu), current->pid, file, line,
	       __builtin_return_address(0));
	if (fmt) {
		va_start(args, fmt);
		vaf.va = &args;
		printk(KERN_WARNING "%pV", &vaf);
		va_end(args);
	}
	dump_stack();
	printk(KERN_WARNING "---[ end trace ]---\n");
}

struct ratelimit_state printk_ratelimit_state = {
	.interval = DEFAULT_RATELIMIT_INTERVAL,
	.burst = DEFAULT_RATELIMIT_BURST,
};

/* 1: go on; 0: too many in this interval (lib/ratelimit.c). */
int __probed ___ratelimit(struct ratelimit_state *rs, const char *func)
{
	unsigned long flags, now = jiffies;
	int ok;

	if (!rs->interval)
		return 1;
	spin_lock_irqsave(&rs->lock, flags);
	if (!rs->printed && !rs->missed)
		rs->begin = now;
	if (time_is_before_jiffies(rs->begin + (unsigned long)rs->interval)) {
		if (rs->missed)
			printk(KERN_WARNING "%s: %d callbacks suppressed\n", func,
			       rs->missed);
		rs->begin = now;
		rs->printed = 0;
		rs->missed = 0;
	}
	ok = rs->printed < rs->burst;
	if (ok)
		rs->printed++;
	else
		rs->missed++;
	spin_unlock_irqrestore(&rs->lock, flags);
	return ok;
}
