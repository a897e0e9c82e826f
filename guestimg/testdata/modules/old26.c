/*
 * As modules were written for 2.6: names of registers after instructions,
 * an address looked up by hand, asm/ headers, do_gettimeofday, gnu89 inline.
 */
#include <linux/version.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/kallsyms.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/interrupt.h>
#include <asm/uaccess.h>
#include <asm/atomic.h>
#include <asm/system.h>
#include <asm/current.h>

#ifndef CONFIG_KPROBES
#error "kprobes are needed"
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 2, 0)
#define FORK "_do_fork"
#else
#define FORK "do_fork"
#endif

static struct kprobe kp;
static spinlock_t lock = SPIN_LOCK_UNLOCKED;
static atomic_t hits = ATOMIC_INIT(0);
static unsigned long last_rip;

inline void note(struct pt_regs *regs)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	last_rip = regs->rip;
	spin_unlock_irqrestore(&lock, flags);
}

int pre(struct kprobe *p, struct pt_regs *regs)
{
	struct timeval tv;

	do_gettimeofday(&tv);
	note(regs);
	atomic_inc(&hits);
	if (current->cred->uid.val != 0 || current->parent->pid > current->pid)
		return 0;
	printk("%s[%d] at %lu.%06lu: rip=%lx rsp=%lx eflags=%lx rdi=%lx orig=%ld %s\n",
	       current->comm, current->pid, (unsigned long)tv.tv_sec, tv.tv_usec,
	       regs->rip, regs->rsp, regs->eflags, regs->rdi, regs->orig_rax,
	       in_interrupt() ? "irq" : "task");
	return 0;
}

void post(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
	smp_mb();
}

int init_module(void)
{
	int ret;

	kp.pre_handler = pre;
	kp.post_handler = post;
	kp.addr = (kprobe_opcode_t *)kallsyms_lookup_name(FORK);
	if (!kp.addr) {
		printk("Couldn't find %s to plant kprobe\n", FORK);
		return -1;
	}
	if ((ret = register_kprobe(&kp)) < 0) {
		printk("register_kprobe failed, returned %d\n", ret);
		return -1;
	}
	printk("kprobe registered\n");
	return 0;
}

void cleanup_module(void)
{
	unregister_kprobe(&kp);
	printk("kprobe unregistered after %d hits, last at %lx\n",
	       atomic_read(&hits), last_rip);
}

MODULE_LICENSE("GPL");
