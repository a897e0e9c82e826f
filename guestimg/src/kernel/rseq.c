// SPDX-License-Identifier: GPL-2.0
/*
 * Restartable sequences: user code that goes back, or elsewhere, when it was
 * interrupted. rseq(2) as in kernel/rseq.c (v5.18 to v6.13), and rasctl(2) of
 * NetBSD (sys/kern/kern_ras.c), where ip goes back to the start of its range.
 *
 * Looked at when a task returns to ring 3 after it was switched out, after a
 * signal is found to deliver, after an NMI and after a page fault. Linux does
 * not look after the last two when no other task ran in between.
 */
#include <emukp.h>

long sysctl_rseq = 1;

void __probed rseq_event(struct task_struct *tsk, unsigned long event)
{
	if (tsk->user)
		tsk->user->rseq_event |= event;
}

static int clear_rseq_cs(struct rseq __user *rseq)
{
	return put_user(0, (long *)&rseq->rseq_cs);
}

/* The two words are one store: users read either. */
static int rseq_update_cpu_id(struct rseq __user *rseq, u32 start, u32 id)
{
	return put_user((long)((u64)id << 32 | start), (long *)rseq);
}

/* The descriptor that the task points to, checked; 0 in start_ip: none. */
static int rseq_get_rseq_cs(struct user_task *u, struct rseq_cs *cs)
{
	unsigned long ptr;
	u32 sig;

	memset(cs, 0, sizeof(*cs));
	if (get_user((long *)&ptr, (long *)&u->rseq->rseq_cs))
		return -EFAULT;
	if (!ptr)
		return 0;
	if (ptr >= TASK_SIZE_MAX)
		return -EINVAL;
	if (copy_from_user(cs, (void *)ptr, sizeof(*cs)))
		return -EFAULT;
	if (cs->start_ip >= TASK_SIZE_MAX || cs->abort_ip >= TASK_SIZE_MAX ||
	    cs->start_ip + cs->post_commit_offset >= TASK_SIZE_MAX ||
	    cs->start_ip + cs->post_commit_offset < cs->start_ip ||
	    cs->version > 0 || cs->flags)
		return -EINVAL;
	if (cs->abort_ip - cs->start_ip < cs->post_commit_offset)
		return -EINVAL;
	/* The word before abort_ip shows that the program means it. */
	if (copy_from_user(&sig, (void *)(cs->abort_ip - sizeof(sig)), sizeof(sig)))
		return -EFAULT;
	if (sig != u->rseq_sig) {
		pr_warn("Possible attack attempt. Unexpected rseq signature 0x%x, expecting 0x%x (pid=%d, addr=0x%lx).\n",
			sig, u->rseq_sig, current->pid, (unsigned long)cs->abort_ip);
		return -EINVAL;
	}
	return 0;
}

int __probed rseq_ip_fixup(struct pt_regs *regs)
{
	struct user_task *u = current->user;
	struct rseq_cs cs;
	int ret = rseq_get_rseq_cs(u, &cs);

	if (ret)
		return ret;
	ret = clear_rseq_cs(u->rseq);
	if (!ret && regs->ip - cs.start_ip < cs.post_commit_offset) {
		hypercall(HC_SEQUENCE, SEQ_RSEQ, regs->ip, cs.abort_ip, 0);
		regs->ip = cs.abort_ip;
	}
	return ret;
}

/* The first instruction has done nothing yet: it may stay where it is. */
int __probed ras_ip_fixup(struct pt_regs *regs)
{
	struct user_task *u = current->user;
	long i;

	for (i = 0; i < u->nr_ras; i++) {
		if (regs->ip > u->ras[i].start && regs->ip < u->ras[i].end) {
			hypercall(HC_SEQUENCE, SEQ_RAS, regs->ip, u->ras[i].start, 0);
			regs->ip = u->ras[i].start;
			return 1;
		}
	}
	return 0;
}

