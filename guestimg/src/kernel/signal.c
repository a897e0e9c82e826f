// SPDX-License-Identifier: GPL-2.0
/* Signals of user tasks (kernel/signal.c, arch/x86/kernel/signal.c, v5.10).
 * Which signal a trap is, the harness says: see force_sig_fault. */
#include <emukp.h>

long sysctl_sigreturn_check = 1;

#define SYNCHRONOUS_MASK (sigmask(SIGSEGV) | sigmask(SIGBUS) | sigmask(SIGILL) | \
			  sigmask(SIGTRAP) | sigmask(SIGFPE) | sigmask(SIGSYS))
#define UNBLOCKABLE_MASK (sigmask(SIGKILL) | sigmask(SIGSTOP))
/* Nobody stops or goes on here, so the stop signals do nothing either. */
#define IGNORED_MASK	(sigmask(SIGCHLD) | sigmask(SIGCONT) | sigmask(SIGURG) | \
			 sigmask(SIGWINCH) | sigmask(SIGSTOP) | sigmask(SIGTSTP) | \
			 sigmask(SIGTTIN) | sigmask(SIGTTOU))

static int valid_signal(int sig)
{
	return sig >= 1 && sig <= _NSIG;
}

/* A signal that must not be lost: one that is blocked or ignored kills. */
static void force(int sig, const struct sigqueue *q, int fatal)
{
	struct user_task *u = current->user;
	struct k_sigaction *ka = &u->action[sig - 1];

	if (fatal || u->blocked & sigmask(sig) || ka->sa_handler == SIG_IGN)
		ka->sa_handler = SIG_DFL;
	u->blocked &= ~sigmask(sig);
	u->info[sig - 1] = *q;
	u->pending |= sigmask(sig);
}

int __probed force_sig_fault(int sig, int code, unsigned long addr,
			     unsigned long trap_nr, unsigned long error_code,
			     unsigned long cr2)
{
	struct user_task *u = current->user;
	struct sigqueue q = { code, (int)trap_nr, addr };

	if (trap_nr == 14)
		u->cr2 = cr2;
	u->trap_nr = trap_nr;
	u->error_code = error_code;
	force(sig, &q, 0);
	return 0;
}

void __probed force_sig(int sig)
{
	struct sigqueue q = { SI_KERNEL, -1, 0 };

	force(sig, &q, 0);
}

void __probed force_fatal_sig(int sig)
{
	struct sigqueue q = { SI_KERNEL, -1, 0 };

	force(sig, &q, 1);
}

/* A signal from somebody; it waits for p's next way to ring 3. */
int __probed send_sig_info(int sig, struct task_struct *p, int code)
{
	struct user_task *u = p->user;

	if (!valid_signal(sig))
		return -EINVAL;
	if (!u)
		return -ESRCH;	/* a kernel thread */
	u->info[sig - 1] = (struct sigqueue){ code, -1, (unsigned long)current->pid };
	u->pending |= sigmask(sig);
	if (p->cpu != smp_processor_id())
		hypercall(HC_RESCHED, (unsigned long)p->cpu, 0, 0, 0);
	return 0;
}

static long kill_pid(int pid, int sig, int code)
{
	unsigned long flags = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p;
	long ret = -ESRCH;

	for (p = task_list; p; p = p->next) {
		if (p->pid == pid && p->user) {
			ret = sig ? send_sig_info(sig, p, code) : 0;
			break;
		}
	}
	spin_unlock_irqrestore(&tasklist_lock, flags);
	return ret;
}

long __probed sys_kill(int pid, int sig)
{
	return kill_pid(pid, sig, SI_USER);
}

/* Every task is a process of its own as far as numbers go. */
long __probed sys_tgkill(int tgid, int pid, int sig)
{
	if (tgid <= 0 || pid <= 0)
		return -EINVAL;
	return tgid == pid ? kill_pid(pid, sig, SI_TKILL) : -ESRCH;
}

