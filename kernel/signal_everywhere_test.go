package kernel_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

// sequence is a function with all sorts of instructions and a known result.
const sequence = `
volatile long handled;
static void handler(int sig) { handled++; }
static char alt[SIGSTKSZ];
long arm(long sig, long flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };
	stack_t ss = { alt, 0, sizeof(alt) };

	return sigaltstack(&ss, NULL) ?: sigaction(sig, &sa, NULL);
}
static long leaf(long x) { volatile long in_red_zone[8]; for (int i = 0; i < 8; i++) in_red_zone[i] = x + i; return in_red_zone[3] * in_red_zone[7]; }
static char buf[40];
long work(long n)
{
	long sum = 0;

	for (long i = 0; i < n; i++) {
		sum += leaf(i) ^ (sum >> 3);
		sum = sum * 31 + i / (i % 5 + 1);
		asm volatile("rep stosb" : : "D"(buf), "c"(20), "a"(i) : "memory");
		asm volatile("pushf; popf; std; cld; lock incq %0" : "+m"(sum));
	}
	for (int i = 0; i < 40; i++)
		sum += buf[i] << (i & 7);
	return sum + getpid() - getpid();
}
long go(long n, long flags) { return arm(SIGUSR1, flags) ?: work(n); }
/* Every instruction is followed by a trap. */
long traced(long n, long flags)
{
	long ret = arm(SIGTRAP, flags);

	if (ret)
		return ret;
	asm volatile("pushf; orl $0x100, (%%rsp); popf" : : : "memory", "cc");
	ret = work(n);
	asm volatile("pushf; andl $~0x100, (%%rsp); popf" : : : "memory", "cc");
	return ret;
}
`

// A signal before every instruction of a function leaves its result alone: by
// the trap flag, and from outside.
func TestSignalAtEveryInstruction(t *testing.T) {
	k := program(t, kernel.Config{}, sequence)
	want := returns(t, k, "work", 6)
	handled := func() uint64 {
		w, err := k.CPUs[0].V.Read64(userSym(t, k, "handled"))
		require.NoError(t, err)
		require.NoError(t, k.CPUs[0].V.Poke(userSym(t, k, "handled"), make([]byte, 8)))
		return w
	}
	require.Zero(t, handled())
	for _, flags := range []uint64{0, 0x08000000} {
		require.Equal(t, want, returns(t, k, "traced", 6, flags))
		n := handled()
		require.Greater(t, n, uint64(600))
		t.Logf("%d traps", n)
	}
	// From outside, once at each of the instructions from the task's start on.
	before := k.M.Instructions()
	require.Equal(t, want, returns(t, k, "go", 6, 0))
	length := k.M.Instructions() - before
	delivered := uint64(0)
	for at := uint64(0); at < length; at++ {
		k.Inject.Reset()
		k.Inject.Arm(k, &kernel.Injection{CPU: 0, At: at, Action: func(c *kernel.CPU) {
			if c.V.CPL() == 3 {
				require.NoError(t, c.SignalCurrent(10))
			}
		}})
		task := user(t, k, "go", 6, at&1*0x08000000)
		if d := task.Death(); d != nil { // before sigaction
			require.Contains(t, d.Title, "SIGUSR1")
			continue
		}
		ret, _ := task.Result()
		require.Equal(t, want, int64(ret), "signal after %d instructions", at)
		delivered += handled()
	}
	t.Logf("%d points of %d tried", delivered, length)
	require.Greater(t, delivered, uint64(600))
}

