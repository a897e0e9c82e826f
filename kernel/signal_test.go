package kernel_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
)

// faultProgram has a handler that notes what it is told and goes on where the
// faulting function says, by patching ip in the saved context.
const faultProgram = `
struct { long sig, signo, code, addr, trapno, err, cr2, ip, count, on_alt; } seen;
static void *fixup;
static char alt[SIGSTKSZ];
const long constant = 1;

static void handler(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *regs = uc->uc_mcontext.gregs;
	char here;

	seen.sig = sig;
	seen.signo = si->si_signo;
	seen.code = si->si_code;
	seen.addr = (long)si->si_addr;
	seen.trapno = regs[REG_TRAPNO];
	seen.err = regs[REG_ERR];
	seen.cr2 = regs[REG_CR2];
	seen.ip = regs[REG_RIP];
	seen.on_alt = &here >= alt && &here < alt + sizeof(alt);
	seen.count++;
	regs[REG_RAX] = -EFAULT;
	regs[REG_EFL] &= ~0x100L;
	regs[REG_RIP] = (long)fixup;
}

static long arm(long sig, long flags)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
	stack_t ss = { alt, 0, sizeof(alt) };

	memset(&seen, 0, sizeof(seen));
	if (flags & SA_ONSTACK && sigaltstack(&ss, NULL))
		return -1;
	return sigaction(sig, &sa, NULL);
}

/* An instruction that faults, and the place behind it. */
#define TRY(...) ({							\
	long r__;							\
	asm volatile("leaq 1f(%%rip), %%rax; movq %%rax, %1\n\t"	\
		     "xorl %%eax, %%eax\n\t" __VA_ARGS__ "\n1:"		\
		     : "=&a" (r__), "=m" (fixup) : "D" (p) : "memory", "rdx", "rcx"); \
	r__; })

long load(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("movq (%%rdi), %%rax"); }
long store(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("movq %%rax, (%%rdi)"); }
long jump(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("jmp *%%rdi"); }
long div(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("xorl %%edx, %%edx; movl $0, %%ecx; divl %%ecx"); }
long ud(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("ud2"); }
long bp(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("int3"); }
long gp(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("cli"); }
long step(long sig, long flags, long p) { return arm(sig, flags) ?: TRY("pushf; orl $0x100, (%%rsp); popf; nop; nop; nop"); }
`

// Which signal a trap is, and what the handler is told.
func TestFaultSignals(t *testing.T) {
	k := program(t, kernel.Config{}, faultProgram)
	constant, text := userSym(t, k, "constant"), userSym(t, k, "load")
	const ss = uint64(0x8000_0000_0000)
	for _, c := range []struct {
		fn               string
		p                uint64
		sig, code        int64
		addr             uint64
		trap, err, count int64
	}{
		{"load", 0, 11, 1, 0, 14, 4, 1},
		{"load", 0x3ffff000, 11, 1, 0x3ffff000, 14, 4, 1},
		{"store", 0x18, 11, 1, 0x18, 14, 6, 1},
		{"store", constant, 11, 2, constant, 14, 7, 1},
		{"store", text, 11, 2, text, 14, 7, 1},
		{"load", 0xffffffff81000000, 11, 1, 0xffffffff81000000, 14, 5, 1},
		{"load", 0xffff800000000000, 11, 1, 0xffff800000000000, 14, 5, 1},
		{"jump", constant, 11, 2, constant, 14, 0x15, 1},
		{"jump", 0x10, 11, 1, 0x10, 14, 0x14, 1},
		{"load", ss, 11, 0x80, 0, 13, 0, 1},
		{"gp", 0, 11, 0x80, 0, 13, 0, 1},
		{"div", 0, 8, 1, 1, 0, 0, 1},
		{"ud", 0, 4, 2, 1, 6, 0, 1},
		{"bp", 0, 5, 0x80, 0, 3, 0, 1},
		{"step", 0, 5, 2, 1, 1, 0, 1},
	} {
		for _, flags := range []uint64{0, 0x08000000} {
			name := fmt.Sprintf("%s(%#x) flags %#x", c.fn, c.p, flags)
			ret := returns(t, k, c.fn, uint64(c.sig), flags, c.p)
			require.Equal(t, int64(-14), ret, name)
			s := seenAt(t, k)
			addr := c.addr
			if addr == 1 { // the instruction itself
				addr = s[7]
			}
			alt := int64(0)
			if flags != 0 {
				alt = 1
			}
			require.Equal(t, []int64{c.sig, c.sig, c.code, int64(addr), c.trap, c.err, c.count, alt},
				[]int64{int64(s[0]), int64(s[1]), int64(s[2]), int64(s[3]), int64(s[4]), int64(s[5]), int64(s[8]), int64(s[9])}, name)
			if c.trap == 14 {
				require.Equal(t, c.addr, s[6], name)
			}
		}
	}
	require.Empty(t, k.Log)
}