/* Faults come before what others send, then the lowest number. */
static int next_signal(const struct user_task *u)
{
	unsigned long x = u->pending & ~u->blocked;

	if (x & SYNCHRONOUS_MASK)
		x &= SYNCHRONOUS_MASK;
	return x ? __builtin_ctzl(x) + 1 : 0;
}

/* The end: one line as show_signal_msg writes it, then the harness is told. */
void __probed get_signal_death(struct pt_regs *regs, int sig)
{
	struct user_task *u = current->user;
	const struct sigqueue *q = &u->info[sig - 1];

	if (q->trap == 14)
		pr_info("%s[%d]: segfault at %lx ip %016lx sp %016lx error %lx\n",
			current->comm, current->pid, q->value, regs->ip,
			regs->sp, u->error_code);
	hypercall(HC_USER_KILLED, (unsigned long)regs, (unsigned long)sig,
		  (unsigned long)(long)q->trap, u->error_code);
	do_exit(sig);
}

/* The next signal that has a handler, 0 if none; others are done here. */
static int get_signal(struct pt_regs *regs, struct k_sigaction *ka,
		      struct sigqueue *q)
{
	struct user_task *u = current->user;
	int sig;

	while ((sig = next_signal(u))) {
		struct k_sigaction *act = &u->action[sig - 1];

		u->pending &= ~sigmask(sig);
		if (act->sa_handler == SIG_IGN)
			continue;
		if (act->sa_handler == SIG_DFL) {
			if (sigmask(sig) & IGNORED_MASK)
				continue;
			get_signal_death(regs, sig);
		}
		*ka = *act;
		*q = u->info[sig - 1];
		if (act->sa_flags & SA_RESETHAND)
			act->sa_handler = SIG_DFL;
		return sig;
	}
	return 0;
}

static int on_sig_stack(const struct user_task *u, unsigned long sp)
{
	return sp > u->sas.ss_sp && sp - u->sas.ss_sp <= u->sas.ss_size;
}

static int sas_ss_flags(const struct user_task *u, unsigned long sp)
{
	if (!u->sas.ss_size)
		return SS_DISABLE;
	if (u->sas.ss_flags & (int)SS_AUTODISARM)
		return 0;
	return on_sig_stack(u, sp) ? SS_ONSTACK : 0;
}

/* Where the frame goes: below the red zone, or on the alternative stack. */
static unsigned long get_sigframe(const struct user_task *u,
				  const struct k_sigaction *ka,
				  const struct pt_regs *regs)
{
	unsigned long sp = regs->sp;
	int alt = !(u->sas.ss_flags & (int)SS_AUTODISARM) && on_sig_stack(u, sp);

	sp -= 128;
	if (ka->sa_flags & SA_ONSTACK && !sas_ss_flags(u, sp)) {
		sp = u->sas.ss_sp + u->sas.ss_size;
		alt = 1;
	}
	/* As at the entry of a function: sp + 8 is a multiple of 16. */
	sp = ((sp - sizeof(struct rt_sigframe)) & -16UL) - 8;
	if (alt && !on_sig_stack(u, sp))
		return -1UL;	/* full */
	return sp;
}

static void fill_sigcontext(struct sigcontext *sc, const struct pt_regs *regs,
			    const struct user_task *u)
{
	sc->r8 = regs->r8;
	sc->r9 = regs->r9;
	sc->r10 = regs->r10;
	sc->r11 = regs->r11;
	sc->r12 = regs->r12;
	sc->r13 = regs->r13;
	sc->r14 = regs->r14;
	sc->r15 = regs->r15;
	sc->di = regs->di;
	sc->si = regs->si;
	sc->bp = regs->bp;
	sc->bx = regs->bx;
	sc->dx = regs->dx;
	sc->ax = regs->ax;
	sc->cx = regs->cx;
	sc->sp = regs->sp;
	sc->ip = regs->ip;
	sc->flags = regs->flags;
	sc->cs = (u16)regs->cs;
	sc->ss = (u16)regs->ss;
	sc->err = u->error_code;
	sc->trapno = u->trap_nr;
	sc->oldmask = u->blocked;
	sc->cr2 = u->cr2;
}