// The context holds all registers: a handler that is called at a random place
// and changes every register itself leaves them as they were.
func TestSigreturnRestoresRegisters(t *testing.T) {
	k := program(t, kernel.Config{}, `
static void handler(int sig)
{
	asm volatile("" : : : "rbx", "r12", "r13", "r14", "r15");
	asm volatile("movq $-1, %%rax; movq %%rax, %%rcx; movq %%rax, %%rdx; movq %%rax, %%rsi; movq %%rax, %%rdi;"
		     "movq %%rax, %%r8; movq %%rax, %%r9; movq %%rax, %%r10; movq %%rax, %%r11;"
		     "movq %%rax, %%rbx; movq %%rax, %%r12; movq %%rax, %%r13; movq %%rax, %%r14; movq %%rax, %%r15;"
		     "std; stc; cld" : : : "memory", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
		     "rbx", "r12", "r13", "r14", "r15", "cc");
}
long in[16], out[16];
long run(void)
{
	struct sigaction sa = { .sa_handler = handler };

	sigaction(SIGTRAP, &sa, NULL);
	asm volatile(
		"movq in+0, %%rax; movq in+8, %%rbx; movq in+16, %%rcx; movq in+24, %%rdx; movq in+32, %%rsi; movq in+40, %%rdi;"
		"movq in+48, %%r8; movq in+56, %%r9; movq in+64, %%r10; movq in+72, %%r11; movq in+80, %%r12;"
		"movq in+88, %%r13; movq in+96, %%r14; movq in+104, %%r15;"
		"pushq in+112; popf; int3;"
		"movq %%rax, out+0; movq %%rbx, out+8; movq %%rcx, out+16; movq %%rdx, out+24; movq %%rsi, out+32; movq %%rdi, out+40;"
		"movq %%r8, out+48; movq %%r9, out+56; movq %%r10, out+64; movq %%r11, out+72; movq %%r12, out+80;"
		"movq %%r13, out+88; movq %%r14, out+96; movq %%r15, out+104; pushf; popq out+112; cld"
		: : : "memory", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc");
	return 0;
}
`)
	v := k.CPUs[0].V
	in, out := userSym(t, k, "in"), userSym(t, k, "out")
	rapid.Check(t, func(rt *rapid.T) {
		var regs [15]uint64
		for i := range regs {
			regs[i] = rapid.Uint64().Draw(rt, "reg")
		}
		const free = x86.FlagCF | x86.FlagPF | x86.FlagAF | x86.FlagZF | x86.FlagSF | x86.FlagDF | x86.FlagOF
		regs[14] = regs[14]&free | x86.FlagOne | x86.FlagIF
		for i, w := range regs {
			require.NoError(rt, v.Poke(in+8*uint64(i), word(w)))
		}
		require.Zero(rt, returns(t, k, "run"))
		for i, w := range regs {
			got, err := v.Read64(out + 8*uint64(i))
			require.NoError(rt, err)
			require.Equal(rt, w, got, "register %d", i)
		}
	})
}

func word(w uint64) []byte { return binary.LittleEndian.AppendUint64(nil, w) }

// A page that is away comes back without a signal; one that can't is SIGSEGV
// and its handler may unprotect it... here, the world does.
func TestDemandPagingOfUserPages(t *testing.T) {
	k := program(t, kernel.Config{}, faultProgram+"long page[1024] __aligned(4096) = { 5 };\n")
	page := userSym(t, k, "page")
	space := k.M.KernelSpace()
	away := func() { require.NoError(t, space.Protect(page, x86.PageSize, 0)) }
	away()
	require.Equal(t, int64(-14), returns(t, k, "load", 11, 0, page))
	require.Equal(t, uint64(2), seenAt(t, k)[2], "SEGV_ACCERR: the page is somebody's")
	faults := 0
	k.AddPager(func(c *kernel.CPU, tr *traps.Trap) bool {
		if tr.CR2&^uint64(x86.PageMask) != page {
			return false
		}
		faults++
		return space.Protect(page, x86.PageSize, emu.ProtRead|emu.ProtUser) == nil
	})
	require.Equal(t, int64(5), returns(t, k, "load", 11, 0, page))
	require.Equal(t, 1, faults)
	require.Zero(t, seenAt(t, k)[8])
}