func seenAt(t *testing.T, k *kernel.Kernel) (out [10]uint64) {
	at := userSym(t, k, "seen")
	for i := range out {
		w, err := k.CPUs[0].V.Read64(at + 8*uint64(i))
		require.NoError(t, err)
		out[i] = w
	}
	return out
}

// What ends a task, and what is said of it. The kernel lives on.
func TestKilled(t *testing.T) {
	k := program(t, kernel.Config{}, faultProgram+`
long nothing(long p) { return p; }
long null(void) { return *(volatile long *)0x10; }
long crash_ud(void) { asm volatile("ud2"); return 0; }
long crash_div(volatile long x) { return 5 / x; }
long crash_bp(void) { asm volatile("int3"); return 0; }
long priv(void) { asm volatile("hlt"); return 0; }
long term(void) { return raise(SIGTERM); }
long usr(void) { return raise(SIGUSR1); }
long chld(void) { return raise(SIGCHLD) ?: 5; }
long ignored(void) { signal(SIGTERM, SIG_IGN); return raise(SIGTERM) ?: 6; }
long ignored_fault(void) { signal(SIGSEGV, SIG_IGN); return *(volatile long *)0; }
long blocked_fault(void)
{
	sigset_t s = ~0UL;

	arm(SIGSEGV, 0);
	sigprocmask(SIG_SETMASK, &s, NULL);
	return *(volatile long *)0x20;
}
long blocked(void)
{
	sigset_t s = ~0UL, old;
	long r;

	sigprocmask(SIG_SETMASK, &s, &old);
	r = raise(SIGTERM);
	if (r)
		return r;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return 1;
}
static void faulty(int sig) { *(volatile long *)0x30 = sig; }
long in_handler(void) { signal(SIGSEGV, faulty); return *(volatile long *)0x28; }
static int depth;
static void nests(int sig) { if (++depth < 4) *(volatile long *)0x30 = sig; _exit(depth); }
long nodefer(void)
{
	struct sigaction sa = { .sa_handler = nests, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	return *(volatile long *)0x28;
}
static void none(int sig) {}
long once(void)
{
	struct sigaction sa = { .sa_handler = none, .sa_flags = SA_RESETHAND };

	sigaction(SIGUSR1, &sa, NULL);
	if (raise(SIGUSR1))
		return -1;
	return raise(SIGUSR1);
}
/* No room for a frame. */
long bad_stack(void)
{
	signal(SIGSEGV, none);
	asm volatile("movq $0x1000, %rsp; movq 0, %rax");
	return 0;
}
long deep(volatile long n) { return n ? deep(n - 1) + n : 0; }
long overflow(void) { signal(SIGSEGV, none); return deep(1L << 40); }
long no_restorer(void)
{
	struct { void *h; long flags; void *r; long mask; } sa = { (void *)none, 0, 0, 0 };

	syscall4(__NR_rt_sigaction, SIGUSR1, (long)&sa, 0, 8);
	return raise(SIGUSR1);
}
long bad_handler(void) { signal(SIGSEGV, (sighandler_t)(1L << 50)); return *(volatile long *)0; }
`)
	for _, c := range []struct {
		fn, want, log string
		ret           int64
	}{
		{"null", "user task killed by SIGSEGV (#PF)", "segfault at 10 ip ", 0},
		{"crash_ud", "user task killed by SIGILL (#UD)", "", 0},
		{"crash_div", "user task killed by SIGFPE (#DE)", "", 0},
		{"crash_bp", "user task killed by SIGTRAP (#BP)", "", 0},
		{"priv", "user task killed by SIGSEGV (#GP)", "", 0},
		{"term", "user task killed by SIGTERM\n", "", 0},
		{"usr", "user task killed by SIGUSR1\n", "", 0},
		{"chld", "", "", 5},
		{"ignored", "", "", 6},
		{"ignored_fault", "user task killed by SIGSEGV (#PF)", "segfault at 0 ", 0},
		{"blocked_fault", "user task killed by SIGSEGV (#PF)", "segfault at 20 ", 0},
		{"blocked", "user task killed by SIGTERM\n", "", 0},
		{"in_handler", "user task killed by SIGSEGV (#PF)", "segfault at 30 ", 0},
		{"nodefer", "", "", 4},
		{"once", "user task killed by SIGUSR1\n", "", 0},
		{"bad_stack", "user task killed by SIGSEGV\n", "", 0},
		{"overflow", "user task killed by SIGSEGV\n", "", 0},
		{"no_restorer", "user task killed by SIGSEGV\n", "", 0},
		{"bad_handler", "user task killed by SIGSEGV (#GP)", "", 0},
	} {
		t.Run(c.fn, func(t *testing.T) {
			k.Log = nil
			task := user(t, k, c.fn)
			if c.want == "" {
				require.Nil(t, task.Death())
				ret, ok := task.Result()
				require.True(t, ok)
				require.Equal(t, c.ret, int64(ret))
				return
			}
			require.NotNil(t, task.Death())
			require.Contains(t, task.Death().Text, c.want)
			require.Contains(t, task.Death().Text, "Comm: prog\n")
			require.Contains(t, task.Death().Text, "RIP: 0033:")
			_, ok := task.Result()
			require.False(t, ok)
			if c.log == "" {
				require.Empty(t, k.Log)
			} else {
				require.Len(t, k.Log, 1)
				require.Contains(t, k.Log[0], c.log)
			}
		})
	}
	require.Equal(t, int64(9), returns(t, k, "nothing", 9), "the kernel lives")
}