int __probed setup_rt_frame(int sig, const struct k_sigaction *ka,
			    const struct sigqueue *q, struct pt_regs *regs)
{
	struct user_task *u = current->user;
	unsigned long sp = get_sigframe(u, ka, regs);
	struct rt_sigframe f;

	/* x86_64 has no other way back. */
	if (!(ka->sa_flags & SA_RESTORER) ||
	    !access_ok((void *)sp, sizeof(f)))
		return -EFAULT;
	memset(&f, 0, sizeof(f));
	f.pretcode = ka->sa_restorer;
	f.uc.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f.uc.uc_stack = u->sas;
	f.uc.uc_sigmask = u->blocked;
	fill_sigcontext(&f.uc.uc_mcontext, regs, u);
	f.info.si_signo = sig;
	f.info.si_code = q->code;
	if (q->code > SI_USER)
		f.info.si_addr = q->value;
	else
		f.info.si_pid = (int)q->value;
	if (copy_to_user((void *)sp, &f, sizeof(f)))
		return -EFAULT;
	if (u->sas.ss_flags & (int)SS_AUTODISARM)
		u->sas = (stack_t){ 0, SS_DISABLE, 0 };

	regs->di = (unsigned long)sig;
	regs->si = sp + offsetof(struct rt_sigframe, info);
	regs->dx = sp + offsetof(struct rt_sigframe, uc);
	regs->ax = 0;
	regs->ip = ka->sa_handler;
	regs->sp = sp;
	regs->cs = __USER_CS;
	regs->ss = __USER_DS;
	regs->flags &= ~(X86_EFLAGS_DF | X86_EFLAGS_RF | X86_EFLAGS_TF);
	return 0;
}

void __probed do_signal(struct pt_regs *regs)
{
	struct user_task *u = current->user;
	struct k_sigaction ka;
	struct sigqueue q;
	int sig = get_signal(regs, &ka, &q);
	unsigned long ip;

	if (!sig)
		return;
	rseq_event(current, RSEQ_EVENT_SIGNAL);
	rseq_handle_notify_resume(regs);
	ip = regs->ip;
	if (setup_rt_frame(sig, &ka, &q, regs)) {
		if (sig == SIGSEGV)
			force_fatal_sig(SIGSEGV);
		else
			force_sig(SIGSEGV);
		return;
	}
	hypercall(HC_SIGNAL, (unsigned long)sig, ip, regs->ip, 0);
	u->blocked |= ka.sa_mask & ~UNBLOCKABLE_MASK;
	if (!(ka.sa_flags & SA_NODEFER))
		u->blocked |= sigmask(sig);
}

#define FIX_EFLAGS	(X86_EFLAGS_AC | X86_EFLAGS_RF | X86_EFLAGS_OF | \
			 X86_EFLAGS_DF | X86_EFLAGS_TF | X86_EFLAGS_SF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF | \
			 X86_EFLAGS_CF)

/* The program may have written anything: ring and interrupt flag are not its
 * to choose. An ip or a selector that iretq refuses is found on the way out. */
int __probed restore_sigcontext(struct pt_regs *regs, const struct sigcontext *sc)
{
	unsigned long fix = sysctl_sigreturn_check ? FIX_EFLAGS : ~0UL;
	u16 rpl = sysctl_sigreturn_check ? 3 : 0;

	regs->r8 = sc->r8;
	regs->r9 = sc->r9;
	regs->r10 = sc->r10;
	regs->r11 = sc->r11;
	regs->r12 = sc->r12;
	regs->r13 = sc->r13;
	regs->r14 = sc->r14;
	regs->r15 = sc->r15;
	regs->di = sc->di;
	regs->si = sc->si;
	regs->bp = sc->bp;
	regs->bx = sc->bx;
	regs->dx = sc->dx;
	regs->ax = sc->ax;
	regs->cx = sc->cx;
	regs->sp = sc->sp;
	regs->ip = sc->ip;
	regs->cs = sc->cs | rpl;
	regs->ss = sc->ss | rpl;
	regs->flags = (regs->flags & ~fix) | (sc->flags & fix) | X86_EFLAGS_FIXED;
	regs->orig_ax = -1UL;	/* no system call any more */
	return 0;
}