/* A descriptor that can't be followed kills: in Linux too, where a handler of
 * SIGSEGV would need the descriptor to be left first. */
void __probed rseq_handle_notify_resume(struct pt_regs *regs)
{
	struct user_task *u = current->user;
	u32 cpu = (u32)smp_processor_id();

	u->rseq_event = 0;
	if (!sysctl_rseq)
		return;
	ras_ip_fixup(regs);
	if (!u->rseq)
		return;
	if (rseq_ip_fixup(regs) || rseq_update_cpu_id(u->rseq, cpu, cpu))
		force_fatal_sig(SIGSEGV);
}

static long rseq_unregister(struct user_task *u, struct rseq __user *rseq,
			    u32 len, u32 sig)
{
	if (!u->rseq || u->rseq != rseq || len != u->rseq_len)
		return -EINVAL;
	if (sig != u->rseq_sig)
		return -EPERM;
	if (rseq_update_cpu_id(rseq, 0, RSEQ_CPU_ID_UNINITIALIZED))
		return -EFAULT;
	u->rseq = NULL;
	u->rseq_len = 0;
	u->rseq_sig = 0;
	return 0;
}

static int rseq_aligned(const struct rseq __user *rseq, u32 len)
{
	return len >= ORIG_RSEQ_SIZE &&
	       !((unsigned long)rseq & (ORIG_RSEQ_SIZE - 1));
}

long __probed sys_rseq(struct rseq __user *rseq, u32 len, int flags, u32 sig)
{
	struct user_task *u = current->user;
	long cs;

	if (flags & RSEQ_FLAG_UNREGISTER) {
		if (flags & ~RSEQ_FLAG_UNREGISTER)
			return -EINVAL;
		return rseq_unregister(u, rseq, len, sig);
	}
	if (flags)
		return -EINVAL;
	if (u->rseq) {
		if (u->rseq != rseq || len != u->rseq_len)
			return -EINVAL;
		return u->rseq_sig != sig ? -EPERM : -EBUSY;
	}
	if (!rseq_aligned(rseq, len))
		return -EINVAL;
	if (!access_ok(rseq, len))
		return -EFAULT;
	/* What a library left there would kill the task at the next look
	 * (fd881d0a085f, v6.14). */
	if (get_user(&cs, (long *)&rseq->rseq_cs) || (cs && clear_rseq_cs(rseq)))
		return -EFAULT;
	u->rseq = rseq;
	u->rseq_len = len;
	u->rseq_sig = sig;
	u->rseq_event |= RSEQ_EVENT_PREEMPT;	/* cpu_id is set on the way out */
	return 0;
}

static long ras_install(struct user_task *u, unsigned long start, unsigned long end)
{
	long i;

	for (i = 0; i < u->nr_ras; i++) {
		if (start < u->ras[i].end && u->ras[i].start < end)
			return -EEXIST;
	}
	if (u->nr_ras == RAS_MAX)
		return -ENOMEM;
	u->ras[u->nr_ras].start = start;
	u->ras[u->nr_ras++].end = end;
	return 0;
}

static long ras_purge(struct user_task *u, unsigned long start, unsigned long end)
{
	long i;

	for (i = 0; i < u->nr_ras; i++) {
		if (u->ras[i].start == start && u->ras[i].end == end) {
			u->ras[i] = u->ras[--u->nr_ras];
			return 0;
		}
	}
	return -ESRCH;
}

long __probed sys_rasctl(unsigned long addr, size_t len, int op)
{
	struct user_task *u = current->user;

	if (op == RAS_PURGE_ALL) {
		u->nr_ras = 0;
		return 0;
	}
	if (op != RAS_INSTALL && op != RAS_PURGE)
		return -EOPNOTSUPP;
	if (!len || !access_ok((void *)addr, len))
		return -EINVAL;
	if (op == RAS_PURGE)
		return ras_purge(u, addr, addr + len);
	return ras_install(u, addr, addr + len);
}
