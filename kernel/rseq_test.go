package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

// rseqAsm increments a counter n times by load, add and store: bare, in a
// restartable sequence with a descriptor, and in a range that restarts.
const rseqAsm = `
FN inc_plain                            /* (counter, n) */
1:      movq    (%rdi), %rax
        addq    $1, %rax
        movq    %rax, (%rdi)
        decq    %rsi
        jnz     1b
        ret
ENDFN inc_plain

FN inc_rseq                             /* (counter, n, struct rseq *) */
1:      leaq    descriptor(%rip), %rax
        movq    %rax, 8(%rdx)
.Lstart:
        movq    (%rdi), %rax
        addq    $1, %rax
        movq    %rax, (%rdi)
.Lcommitted:
        decq    %rsi
        jnz     1b
        movq    $0, 8(%rdx)
        ret
        .long   RSEQ_SIG
.Labort:
        incq    aborts(%rip)
        jmp     1b
ENDFN inc_rseq

FN inc_ras                              /* (counter, n) */
        .globl  ras_start, ras_end
ras_start:
        movq    (%rdi), %rax
        addq    $1, %rax
        movq    %rax, (%rdi)
ras_end:
        decq    %rsi
        jnz     ras_start
        ret
ENDFN inc_ras

        .data
        .balign 32
VAR descriptor
        .long   0, 0
        .quad   .Lstart, .Lcommitted - .Lstart, .Labort
ENDVAR descriptor
VAR aborts
        .quad   0
ENDVAR aborts
`

const rseqC = `
long counter;
extern char ras_start[], ras_end[];
void inc_plain(long *, long), inc_ras(long *, long);
void inc_rseq(long *, long, struct rseq *);
extern struct rseq_cs descriptor;
static struct rseq area[3];
long plain(long n) { inc_plain(&counter, n); return 0; }
long with_rseq(long n, long who)
{
	long ret = rseq(&area[who], sizeof(area[who]), 0, RSEQ_SIG);

	if (!ret)
		inc_rseq(&counter, n, &area[who]);
	return ret ?: rseq(&area[who], sizeof(area[who]), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}
long with_ras(long n)
{
	long ret = rasctl(ras_start, (size_t)(ras_end - ras_start), RAS_INSTALL);

	if (!ret)
		inc_ras(&counter, n);
	return ret ?: rasctl(ras_start, (size_t)(ras_end - ras_start), RAS_PURGE);
}
`

func rseqProgram(t testing.TB, cfg kernel.Config, c string) *kernel.Kernel {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("skip: needs cc")
	}
	k := boot(t, cfg)
	data, err := guestimg.BuildUser(context.Background(), "prog", []guestimg.Source{
		{Name: "a.S", Lang: "asm", Text: []byte(rseqAsm)}, {Name: "b.c", Lang: "c", Text: []byte(rseqC + c)},
	}, x86.X86_64, guestimg.Options{})
	require.NoError(t, err)
	im, err := guestimg.Load("prog", data)
	require.NoError(t, err)
	require.NoError(t, k.LoadUser(im))
	return k
}

