// SPDX-License-Identifier: GPL-2.0
/*
 * One program, two kernels: what it prints on a real Linux is in linux.txt,
 * and emukp's has to say the same (user_oracle_test.go). Only what does not
 * depend on addresses is printed.
 */
asm(".globl _start\n_start: andq $-16, %rsp; call main; movq %rax, %rdi; movl $60, %eax; syscall");

static char line[120];
static int len;

static void text(const char *s)
{
	while (*s)
		line[len++] = *s++;
}

static void hex(unsigned long v)
{
	char digits[16];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	while (n)
		line[len++] = digits[--n];
}

static void num(const char *name, long v)
{
	text(" ");
	text(name);
	text("=");
	if (v < 0) {
		text("-");
		v = -v;
	}
	hex((unsigned long)v);
}

static void end(void)
{
	line[len++] = '\n';
	write(1, line, (size_t)len);
	len = 0;
}

static void result(const char *what, long v)
{
	text(what);
	num("ret", v);
	end();
}

/* Faults: what the handler is told. It goes on at `next`. */
static void *next, *next_sp;
static const long constant = 7;
static char alt[SIGSTKSZ], small[MINSIGSTKSZ];
static int on_alt;

static void told(int sig, siginfo_t *si, void *ctx)
{
	greg_t *regs = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	char here;

	num("sig", sig);
	num("signo", si->si_signo);
	num("errno", si->si_errno);
	num("code", si->si_code);
	num("addr", (long)si->si_addr == regs[REG_RIP] ? 0x111 : si->si_addr == &constant ? 0x222 : (long)si->si_addr);
	num("trapno", regs[REG_TRAPNO]);
	num("err", regs[REG_ERR]);
	num("cs", regs[REG_CSGSFS] & 0xffff);
	num("ss", regs[REG_CSGSFS] >> 48 & 0xffff);
	num("rf", regs[REG_EFL] >> 16 & 1);
	on_alt = &here >= alt && &here < alt + sizeof(alt);
	num("alt", on_alt);
	end();
	regs[REG_RIP] = (long)next;
	if (next_sp)
		regs[REG_RSP] = (long)next_sp;
	regs[REG_EFL] &= ~0x100L;
	regs[REG_CSGSFS] = (regs[REG_CSGSFS] & 0x0000ffffffff0000) | 0x002b000000000033;
}

#define TRY(name, insns) do {						\
	text(name);							\
	asm volatile("leaq 1f(%%rip), %%rax; movq %%rax, %0; " insns "\n1:" \
		     : "=m" (next) : "D" (&constant)			\
		     : "rax", "rcx", "rdx", "memory", "cc");		\
	if (len) {							\
		text(" nothing");					\
		end();							\
	} } while (0)

static void faults(int flags)
{
	struct sigaction sa = { .sa_sigaction = told, .sa_flags = SA_SIGINFO | flags };
	stack_t ss = { alt, 0, sizeof(alt) };

	sigaltstack(&ss, NULL);
	for (int sig = SIGILL; sig <= SIGSEGV; sig++)
		sigaction(sig, &sa, NULL);
	TRY("read 0x10:", "movq 0x10, %%rax");
	TRY("write 0x10:", "movq %%rax, 0x10");
	TRY("write constant:", "movq $0, (%%rdi)");
	TRY("read kernel:", "movq $0xffffffff81000000, %%rax; movq (%%rax), %%rax");
	TRY("write kernel:", "movq $0xffffffff81000000, %%rax; movq %%rax, (%%rax)");
	TRY("read not canonical:", "movabsq $0x1234567812345678, %%rax; movq (%%rax), %%rax");
	TRY("jump 0x10:", "movl $0x10, %%eax; jmp *%%rax");
	TRY("jump constant:", "jmp *%%rdi");
	TRY("jump kernel:", "movq $0xffffffff81000000, %%rax; jmp *%%rax");
	TRY("divide:", "xorl %%ecx, %%ecx; divl %%ecx");
	TRY("ud2:", "ud2");
	TRY("int3:", "int3");
	TRY("hlt:", "hlt");
	TRY("cli:", "cli");
	TRY("in:", "inb $0x60, %%al");
	TRY("int 0x81:", "int $0x81");
	TRY("wrmsr:", "wrmsr");
	TRY("step:", "pushf; orl $0x100, (%%rsp); popf; nop; nop");
}

