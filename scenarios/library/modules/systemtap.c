// SPDX-License-Identifier: GPL-2.0
/*
 * What systemtap's translator would have emitted after the mail of April 2006
 * ("Kprobes robust fault handling for i386"): the handler does its own setjmp, its
 * fault handler points the instruction pointer at a trampoline, and the
 * trampoline longjmps back into the handler, which cleans up.
 */
#include <linux/module.h>
#include <linux/kprobes.h>
#include <linux/percpu.h>
#include <linux/setjmp.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

static unsigned long address;	/* what the probe wants to read from user space */
module_param(address, ulong, 0);

static DEFINE_PER_CPU(jmp_buf, systemtap_jmp_buffer);
static DEFINE_SPINLOCK(global_lock);	/* of the script's shared variables */
static long errors, reads;

static int systemtap_prehandler(struct kprobe *p, struct pt_regs *regs)
{
	long word;

	spin_lock(&global_lock);
	if ((setjmp(*this_cpu_ptr(&systemtap_jmp_buffer))) != 0) {
		/* came here because of longjmp() */
		errors++;
		spin_unlock(&global_lock);
		return 0;
	}
	/* It is the handler that wants the fault, not the exception table. */
	word = *(volatile long *)address;
	if (word)
		reads++;
	spin_unlock(&global_lock);
	return 0;
}

static void systemtap_fault_trampoline(void)
{
	/* goto systemtap-prehandler() */
	longjmp(*this_cpu_ptr(&systemtap_jmp_buffer));
}

static int systemtap_faulthandler(struct kprobe *p, struct pt_regs *regs, int trapnr)
{
	regs->ip = (unsigned long) systemtap_fault_trampoline;
	return 1;	/* kprobe handler need not do anything else */
}

static struct kprobe kp = {
	.symbol_name	= "do_add",
	.pre_handler	= systemtap_prehandler,
	.fault_handler	= systemtap_faulthandler,
};

static int __init stap_init(void)
{
	return register_kprobe(&kp);
}

static void __exit stap_exit(void)
{
	unregister_kprobe(&kp);
	pr_info("errors %ld, reads %ld, the lock is %s\n", errors, reads,
		spin_is_locked(&global_lock) ? "held" : "free");
}

module_init(stap_init);
module_exit(stap_exit);
MODULE_LICENSE("GPL");