// A signal from outside comes to a task that runs, and to one on another CPU.
func TestSendSignal(t *testing.T) {
	k := program(t, kernel.Config{CPUs: 2, Budget: 1_000_000}, `
volatile long got;
static void handler(int sig) { got = sig; }
long spin(void) { signal(SIGUSR2, handler); while (!got) ; return got; }
long forever(void) { for (;;) ; }
long my_pid;
long wait_pid(void) { my_pid = getpid(); signal(SIGTERM, handler); while (!got) ; return got; }
long kill_it(void) { while (!*(volatile long *)&my_pid) ; return kill(my_pid, SIGTERM); }
long kill_none(void) { return kill(123456, SIGTERM); }
long kill_kernel(void) { return kill(1, SIGTERM); }
long kill_wrong(void) { return kill(getpid(), 65); }
long exists(void) { return kill(getpid(), 0); }
`)
	send := func(fn string, cpu, sig int) *kernel.Thread {
		var task *kernel.Thread
		require.NoError(t, k.Spawn(cpu, func(c *kernel.CPU) (err error) {
			task, err = c.StartUser("prog", userSym(t, k, fn))
			k.Inject.Arm(k, &kernel.Injection{CPU: cpu, At: 3000, Action: func(*kernel.CPU) { require.NoError(t, k.SendSignal(task, sig)) }})
			return err
		}))
		require.NoError(t, k.Wait())
		return task
	}
	for cpu := range 2 {
		require.NoError(t, k.CPUs[0].V.Poke(userSym(t, k, "got"), make([]byte, 8)))
		ret, ok := send("spin", cpu, 12).Result()
		require.True(t, ok)
		require.Equal(t, uint64(12), ret)
	}
	require.Contains(t, send("forever", 1, 9).Death().Title, "SIGKILL")
	require.NoError(t, k.CPUs[0].V.Poke(userSym(t, k, "got"), make([]byte, 8)))
	var tasks [2]*kernel.Thread
	for cpu, fn := range []string{"wait_pid", "kill_it"} {
		require.NoError(t, k.Spawn(cpu, func(c *kernel.CPU) (err error) {
			tasks[cpu], err = c.StartUser(fn, userSym(t, k, fn))
			return err
		}))
	}
	require.NoError(t, k.Wait())
	ret, _ := tasks[0].Result()
	require.Equal(t, uint64(15), ret)
	require.ErrorContains(t, k.SendSignal(tasks[0], 15), "signal wait_pid: the task is gone (-ESRCH)")
	for fn, want := range map[string]int64{"kill_none": -3, "kill_kernel": -3, "kill_wrong": -22, "exists": 0} {
		require.Equal(t, want, returns(t, k, fn), fn)
	}
}