/* A forged context, and the fault that the kernel makes of it. */
static int what;
static void forge(int sig, siginfo_t *si, void *ctx)
{
	greg_t *regs = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	unsigned long sel = (unsigned long)regs[REG_CSGSFS];

	next_sp = (void *)regs[REG_RSP];
	switch (what) {
	case 0: regs[REG_RIP] = 1L << 47; break;
	case 1: regs[REG_CSGSFS] = (greg_t)((sel & ~0xffffUL) | 0x10); break;
	case 2: regs[REG_CSGSFS] = (greg_t)(sel & ~0xffffUL); break;
	case 3: regs[REG_CSGSFS] = (greg_t)((sel & ~0xffffUL) | 0x18); break;
	case 4: regs[REG_CSGSFS] = (greg_t)((sel & 0x0000ffffffffffff) | 0x0018000000000000); break;
	case 5: regs[REG_CSGSFS] = (greg_t)(sel & 0x0000ffffffffffff); break;
	case 6: regs[REG_RIP] = (greg_t)0xffffffff81000000; break;
	}
}

static void forged(void)
{
	struct sigaction sa = { .sa_sigaction = forge, .sa_flags = SA_SIGINFO };
	static const char *const names[] = {
		"sigreturn to an ip not canonical:", "sigreturn to kernel cs:", "sigreturn to cs 0:",
		"sigreturn to kernel ss in cs:", "sigreturn to kernel ss:", "sigreturn to ss 0:", "sigreturn into the kernel:",
	};

	sigaction(SIGUSR1, &sa, NULL);
	for (what = 0; what < 7; what++) {
		text(names[what]);
		asm volatile("leaq 1f(%%rip), %%rax; movq %%rax, %0" : "=m" (next) : : "rax");
		raise(SIGUSR1);
		asm volatile("1:" : : : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
			     "r12", "r13", "r14", "r15", "memory", "cc");
		if (len) {
			text(" nothing");
			end();
		}
		next_sp = NULL;
	}
}

static unsigned long flags_now(void)
{
	unsigned long f;

	asm volatile("pushf; popq %0" : "=r" (f) : : "memory");
	return f;
}

static void set_flags(int sig, siginfo_t *si, void *ctx)
{
	num("entry", (long)(flags_now() & 0x40500));	/* AC, DF, TF */
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_EFL] = 0x3fffd7 & ~0x40100;	/* not AC, TF */
}

static void flags(void)
{
	struct sigaction sa = { .sa_sigaction = set_flags, .sa_flags = SA_SIGINFO };
	unsigned long f;

	sigaction(SIGUSR1, &sa, NULL);
	text("flags from sigreturn:");
	asm volatile("movl $39, %%eax; syscall; movl %%eax, %%edi; movl %%eax, %%esi; movl $10, %%edx; std;"
		     "movl $234, %%eax; syscall; pushf; popq %0; cld"
		     : "=r" (f) : : "rax", "rcx", "rdx", "rsi", "rdi", "r11", "memory", "cc");
	num("flags", (long)f);
	end();
}

/* The order of handlers, masks, flags. */
static void order(int sig)
{
	sigset_t now;

	sigprocmask(SIG_BLOCK, NULL, &now);
	num("sig", sig);
	num("mask", (long)now);
}

static void orders(unsigned int sa_flags, sigset_t mask)
{
	struct sigaction sa = { .sa_handler = order, .sa_flags = sa_flags, .sa_mask = mask };
	sigset_t all = ~0UL, none = 0;

	text("handlers of USR1 TERM HUP");
	num("flags", sa_flags);
	num("sa_mask", (long)mask);
	text(":");
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigprocmask(SIG_SETMASK, &all, NULL);
	raise(SIGUSR1);
	raise(SIGTERM);
	raise(SIGTERM);
	raise(SIGHUP);
	sigprocmask(SIG_SETMASK, &none, NULL);
	sigprocmask(SIG_BLOCK, NULL, &all);
	num("after", (long)all);
	end();
	sigaction(SIGUSR1, NULL, &sa);
	num("is SIG_DFL", sa.sa_handler == SIG_DFL);
	end();
}

