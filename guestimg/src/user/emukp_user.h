/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What user programs are written with; included ahead of their text, assembly
 * too. Numbers, layouts and names are those of Linux on x86_64, so that code
 * written for glibc's <signal.h> and <ucontext.h> fits. System calls return
 * what the kernel returned: a negative error code, there is no errno.
 */
#ifndef _EMUKP_USER_H
#define _EMUKP_USER_H

#include <asm/asm.h>

#define __NR_write		1
#define __NR_rt_sigaction	13
#define __NR_rt_sigprocmask	14
#define __NR_rt_sigreturn	15
#define __NR_sched_yield	24
#define __NR_getpid		39
#define __NR_exit		60
#define __NR_kill		62
#define __NR_sigaltstack	131
#define __NR_gettid		186
#define __NR_exit_group		231
#define __NR_tgkill		234
#define __NR_rseq		334
#define __NR_rasctl		400	/* of NetBSD; the number is not Linux's */

/* The word before each abort handler (tools/testing/selftests/rseq). */
#define RSEQ_SIG		0x53053053

#ifdef __ASSEMBLER__
#include <linkage.h>
#else

#include <types.h>

#define ENOTTY	25

#define SIGHUP	1
#define SIGINT	2
#define SIGQUIT	3
#define SIGILL	4
#define SIGTRAP	5
#define SIGABRT	6
#define SIGBUS	7
#define SIGFPE	8
#define SIGKILL	9
#define SIGUSR1	10
#define SIGSEGV	11
#define SIGUSR2	12
#define SIGPIPE	13
#define SIGALRM	14
#define SIGTERM	15
#define SIGCHLD	17
#define SIGCONT	18
#define SIGSTOP	19
#define SIGURG	23
#define SIGWINCH 28
#define NSIG	65

#define SA_SIGINFO	0x00000004
#define SA_RESTORER	0x04000000
#define SA_ONSTACK	0x08000000
#define SA_NODEFER	0x40000000
#define SA_RESETHAND	0x80000000

#define SIG_BLOCK	0
#define SIG_UNBLOCK	1
#define SIG_SETMASK	2

#define SS_ONSTACK	1
#define SS_DISABLE	2
#define SS_AUTODISARM	(1U << 31)
#define MINSIGSTKSZ	2048
#define SIGSTKSZ	8192

/* si_code */
#define SI_USER		0
#define SI_KERNEL	0x80
#define SI_TKILL	(-6)
#define ILL_ILLOPN	2
#define FPE_INTDIV	1
#define SEGV_MAPERR	1
#define SEGV_ACCERR	2
#define BUS_ADRALN	1
#define BUS_ADRERR	2
#define TRAP_BRKPT	1
#define TRAP_TRACE	2

typedef int pid_t;
typedef unsigned long sigset_t;
typedef void (*sighandler_t)(int);
#define SIG_DFL	((sighandler_t)0)
#define SIG_IGN	((sighandler_t)1)

typedef struct {
	int si_signo, si_errno, si_code, __pad;
	union {
		void *si_addr;
		struct { pid_t si_pid; unsigned int si_uid; };
		char __size[112];
	};
} siginfo_t;

typedef struct {
	void *ss_sp;
	int ss_flags;
	size_t ss_size;
} stack_t;

/* Indices of gregs. */
enum {
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	REG_RDI, REG_RSI, REG_RBP, REG_RBX, REG_RDX, REG_RAX, REG_RCX, REG_RSP,
	REG_RIP, REG_EFL, REG_CSGSFS, REG_ERR, REG_TRAPNO, REG_OLDMASK, REG_CR2,
	NGREG
};
typedef long long greg_t;
typedef struct {
	greg_t gregs[NGREG];
	void *fpregs;
	unsigned long long __reserved1[8];
} mcontext_t;

typedef struct ucontext_t {
	unsigned long uc_flags;
	struct ucontext_t *uc_link;
	stack_t uc_stack;
	mcontext_t uc_mcontext;
	sigset_t uc_sigmask;
} ucontext_t;

struct sigaction {
	union {
		sighandler_t sa_handler;
		void (*sa_sigaction)(int, siginfo_t *, void *);
	};
	sigset_t sa_mask;
	unsigned int sa_flags;
	void (*sa_restorer)(void);	/* 0: the library's */
};

struct rseq {
	u32 cpu_id_start, cpu_id;
	u64 rseq_cs;
	u32 flags, node_id, mm_cid;
	char end[];
} __aligned(32);
struct rseq_cs {
	u32 version, flags;
	u64 start_ip, post_commit_offset, abort_ip;
} __aligned(32);
#define RSEQ_FLAG_UNREGISTER	1

#define RAS_INSTALL	0
#define RAS_PURGE	1
#define RAS_PURGE_ALL	2

static __always_inline long syscall4(long nr, long a, long b, long c, long d)
{
	register long r10 asm("r10") = d;
	long ret;

	asm volatile("syscall"
		     : "=a" (ret)
		     : "a" (nr), "D" (a), "S" (b), "d" (c), "r" (r10)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline ssize_t write(int fd, const void *buf, size_t n)
{
	return syscall4(__NR_write, fd, (long)buf, (long)n, 0);
}

static inline __noreturn void _exit(long code)
{
	syscall4(__NR_exit, code, 0, 0, 0);
	unreachable();
}

static inline pid_t getpid(void)
{
	return (pid_t)syscall4(__NR_getpid, 0, 0, 0, 0);
}

static inline int sched_yield(void)
{
	return (int)syscall4(__NR_sched_yield, 0, 0, 0, 0);
}

static inline int kill(pid_t pid, int sig)
{
	return (int)syscall4(__NR_kill, pid, sig, 0, 0);
}

static inline int raise(int sig)
{
	pid_t me = getpid();

	return (int)syscall4(__NR_tgkill, me, me, sig, 0);
}

static inline int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return (int)syscall4(__NR_rt_sigprocmask, how, (long)set, (long)old,
			     sizeof(*set));
}

static inline int sigaltstack(const stack_t *ss, stack_t *old)
{
	return (int)syscall4(__NR_sigaltstack, (long)ss, (long)old, 0, 0);
}

static inline int rseq(struct rseq *rseq, u32 len, int flags, u32 sig)
{
	return (int)syscall4(__NR_rseq, (long)rseq, len, flags, sig);
}

static inline int rasctl(void *addr, size_t len, int op)
{
	return (int)syscall4(__NR_rasctl, (long)addr, (long)len, op, 0);
}

#define sigemptyset(set)	(*(set) = 0)
#define sigfillset(set)		(*(set) = ~0UL)
#define sigaddset(set, sig)	(*(set) |= 1UL << ((sig) - 1))
#define sigismember(set, sig)	((int)(*(set) >> ((sig) - 1) & 1))

/* user/lib.c, user/crt.S */
int sigaction(int sig, const struct sigaction *act, struct sigaction *old);
sighandler_t signal(int sig, sighandler_t handler);
void __restore_rt(void);
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int puts(const char *s);

/* The program's own exception table (_ASM_EXTABLE of asm/asm.h): where to go
 * on when the instruction at ip faults, 0 if there is no entry. */
unsigned long search_exception_table(unsigned long ip);

#endif /* __ASSEMBLER__ */
#endif