// A forged context can't have another ring, interrupts off or an ip that iretq
// refuses; without the check it can.
func TestForgedContext(t *testing.T) {
	const text = `
static int what;
static void handler(int sig, siginfo_t *si, void *ctx)
{
	greg_t *regs = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	switch (what) {
	case 0: regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffL) | 0x10; break;
	case 1: regs[REG_EFL] = 0xffffffff & ~0x100L; break;
	case 2: regs[REG_RIP] = 1L << 47; break;
	case 3: regs[REG_CSGSFS] = 0; break;
	case 4: regs[REG_EFL] = 0; break;
	case 5: regs[REG_CSGSFS] &= 0xffffffffffffL; break;	/* ss = 0 */
	case 6: regs[REG_RIP] = (long)0xffffffff81000000; break;
	case 7: regs[REG_RSP] = 0x123; break;
	}
}
long flags;
long forge(long w)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	what = w;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	asm volatile("pushf; pop %0" : "=r"(flags) : : "memory");
	return flags & 0x247000 ? -1 : 7;	/* IOPL, NT, AC would be odd */
}
`
	k := program(t, kernel.Config{}, text)
	for what, want := range []string{
		"SIGSEGV (#GP)", "", "SIGSEGV (#GP)", "SIGSEGV (#GP)", "", "SIGSEGV (#GP)", "SIGSEGV (#PF)", "SIGSEGV (#PF)",
	} {
		task := user(t, k, "forge", uint64(what))
		if want == "" {
			require.Nil(t, task.Death(), what)
			if what == 4 {
				ret, _ := task.Result()
				require.Equal(t, uint64(7), ret)
			}
			w, err := k.CPUs[0].V.Read64(userSym(t, k, "flags"))
			require.NoError(t, err)
			require.Equal(t, uint64(x86.FlagIF), w&(x86.FlagIF|0x3000|x86.FlagNT), "IF stays, IOPL and NT too")
			continue
		}
		require.NotNil(t, task.Death(), what)
		require.Contains(t, task.Death().Title, want, what)
	}
	k = program(t, kernel.Config{}, text)
	require.NoError(t, k.SetSysctl("sigreturn_check", false))
	require.Error(t, k.SetSysctl("no_such", false))
	err := k.Do(0, func(c *kernel.CPU) error { _, err := c.StartUser("prog", userSym(t, k, "forge"), 0); return err })
	require.Error(t, err, "ring 0 with the user's GS")
}