#define BAD	((void *)0xffffffff81000000)
#define NOWHERE	((void *)0x10000)
static void in_handler(int sig)
{
	stack_t ss = { small, 0, sizeof(small) }, old;

	sigaltstack(NULL, &old);
	num("in handler", old.ss_flags);
	num("set", sigaltstack(&ss, NULL));
}

static void errors(void)
{
	struct sigaction sa = { .sa_handler = in_handler, .sa_flags = SA_ONSTACK };
	stack_t ss = { alt, 0, sizeof(alt) }, was;
	sigset_t set = ~0UL;

	result("sigaction 0", sigaction(0, &sa, NULL));
	result("sigaction 65", sigaction(65, &sa, NULL));
	result("sigaction KILL", sigaction(SIGKILL, &sa, NULL));
	result("sigaction KILL, read", sigaction(SIGKILL, NULL, &sa));
	result("sigaction size", syscall4(__NR_rt_sigaction, SIGUSR1, 0, 0, 4));
	result("sigaction nowhere", syscall4(__NR_rt_sigaction, SIGUSR1, (long)NOWHERE, 0, 8));
	result("sigaction kernel", syscall4(__NR_rt_sigaction, SIGUSR1, 0, (long)BAD, 8));
	result("sigprocmask how", sigprocmask(3, &set, NULL));
	result("sigprocmask how, no set", sigprocmask(3, NULL, NULL));
	result("sigprocmask nowhere", sigprocmask(SIG_BLOCK, NOWHERE, NULL));
	result("sigprocmask to nowhere", sigprocmask(SIG_BLOCK, NULL, NOWHERE));
	result("kill 65", kill(getpid(), 65));
	result("kill 0", kill(getpid(), 0));
	result("kill nobody", kill(0x3ffffff, SIGTERM));
	result("tgkill 0", syscall4(__NR_tgkill, 0, getpid(), SIGTERM, 0));
	result("write 99", write(99, "x", 1));
	result("write nowhere", write(1, NOWHERE, 1));
	result("no such call", syscall4(2000, 0, 0, 0, 0));
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	ss.ss_flags = 0;
	sigaltstack(NULL, &was);
	result("altstack, none", was.ss_flags);
	result("altstack flags", sigaltstack(&(stack_t){ alt, 4, sizeof(alt) }, NULL));
	result("altstack small", sigaltstack(&(stack_t){ alt, 0, 16 }, NULL));
	result("altstack nowhere", sigaltstack(NOWHERE, NULL));
	result("altstack kernel", sigaltstack(NULL, BAD));
	sa.sa_handler = in_handler;
	sa.sa_flags = SA_ONSTACK;
	sa.sa_mask = 0;
	for (unsigned int auto_ = 0; auto_ < 2; auto_++) {
		ss.ss_flags = auto_ ? (int)SS_AUTODISARM : 0;
		result("altstack", sigaltstack(&ss, NULL));
		sigaction(SIGUSR1, &sa, NULL);
		text("altstack in use:");
		raise(SIGUSR1);
		sigaltstack(NULL, &was);
		num("after", (long)(unsigned int)was.ss_flags);
		num("same", was.ss_sp == alt);
		end();
	}
}

static struct rseq area, other;
long aborts;
static long where;
extern struct rseq_cs descriptor;
long sequence(struct rseq *);
asm(".text\nsequence: leaq descriptor(%rip), %rax; movq %rax, 8(%rdi); xorl %eax, %eax\n"
    "1: incq %rax; cmpq $1, aborts(%rip); ja 2f; int3\n2: nop\n3: movq $0, 8(%rdi); ret\n"
    ".long 0x53053053\n4: incq aborts(%rip); jmp sequence\n"
    ".data\n.balign 32\ndescriptor: .long 0, 0; .quad 1b, 3b - 1b, 4b\n.text");

