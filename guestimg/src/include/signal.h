/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a task of ring 3 has beside its task_struct: signals and restartable
 * sequences. Structures that user programs see have the layouts of Linux on
 * x86_64 (include/uapi/asm-generic/{signal,siginfo,ucontext}.h,
 * arch/x86/include/uapi/asm/sigcontext.h, include/uapi/linux/rseq.h).
 */
#ifndef _EMUKP_SIGNAL_H
#define _EMUKP_SIGNAL_H

#define _NSIG		64
#define SIGILL		4
#define SIGTRAP		5
#define SIGBUS		7
#define SIGFPE		8
#define SIGKILL		9
#define SIGSEGV		11
#define SIGCHLD		17
#define SIGCONT		18
#define SIGSTOP		19
#define SIGTSTP		20
#define SIGTTIN		21
#define SIGTTOU		22
#define SIGURG		23
#define SIGWINCH	28
#define SIGSYS		31
#define sigmask(sig)	(1UL << ((sig) - 1))

#define SIG_DFL		0UL
#define SIG_IGN		1UL

#define SA_SIGINFO	0x00000004UL
#define SA_RESTORER	0x04000000UL
#define SA_ONSTACK	0x08000000UL
#define SA_NODEFER	0x40000000UL
#define SA_RESETHAND	0x80000000UL

#define SIG_BLOCK	0
#define SIG_UNBLOCK	1
#define SIG_SETMASK	2

#define SS_ONSTACK	1
#define SS_DISABLE	2
#define SS_AUTODISARM	(1U << 31)
#define MINSIGSTKSZ	2048

#define SI_USER		0
#define SI_KERNEL	0x80
#define SI_TKILL	(-6)

struct k_sigaction {
	unsigned long sa_handler;
	unsigned long sa_flags;
	unsigned long sa_restorer;
	unsigned long sa_mask;
};

typedef struct {
	unsigned long ss_sp;
	int ss_flags;
	size_t ss_size;
} stack_t;

struct siginfo {
	int si_signo, si_errno, si_code, __pad;
	union {
		unsigned long si_addr;
		struct { int si_pid; u32 si_uid; };
		char _size[112];
	};
};

struct sigcontext {
	unsigned long r8, r9, r10, r11, r12, r13, r14, r15;
	unsigned long di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	u16 cs, gs, fs, ss;
	unsigned long err, trapno, oldmask, cr2;
	unsigned long fpstate;
	unsigned long reserved1[8];
};

#define UC_SIGCONTEXT_SS	2
#define UC_STRICT_RESTORE_SS	4

struct ucontext {
	unsigned long uc_flags, uc_link;
	stack_t uc_stack;
	struct sigcontext uc_mcontext;
	unsigned long uc_sigmask;
};

struct rt_sigframe {
	unsigned long pretcode;
	struct ucontext uc;
	struct siginfo info;
};

_Static_assert(sizeof(struct siginfo) == 128, "siginfo");
_Static_assert(sizeof(struct sigcontext) == 256, "sigcontext");
_Static_assert(sizeof(struct ucontext) == 304, "ucontext");

#ifndef MODULE
/* 20 bytes that users fill, padded to the 32 of the first version. */
struct rseq {
	u32 cpu_id_start, cpu_id;
	u64 rseq_cs;
	u32 flags, node_id, mm_cid;
	char end[] __aligned(32);
};
struct rseq_cs {
	u32 version, flags;
	u64 start_ip, post_commit_offset, abort_ip;
};
#define RSEQ_CPU_ID_UNINITIALIZED	((u32)-1)
#define RSEQ_FLAG_UNREGISTER		1
#define ORIG_RSEQ_SIZE			32

/* Why ip may have to leave a restartable sequence (rseq_check_flags()). */
#define RSEQ_EVENT_PREEMPT	1
#define RSEQ_EVENT_SIGNAL	2
#define RSEQ_EVENT_NMI		4
#define RSEQ_EVENT_FAULT	8

/* rasctl(2) of NetBSD. */
#define RAS_INSTALL	0
#define RAS_PURGE	1
#define RAS_PURGE_ALL	2
#define RAS_MAX		8
struct ras {
	unsigned long start, end;
};

/* Of one pending signal; only the newest of each number is kept. */
struct sigqueue {
	int code;
	int trap;			/* vector, -1: somebody sent it */
	unsigned long value;		/* si_addr or si_pid */
};

/* One page, made by the harness. */
struct user_task {
	struct pt_regs regs;		/* where it begins */
	unsigned long pending, blocked;
	unsigned long trap_nr, error_code, cr2;	/* of the last fault in ring 3 */
	stack_t sas;			/* alternative stack */
	struct rseq __user *rseq;
	u32 rseq_len, rseq_sig;
	unsigned long rseq_event;	/* RSEQ_EVENT_* since the last look */
	long nr_ras;
	struct ras ras[RAS_MAX];
	struct sigqueue info[_NSIG];
	struct k_sigaction action[_NSIG];
};
_Static_assert(sizeof(struct user_task) <= PAGE_SIZE, "user_task");

/* Protections that a scenario may turn off. */
extern long sysctl_rseq, sysctl_sigreturn_check;

/* kernel/signal.c */
int force_sig_fault(int sig, int code, unsigned long addr,
		    unsigned long trap_nr, unsigned long error_code,
		    unsigned long cr2);
void force_sig(int sig);
void force_fatal_sig(int sig);
int send_sig_info(int sig, struct task_struct *p, int code);
void do_signal(struct pt_regs *regs);
int setup_rt_frame(int sig, const struct k_sigaction *ka,
		   const struct sigqueue *q, struct pt_regs *regs);
int restore_sigcontext(struct pt_regs *regs, const struct sigcontext *sc);
void get_signal_death(struct pt_regs *regs, int sig) __noreturn;
long sys_rt_sigaction(int sig, const struct k_sigaction __user *act,
		      struct k_sigaction __user *oact, size_t size);
long sys_rt_sigprocmask(int how, const unsigned long __user *set,
			unsigned long __user *oset, size_t size);
long sys_sigaltstack(const stack_t __user *ss, stack_t __user *oss,
		     unsigned long sp);
int do_sigaltstack(const stack_t *ss, unsigned long sp);
long sys_rt_sigreturn(struct pt_regs *regs);
long sys_kill(int pid, int sig);
long sys_tgkill(int tgid, int pid, int sig);

/* kernel/rseq.c */
void rseq_event(struct task_struct *tsk, unsigned long event);
void rseq_handle_notify_resume(struct pt_regs *regs);
int rseq_ip_fixup(struct pt_regs *regs);
int ras_ip_fixup(struct pt_regs *regs);
long sys_rseq(struct rseq __user *rseq, u32 len, int flags, u32 sig);
long sys_rasctl(unsigned long addr, size_t len, int op);

/* kernel/user.c, <arch>/entry.S */
long user_thread(void *arg);
long ksys_write(unsigned int fd, const char __user *buf, size_t count);
long sys_getpid(void);
long sys_sched_yield(void);
void sys_exit(long code) __noreturn;
long do_syscall_64(long nr, struct pt_regs *regs);
void exit_to_user_mode(struct pt_regs *regs);
void return_to_user(struct pt_regs *regs) __noreturn;
#endif

#endif
