// SPDX-License-Identifier: GPL-2.0
/* Ring 3: how a task enters it, its system calls, and what happens on every
 * way back (arch/x86/entry/common.c, kernel/entry/common.c, v5.10 on). */
#include <emukp.h>

/* Numbers as in arch/x86/entry/syscalls/syscall_64.tbl; rasctl is not Linux's
 * and has one that Linux leaves free. */
enum {
	__NR_write = 1, __NR_rt_sigaction = 13, __NR_rt_sigprocmask = 14,
	__NR_rt_sigreturn = 15, __NR_sched_yield = 24, __NR_getpid = 39,
	__NR_exit = 60, __NR_kill = 62, __NR_sigaltstack = 131,
	__NR_gettid = 186, __NR_exit_group = 231, __NR_tgkill = 234,
	__NR_rseq = 334, __NR_rasctl = 400,
};

#define WRITE_CHUNK	256

/* Standard output and error are the kernel's log. */
long __probed ksys_write(unsigned int fd, const char __user *buf, size_t count)
{
	char chunk[WRITE_CHUNK];
	size_t done = 0;

	if (fd != 1 && fd != 2)
		return -EBADF;
	if (!access_ok(buf, count))
		return -EFAULT;
	while (done < count) {
		size_t left = count - done, n = min(left, sizeof(chunk));

		n -= copy_from_user(chunk, buf + done, n);
		if (!n)
			return done ? (long)done : -EFAULT;
		hypercall(HC_PRINTK, (unsigned long)chunk, n, 0, 0);
		done += n;
	}
	return (long)done;
}

long __probed sys_getpid(void)
{
	return current->pid;
}

long __probed sys_sched_yield(void)
{
	yield();
	return 0;
}

void __probed sys_exit(long code)
{
	do_exit(code);
}

long __probed do_syscall_64(long nr, struct pt_regs *regs)
{
	unsigned long a = regs->di, b = regs->si, c = regs->dx, d = regs->r10;

	switch (nr) {
	case __NR_write:
		return ksys_write((unsigned int)a, (void *)b, c);
	case __NR_rt_sigaction:
		return sys_rt_sigaction((int)a, (void *)b, (void *)c, d);
	case __NR_rt_sigprocmask:
		return sys_rt_sigprocmask((int)a, (void *)b, (void *)c, d);
	case __NR_rt_sigreturn:
		return sys_rt_sigreturn(regs);
	case __NR_sched_yield:
		return sys_sched_yield();
	case __NR_getpid:
	case __NR_gettid:
		return sys_getpid();
	case __NR_exit:
	case __NR_exit_group:
		sys_exit((long)a);
	case __NR_kill:
		return sys_kill((int)a, (int)b);
	case __NR_tgkill:
		return sys_tgkill((int)a, (int)b, (int)c);
	case __NR_sigaltstack:
		return sys_sigaltstack((void *)a, (void *)b, regs->sp);
	case __NR_rseq:
		return sys_rseq((void *)a, (u32)b, (int)c, (u32)d);
	case __NR_rasctl:
		return sys_rasctl(a, b, (int)c);
	}
	return -ENOSYS;
}

/* What iretq would refuse. Linux has it fault and mends that (bad_iret,
 * arch/x86/kernel/traps.c fixup_bad_iret). */
static int bad_user_frame(const struct pt_regs *regs)
{
	return (long)(regs->ip << 16) >> 16 != (long)regs->ip ||
	       regs->cs != __USER_CS || regs->ss != __USER_DS;
}

/*
 * The last thing before ring 3, interrupts off: other tasks first, then
 * restartable sequences, then signals, until nothing is left. A sequence is
 * left before a frame is made: the handler's context has the new ip.
 */
void __probed exit_to_user_mode(struct pt_regs *regs)
{
	struct user_task *u = current->user;

	if (!u)
		return;		/* entered by enter_user alone */
	for (;;) {
		if (this_cpu_read(need_resched)) {
			schedule();
		} else if (u->rseq_event) {
			rseq_handle_notify_resume(regs);
		} else if (u->pending & ~u->blocked) {
			do_signal(regs);
		} else if (sysctl_sigreturn_check && bad_user_frame(regs)) {
			force_sig_fault(SIGSEGV, SI_KERNEL, 0, 13, 0, 0);
		} else {
			break;
		}
	}
}

/* Body of a user task's kernel half; arg is its struct user_task. */
long __probed user_thread(void *arg)
{
	struct user_task *u = arg;
	struct pt_regs regs = u->regs;

	u->sas.ss_flags = SS_DISABLE;
	current->user = u;
	return_to_user(&regs);
}