// race runs two tasks of a function on CPU 0, with something that happens to
// the CPU, and returns the counter.
func race(t testing.TB, k *kernel.Kernel, fn string, n uint64, x *kernel.Injection) (uint64, error) {
	t.Helper()
	require.NoError(t, k.CPUs[0].V.Poke(userSym(t, k, "counter"), make([]byte, 8)))
	k.Inject.Reset()
	k.Inject.Arm(k, x)
	var tasks [2]*kernel.Thread
	err := k.Do(0, func(c *kernel.CPU) (err error) {
		for i := range tasks {
			if tasks[i], err = c.StartUser(fmt.Sprint(fn, i), userSym(t, k, fn), n, uint64(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, task := range tasks {
		if d := task.Death(); d != nil {
			return 0, d
		}
		ret, ok := task.Result()
		require.True(t, ok)
		require.Zero(t, ret)
	}
	w, err := k.CPUs[0].V.Read64(userSym(t, k, "counter"))
	require.NoError(t, err)
	return w, nil
}

func preempt(every, at uint64) *kernel.Injection {
	return &kernel.Injection{Every: every, At: at,
		Held:   func(c *kernel.CPU) bool { return c.V.IRQPending() || c.V.Flags()&x86.FlagIF == 0 },
		Action: func(c *kernel.CPU) { c.V.RaiseIRQ(x86.VecReschedule) }}
}

// ring3 is when, in instructions of the CPU, a race is in ring 3.
func ring3(t testing.TB, k *kernel.Kernel, fn string, n uint64) (points []uint64) {
	require.NoError(t, k.Do(0, func(*kernel.CPU) error { return nil })) // makes the CPU's own task
	start := k.CPUs[0].V.St.Insns
	got, err := race(t, k, fn, n, &kernel.Injection{Every: 1, Action: func(c *kernel.CPU) {
		if c.V.CPL() == 3 {
			points = append(points, c.V.St.Insns-start)
		}
	}})
	require.NoError(t, err)
	require.Equal(t, 2*n, got)
	return points
}

// Two tasks that count stay exact under preemption at each instruction, and
// lose increments when nobody looks after the sequences.
func TestRseqCountsExactly(t *testing.T) {
	k := rseqProgram(t, kernel.Config{}, "")
	const n = 10
	for _, c := range []struct {
		fn    string
		exact bool
	}{{"plain", false}, {"with_rseq", true}, {"with_ras", true}} {
		lost := 0
		points := ring3(t, k, c.fn, n)
		require.Greater(t, len(points), 6*n)
		for _, at := range points {
			got, err := race(t, k, c.fn, n, preempt(0, at))
			require.NoError(t, err, "%s, %d", c.fn, at)
			if got != 2*n {
				lost++
			}
		}
		t.Logf("%s: %d of %d points lose an increment", c.fn, lost, len(points))
		if c.exact {
			require.Zero(t, lost, c.fn)
		} else {
			require.Equal(t, 2*n, lost, "behind each load and each add, of the first task")
		}
	}
	for _, fn := range []string{"with_rseq", "with_ras"} {
		for every := uint64(9); every < 60; every += 5 {
			got, err := race(t, k, fn, 60, preempt(every, 0))
			require.NoError(t, err, "%s every %d", fn, every)
			require.Equal(t, uint64(120), got, "%s every %d", fn, every)
		}
		require.NoError(t, k.SetSysctl("rseq", false))
		lost := 0
		for every := uint64(9); every < 60; every += 5 {
			got, err := race(t, k, fn, 60, preempt(every, 0))
			require.NoError(t, err)
			require.LessOrEqual(t, got, uint64(120))
			if got < 120 {
				lost++
			}
		}
		require.Greater(t, lost, 3, "%s with nobody looking", fn)
		require.NoError(t, k.SetSysctl("rseq", true))
	}
	w, err := k.CPUs[0].V.Read64(userSym(t, k, "aborts"))
	require.NoError(t, err)
	require.NotZero(t, w)
	t.Logf("%d aborts", w)
}

// A sequence that is interrupted before each commit never commits: the budget
// ends it.
func TestRseqLivelock(t *testing.T) {
	k := rseqProgram(t, kernel.Config{Budget: 300_000}, "")
	_, err := race(t, k, "with_rseq", 5, preempt(2, 0))
	var b *kernel.BudgetError
	require.True(t, errors.As(err, &b), err)
}

// NMIs, signals and page faults leave a sequence too; the sequence is left
// before the handler's frame is made.
func TestRseqEvents(t *testing.T) {
	const handler = `
long where, in_abort;
static void handler(int sig, siginfo_t *si, void *ctx)
{
	where = ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];
	in_abort += where == (long)descriptor.abort_ip;
}
long handled_rseq(long n, long who)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	return sigaction(SIGUSR1, &sa, NULL) ?: with_rseq(n, who);
}
`
	k := rseqProgram(t, kernel.Config{}, handler)
	read := func(name string) uint64 {
		w, err := k.CPUs[0].V.Read64(userSym(t, k, name))
		require.NoError(t, err)
		return w
	}
	start, commit := uint64(0), uint64(0)
	d := userSym(t, k, "descriptor")
	start, err := k.CPUs[0].V.Read64(d + 8)
	require.NoError(t, err)
	commit, err = k.CPUs[0].V.Read64(d + 16)
	require.NoError(t, err)
	commit += start
	for _, kind := range []struct {
		name string
		do   func(c *kernel.CPU)
	}{
		{"nmi", func(c *kernel.CPU) { c.V.RaiseNMI() }},
		{"signal", func(c *kernel.CPU) { require.NoError(t, c.SignalCurrent(10)) }},
		{"ipi that switches to nobody", func(c *kernel.CPU) { c.V.RaiseIRQ(x86.VecReschedule) }},
	} {
		inside := 0
		for at := uint64(1); at < 2500; at++ {
			before := read("aborts")
			hit := false
			k.Inject.Reset()
			k.Inject.Arm(k, &kernel.Injection{At: at, Action: func(c *kernel.CPU) {
				ip := c.V.IP()
				hit = c.V.CPL() == 3 && ip >= start && ip < commit
				if hit {
					inside++
					kind.do(c)
				}
			}})
			require.Zero(t, returns(t, k, "handled_rseq", 3, 0))
			want := uint64(0)
			if hit && kind.name[0] != 'i' {
				want = 1
			}
			require.Equal(t, want, read("aborts")-before, "%s after %d", kind.name, at)
		}
		require.Equal(t, 9, inside, "three instructions, three times")
	}
	require.Equal(t, uint64(9), read("in_abort"))
}

// The table of sys_rseq's and rasctl's errors (kernel/rseq.c, v6.14;
// sys/kern/kern_ras.c).
func TestRseqErrors(t *testing.T) {
	k := rseqProgram(t, kernel.Config{}, `
static struct rseq r, other;
static char odd[96] __aligned(32);
#define CHECK(want, call) do { long got__ = (call); if (got__ != (want)) return __LINE__ * 1000 - got__; } while (0)
long errors(void)
{
	CHECK(-EINVAL, rseq(&r, 32, 2, RSEQ_SIG));
	CHECK(-EINVAL, rseq(&r, 32, 3, RSEQ_SIG));
	CHECK(-EINVAL, rseq(&r, 31, 0, RSEQ_SIG));
	CHECK(-EINVAL, rseq((void *)(odd + 8), 32, 0, RSEQ_SIG));
	CHECK(-EINVAL, rseq((void *)(odd + 16), 64, 0, RSEQ_SIG));
	CHECK(-EINVAL, rseq(&r, 32, 1, RSEQ_SIG));
	CHECK(-EINVAL, rseq(NULL, 0, 1, 0));
	CHECK(-EFAULT, rseq((void *)0xffffffff81000000, 32, 0, RSEQ_SIG));
	CHECK(-EFAULT, rseq((void *)0x10000, 32, 0, RSEQ_SIG));
	CHECK(0, rseq(&r, 32, 0, RSEQ_SIG));
	CHECK(-EBUSY, rseq(&r, 32, 0, RSEQ_SIG));
	CHECK(-EPERM, rseq(&r, 32, 0, 1));
	CHECK(-EINVAL, rseq(&other, 32, 0, RSEQ_SIG));
	CHECK(-EINVAL, rseq(&r, 64, 0, RSEQ_SIG));
	CHECK(0, r.cpu_id);
	CHECK(-EINVAL, rseq(&other, 32, 1, RSEQ_SIG));
	CHECK(-EINVAL, rseq(&r, 64, 1, RSEQ_SIG));
	CHECK(-EPERM, rseq(&r, 32, 1, 1));
	CHECK(0, rseq(&r, 32, 1, RSEQ_SIG));
	CHECK((u32)-1, r.cpu_id);
	CHECK(0, r.cpu_id_start);
	CHECK(-EINVAL, rseq(&r, 32, 1, RSEQ_SIG));
	/* What lies in rseq_cs at registration is not followed. */
	r.rseq_cs = 0xdead;
	CHECK(0, rseq(&r, 32, 0, RSEQ_SIG));
	CHECK(0, (long)r.rseq_cs);
	CHECK(0, rseq(&r, 32, 1, RSEQ_SIG));
	CHECK(-95, rasctl((void *)0x1000, 8, 3));
	CHECK(-EINVAL, rasctl((void *)0x1000, 0, RAS_INSTALL));
	CHECK(-EINVAL, rasctl((void *)-8L, 8, RAS_INSTALL));
	CHECK(0, rasctl((void *)0x1000, 8, RAS_INSTALL));
	CHECK(-EEXIST, rasctl((void *)0x1000, 8, RAS_INSTALL));
	CHECK(-EEXIST, rasctl((void *)0xfff, 2, RAS_INSTALL));
	CHECK(0, rasctl((void *)0x1008, 2, RAS_INSTALL));
	CHECK(-ESRCH, rasctl((void *)0x1000, 7, RAS_PURGE));
	CHECK(0, rasctl((void *)0x1000, 8, RAS_PURGE));
	for (long i = 1; i < 8; i++)
		CHECK(0, rasctl((void *)(0x2000 * i), 8, RAS_INSTALL));
	CHECK(-ENOMEM, rasctl((void *)0x20000, 8, RAS_INSTALL));
	CHECK(0, rasctl(NULL, 0, RAS_PURGE_ALL));
	CHECK(0, rasctl((void *)0x20000, 8, RAS_INSTALL));
	return 0;
}
`)
	require.Zero(t, returns(t, k, "errors"), "line * 1000 - result")
}

// A descriptor that can't be followed ends the task.
func TestRseqBadDescriptors(t *testing.T) {
	k := rseqProgram(t, kernel.Config{}, `
static struct rseq r;
static struct rseq_cs cs;
static void handler(int sig) {}
static int sane(void) { return 1; }
long bad(long field, long value)
{
	u64 *p;

	signal(SIGSEGV, handler);
	cs = descriptor;
	if (rseq(&r, 32, 0, RSEQ_SIG))
		return -1;
	r.rseq_cs = (u64)&cs;
	p = field < 4 ? (u64 *)&cs + field : &r.rseq_cs;
	*p = (u64)value;
	raise(SIGCHLD);		/* nothing is delivered: nothing is looked at */
	signal(SIGCHLD, handler);
	raise(SIGCHLD);
	return r.rseq_cs == 0 ? sane() : -2;
}
`)
	abort, err := k.CPUs[0].V.Read64(userSym(t, k, "descriptor") + 24)
	require.NoError(t, err)
	start, err := k.CPUs[0].V.Read64(userSym(t, k, "descriptor") + 8)
	require.NoError(t, err)
	for _, c := range []struct {
		name         string
		field, value uint64
		ok           bool
		log          string
	}{
		{"as it is", 3, abort, true, ""},
		{"version", 0, 1, false, ""},
		{"flags", 0, 1 << 32, false, ""},
		{"start in the kernel", 1, 0xffffffff81000000, false, ""},
		{"overflow", 2, ^uint64(0), false, ""},
		{"abort in the kernel", 3, 0xffffffff81000000, false, ""},
		{"abort inside", 3, start + 1, false, ""},
		{"no signature", 3, userSym(t, k, "inc_plain") + 16, false, "Possible attack attempt. Unexpected rseq signature 0x"},
		{"signature on no page", 3, 0x10000, false, ""},
		{"descriptor in the kernel", 4, 0xffffffff81000000, false, ""},
		{"descriptor nowhere", 4, 0x10000, false, ""},
		{"no descriptor", 4, 0, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.Log = nil
			task := user(t, k, "bad", c.field, c.value)
			if c.ok {
				require.Nil(t, task.Death())
				ret, _ := task.Result()
				require.Equal(t, uint64(1), ret)
				return
			}
			require.NotNil(t, task.Death())
			require.Equal(t, "user task killed by SIGSEGV", task.Death().Title)
			if c.log != "" {
				require.Contains(t, k.Log[0], c.log)
			}
		})
	}
}
