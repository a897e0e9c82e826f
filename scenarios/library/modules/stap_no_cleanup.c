// SPDX-License-Identifier: GPL-2.0
/*
 * The same probe without a setjmp of its own, for the robust patch: what Frank
 * Eigler objected to. A fault skips everything behind it, the unlock too. Other
 * probes time out on the lock, are skipped, and MAXSKIPPED of those end the session.
 */
#include <linux/module.h>
#include <linux/kprobes.h>
#include <linux/spinlock.h>

#define MAXTRYLOCK	100
#define MAXSKIPPED	4

static unsigned long address;
module_param(address, ulong, 0);

static DEFINE_SPINLOCK(global_lock);
static long reads, skipped;
static int session_over;

static int try_lock(void)
{
	int i;

	for (i = 0; i < MAXTRYLOCK; i++) {
		if (spin_trylock(&global_lock))
			return 1;
		cpu_relax();
	}
	return 0;
}

static int handler(struct kprobe *p, struct pt_regs *regs)
{
	if (session_over)
		return 0;
	if (!try_lock()) {
		if (++skipped >= MAXSKIPPED && !session_over) {
			session_over = 1;
			pr_err("stap: Skipped too many probes, check MAXSKIPPED.\n");
		}
		return 0;
	}
	reads += *(volatile long *)address != 0;
	spin_unlock(&global_lock);
	return 0;
}

static struct kprobe kp = { .symbol_name = "do_add", .pre_handler = handler };

static int __init stap_init(void)
{
	return register_kprobe(&kp);
}

static void __exit stap_exit(void)
{
	unregister_kprobe(&kp);
	pr_info("reads %ld, skipped %ld, the lock is %s\n", reads, skipped,
		spin_is_locked(&global_lock) ? "held" : "free");
}

module_init(stap_init);
module_exit(stap_exit);
MODULE_LICENSE("GPL");