// The errors of the signal calls, and what they give back (kernel/signal.c).
func TestSignalCallErrors(t *testing.T) {
	k := program(t, kernel.Config{}, `
#define CHECK(want, call) do { long got__ = (call); if (got__ != (want)) return __LINE__ * 1000 - got__; } while (0)
#define BAD ((void *)0xffffffff81000000)
#define NOWHERE ((void *)0x10000)
static char alt[SIGSTKSZ], small[64];
static int sas_in_handler, errors_in_handler;
static void handler(int sig)
{
	stack_t ss = { small, 0, MINSIGSTKSZ }, old;

	sigaltstack(NULL, &old);
	sas_in_handler = old.ss_flags;
	errors_in_handler = sigaltstack(&ss, NULL);
}
long errors(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK }, old;
	stack_t ss = { alt, 0, sizeof(alt) }, was;
	sigset_t set = ~0UL, got;

	CHECK(-EINVAL, sigaction(0, &sa, NULL));
	CHECK(-EINVAL, sigaction(65, &sa, NULL));
	CHECK(-EINVAL, sigaction(SIGKILL, &sa, NULL));
	CHECK(-EINVAL, sigaction(SIGSTOP, &sa, NULL));
	CHECK(0, sigaction(SIGKILL, NULL, &old));
	CHECK(-EINVAL, syscall4(__NR_rt_sigaction, SIGUSR1, 0, 0, 4));
	CHECK(-EFAULT, syscall4(__NR_rt_sigaction, SIGUSR1, (long)NOWHERE, 0, 8));
	CHECK(-EFAULT, syscall4(__NR_rt_sigaction, SIGUSR1, (long)BAD, 0, 8));
	CHECK(-EFAULT, syscall4(__NR_rt_sigaction, SIGUSR1, 0, (long)NOWHERE, 8));
	CHECK(0, sigaction(SIGUSR1, &sa, NULL));
	CHECK(0, sigaction(SIGUSR1, NULL, &old));
	CHECK(1, old.sa_handler == handler && old.sa_flags == (SA_ONSTACK | SA_RESTORER));

	CHECK(-EINVAL, sigprocmask(3, &set, NULL));
	CHECK(-EFAULT, sigprocmask(SIG_BLOCK, NOWHERE, NULL));
	CHECK(-EFAULT, sigprocmask(SIG_BLOCK, NULL, NOWHERE));
	CHECK(0, sigprocmask(SIG_SETMASK, &set, &got));
	CHECK(0, (long)got);
	CHECK(0, sigprocmask(SIG_BLOCK, NULL, &got));
	CHECK(0, sigismember(&got, SIGKILL) | sigismember(&got, SIGSTOP));
	CHECK(1, sigismember(&got, SIGTERM) & sigismember(&got, 64));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(0, sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK(0, sigprocmask(SIG_BLOCK, NULL, &got));
	CHECK(0, sigismember(&got, SIGUSR1));
	sigemptyset(&set);
	CHECK(0, sigprocmask(SIG_SETMASK, &set, NULL));

	CHECK(0, sigaltstack(NULL, &was));
	CHECK(SS_DISABLE, was.ss_flags);
	CHECK(-EINVAL, sigaltstack(&(stack_t){ alt, 4, sizeof(alt) }, NULL));
	CHECK(-ENOMEM, sigaltstack(&(stack_t){ alt, 0, MINSIGSTKSZ - 1 }, NULL));
	CHECK(-EFAULT, sigaltstack(NOWHERE, NULL));
	CHECK(-EFAULT, sigaltstack(NULL, BAD));
	CHECK(0, sigaltstack(&ss, &was));
	CHECK(0, sigaltstack(NULL, &was));
	CHECK(1, was.ss_sp == alt && was.ss_size == sizeof(alt) && was.ss_flags == 0);
	CHECK(0, raise(SIGUSR1));
	CHECK(SS_ONSTACK, sas_in_handler);
	CHECK(-EPERM, errors_in_handler);

	/* Disarmed while it is used, and armed again by sigreturn. */
	ss.ss_flags = SS_AUTODISARM;
	CHECK(0, sigaltstack(&ss, NULL));
	CHECK(0, raise(SIGUSR1));
	CHECK(SS_DISABLE, sas_in_handler);
	CHECK(0, errors_in_handler);
	CHECK(0, sigaltstack(NULL, &was));
	CHECK(1, was.ss_sp == alt && was.ss_flags == (int)SS_AUTODISARM);
	CHECK(0, sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL));
	CHECK(0, sigaltstack(NULL, &was));
	CHECK(SS_DISABLE, was.ss_flags);
	return 0;
}
/* A handler that is called with signals blocked by its mask. */
static sigset_t in_handler;
static void look(int sig) { sigprocmask(SIG_BLOCK, NULL, &in_handler); }
long masks(void)
{
	struct sigaction sa = { .sa_handler = look, .sa_mask = 1UL << (SIGTERM - 1) | 1UL << (SIGKILL - 1) };
	sigset_t after;

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK(1UL << (SIGTERM - 1) | 1UL << (SIGUSR1 - 1), (long)in_handler);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CHECK(0, (long)after);
	sa.sa_flags = SA_NODEFER;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK(1UL << (SIGTERM - 1), (long)in_handler);
	return 0;
}
`)
	require.Zero(t, returns(t, k, "errors"), "line * 1000 - result")
	require.Zero(t, returns(t, k, "masks"), "line * 1000 - result")
}