static void in_sequence(int sig, siginfo_t *si, void *ctx)
{
	where += ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] == (greg_t)descriptor.abort_ip;
}

static void rseqs(void)
{
	struct sigaction sa = { .sa_sigaction = in_sequence, .sa_flags = SA_SIGINFO };

	result("rseq flags 2", rseq(&area, 32, 2, RSEQ_SIG));
	result("rseq flags 3", rseq(&area, 32, 3, RSEQ_SIG));
	result("rseq short", rseq(&area, 31, 0, RSEQ_SIG));
	result("rseq unaligned", rseq((void *)((char *)&area + 8), 32, 0, RSEQ_SIG));
	result("rseq unregister none", rseq(&area, 32, 1, RSEQ_SIG));
	result("rseq kernel", rseq(BAD, 32, 0, RSEQ_SIG));
	result("rseq", rseq(&area, 32, 0, RSEQ_SIG));
	result("rseq again", rseq(&area, 32, 0, RSEQ_SIG));
	result("rseq other sig", rseq(&area, 32, 0, 1));
	result("rseq other area", rseq(&other, 32, 0, RSEQ_SIG));
	result("rseq other length", rseq(&area, 64, 0, RSEQ_SIG));
	result("rseq unregister other", rseq(&other, 32, 1, RSEQ_SIG));
	result("rseq unregister length", rseq(&area, 64, 1, RSEQ_SIG));
	result("rseq unregister sig", rseq(&area, 32, 1, 1));
	sigaction(SIGTRAP, &sa, NULL);
	result("sequence", sequence(&area));
	result("aborts", aborts);
	result("handler saw abort_ip", where);
	result("rseq_cs", (long)area.rseq_cs);
	area.rseq_cs = 0;
	result("rseq unregister", rseq(&area, 32, 1, RSEQ_SIG));
	result("cpu_id", (int)area.cpu_id);
	result("cpu_id_start", (int)area.cpu_id_start);
	area.rseq_cs = 0xdead000000000;
	result("rseq with a descriptor", rseq(&area, 32, 0, RSEQ_SIG));
	raise(SIGTRAP);
	result("rseq_cs", (long)area.rseq_cs);
	result("rseq unregister", rseq(&area, 32, 1, RSEQ_SIG));
}

/* Single steps: where the trap comes, and what pushf shows. */
static long steps, string_steps;
static void stepped(int sig, siginfo_t *si, void *ctx)
{
	steps++;
	string_steps += *(unsigned char *)si->si_addr == 0xf3;
}

static void single_steps(void)
{
	struct sigaction sa = { .sa_sigaction = stepped, .sa_flags = SA_SIGINFO };
	static char buf[16];
	long seen;

	sigaction(SIGTRAP, &sa, NULL);
	asm volatile("pushf; orl $0x100, (%%rsp); popf\n"
		     "nop; movl $39, %%eax; syscall; movl $5, %%ecx; rep stosb; pushf; popq %%rdx; andl $~0x100, %%edx;"
		     "movl %%ss, %%ecx; movl %%ecx, %%ss; nop; nop; cpuid; xorl %%eax, %%eax; jz 1f; nop; 1: call 2f; jmp 3f; 2: ret; 3:"
		     "pushf; movq (%%rsp), %0; andl $~0x100, (%%rsp); popf; nop"
		     : "=r" (seen) : "D" (buf) : "rax", "rbx", "rcx", "rdx", "r11", "memory", "cc");
	text("single steps:");
	num("n", steps);
	num("in rep", string_steps);
	num("TF seen", seen >> 8 & 1);
	end();
}

long main(void)
{
	faults(0);
	faults(SA_ONSTACK);
	forged();
	flags();
	orders(0, 0);
	orders(SA_NODEFER, 0);
	orders(0, ~0UL);
	orders(SA_RESETHAND, 1UL << (SIGTERM - 1));
	errors();
	rseqs();
	single_steps();
	return 0;
}