long __probed sys_rt_sigreturn(struct pt_regs *regs)
{
	struct user_task *u = current->user;
	unsigned long at = regs->sp - sizeof(unsigned long);
	struct rt_sigframe f;

	if (copy_from_user(&f, (void *)at, offsetof(struct rt_sigframe, info))) {
		pr_info("%s[%d] bad frame in rt_sigreturn frame:%016lx ip:%lx sp:%lx\n",
			current->comm, current->pid, at, regs->ip, regs->sp);
		force_sig(SIGSEGV);
		return 0;
	}
	u->blocked = f.uc.uc_sigmask & ~UNBLOCKABLE_MASK;
	restore_sigcontext(regs, &f.uc.uc_mcontext);
	(void)do_sigaltstack(&f.uc.uc_stack, regs->sp);
	return (long)regs->ax;
}

long __probed sys_rt_sigaction(int sig, const struct k_sigaction __user *act,
			       struct k_sigaction __user *oact, size_t size)
{
	struct user_task *u = current->user;
	struct k_sigaction new, old;

	if (size != sizeof(new.sa_mask) || !valid_signal(sig) ||
	    (act && sigmask(sig) & UNBLOCKABLE_MASK))
		return -EINVAL;
	if (act && copy_from_user(&new, act, sizeof(new)))
		return -EFAULT;
	old = u->action[sig - 1];
	if (act) {
		new.sa_mask &= ~UNBLOCKABLE_MASK;
		u->action[sig - 1] = new;
		if (new.sa_handler == SIG_IGN)
			u->pending &= ~sigmask(sig);
	}
	if (oact && copy_to_user(oact, &old, sizeof(old)))
		return -EFAULT;
	return 0;
}

long __probed sys_rt_sigprocmask(int how, const unsigned long __user *set,
				 unsigned long __user *oset, size_t size)
{
	struct user_task *u = current->user;
	unsigned long old = u->blocked, mask;

	if (size != sizeof(mask))
		return -EINVAL;
	if (set) {
		if (copy_from_user(&mask, set, sizeof(mask)))
			return -EFAULT;
		mask &= ~UNBLOCKABLE_MASK;
		if (how == SIG_BLOCK)
			u->blocked |= mask;
		else if (how == SIG_UNBLOCK)
			u->blocked &= ~mask;
		else if (how == SIG_SETMASK)
			u->blocked = mask;
		else
			return -EINVAL;
	}
	return oset && copy_to_user(oset, &old, sizeof(old)) ? -EFAULT : 0;
}

int __probed do_sigaltstack(const stack_t *ss, unsigned long sp)
{
	struct user_task *u = current->user;
	int mode = ss->ss_flags & ~(int)SS_AUTODISARM;

	if (on_sig_stack(u, sp) && !(u->sas.ss_flags & (int)SS_AUTODISARM))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		u->sas = (stack_t){ 0, SS_DISABLE, 0 };
		return 0;
	}
	if (ss->ss_size < MINSIGSTKSZ)
		return -ENOMEM;
	u->sas = *ss;
	return 0;
}

long __probed sys_sigaltstack(const stack_t __user *uss, stack_t __user *uoss,
			      unsigned long sp)
{
	struct user_task *u = current->user;
	stack_t new, old = u->sas;
	int err;

	old.ss_flags = sas_ss_flags(u, sp) | (old.ss_flags & (int)SS_AUTODISARM);
	if (uss) {
		if (copy_from_user(&new, uss, sizeof(new)))
			return -EFAULT;
		err = do_sigaltstack(&new, sp);
		if (err)
			return err;
	}
	if (uoss && copy_to_user(uoss, &old, sizeof(old)))
		return -EFAULT;
	return 0;
}
