package kprobes_test

import (
	"context"
	"encoding/binary"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// guestCode builds a module of C and assembly and loads it.
func (r *rig) guestCode(c, asm string) {
	r.t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		r.t.Skip("needs a compiler for the guest code: no cc")
	}
	var srcs []guestimg.Source
	if c != "" {
		srcs = append(srcs, guestimg.Source{Name: "test.c", Lang: "c", Text: []byte(c)})
	}
	if asm != "" {
		srcs = append(srcs, guestimg.Source{Name: "test.S", Lang: "asm", Text: []byte(asm)})
	}
	data, err := guestimg.BuildModule(context.Background(), "test", srcs, r.k.ModuleBase(), r.k.Image(), guestimg.Options{})
	require.NoError(r.t, err)
	im, err := guestimg.Load("test", data)
	require.NoError(r.t, err)
	_, err = r.k.LoadModule("test", im)
	require.NoError(r.t, err)
}

func (r *rig) registerJprobe(jp *kprobes.Jprobe) error {
	var err error
	r.do(0, func(c *kernel.CPU) error { err = r.s.RegisterJprobe(c, jp); return nil })
	return err
}

func (r *rig) var64(name string) (v uint64) {
	addr, ok := r.k.Syms.Lookup(name)
	require.True(r.t, ok, name)
	var b [8]byte
	require.NoError(r.t, r.k.CPUs[0].V.Peek(addr, b[:]))
	return binary.LittleEndian.Uint64(b[:])
}

// entries see the arguments of sum10, in registers and on the stack, and
// change their copies before they end.
const entries = `
volatile long seen, calls, flags, deep;
static noinline void below(int n)
{
	volatile char room[64];
	for (int i = 0; i < 64; i++)
		room[i] = 0x55;
	if (n)
		below(n - 1);
	deep += room[63];
	jprobe_return();
}
long jsum10(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j)
{
	calls++;
	seen = a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
	flags = local_save_flags();
	*(volatile long *)&g = *(volatile long *)&h = *(volatile long *)&i = *(volatile long *)&j = -1;
	asm volatile("" : : : "rbx", "r12", "r13", "r14", "r15");
	jprobe_return();
}
long jdeep(long a, long b) { calls++; below(5); return 0; }
long jforgets(long a, long b) { calls++; return a * b; }
long jcalls(long a, long b) { calls++; seen = square(a); jprobe_return(); }
`

func TestJprobe(t *testing.T) {
	for _, tc := range []struct {
		fn, entry string
		args      []uint64
		want      uint64
		seen      uint64
	}{
		{"sum10", "jsum10", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 385, 385},
		{"do_add", "jdeep", []uint64{40, 2}, 42, 0},
	} {
		t.Run(tc.entry, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{})
			r.guestCode(entries, "")
			jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: tc.fn}, EntrySymbol: tc.entry}
			require.NoError(t, r.registerJprobe(jp))
			for n := range uint64(3) {
				require.EqualValues(t, tc.want, r.call(0, tc.fn, tc.args...))
				require.Equal(t, n+1, r.var64("calls"))
			}
			require.Equal(t, tc.seen, r.var64("seen"))
			require.Zero(t, r.var64("flags")&x86.FlagIF, "an entry runs with interrupts off")
			require.EqualValues(t, 3, jp.Hits)
			require.Zero(t, jp.NMissed)
			r.do(0, func(c *kernel.CPU) error { return r.s.Unregister(c, jp.Probe()) })
			require.EqualValues(t, tc.want, r.call(0, tc.fn, tc.args...))
			require.EqualValues(t, 3, r.var64("calls"))
			_, st := r.s.CurrentKprobe(0)
			require.Equal(t, kprobes.Idle, st)
		})
	}
}

// An entry in Go gets the same arguments; what it does to registers and stack
// is undone.
func TestJprobeArgs(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	var got []uint64
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "sum10"}, Args: func(c *kernel.CPU, regs traps.Regs, args []uint64) {
		got = append([]uint64(nil), args[:10]...)
		clear(args)
		regs.Set(traps.DI, 1000)
		regs.SetIP(0)
		require.NoError(t, c.V.Write64(regs.StackArg(6), 1000))
		require.NoError(t, c.V.Write64(regs.SP(), 0))
	}}
	require.NoError(t, r.registerJprobe(jp))
	require.EqualValues(t, 385, r.call(0, "sum10", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got)
}

// Kprobes at the site come first, the jprobe last, whatever the order of
// registration; its entry's end leads to the step and the post-handlers.
func TestJprobeAmongKprobes(t *testing.T) {
	for _, jprobeFirst := range []bool{true, false} {
		r := newRig(t, kernel.Config{}, kprobes.Options{})
		r.guestCode(entries, "")
		var log string
		mk := func(name string) *kprobes.Kprobe {
			return &kprobes.Kprobe{Symbol: "do_add", Label: name,
				Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int {
					require.EqualValues(t, len(log)/8, r.var64("calls"), "the entry comes after the pre-handlers")
					log += name + " "
					return 0
				},
				Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { log += name + "+" }}
		}
		jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add"}, EntrySymbol: "jdeep"}
		a, b := mk("a"), mk("b")
		if jprobeFirst {
			require.NoError(t, r.registerJprobe(jp))
			r.register(a, b)
		} else {
			r.register(a, b)
			require.NoError(t, r.registerJprobe(jp))
		}
		second := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add"}, EntrySymbol: "jdeep"}
		require.ErrorIs(t, r.registerJprobe(second), kernel.EEXIST)
		require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
		require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
		require.Equal(t, "b a b+a+b a b+a+", log)
		require.EqualValues(t, 2, r.var64("calls"))
	}
}

// A probe hit inside an entry is missed.
func TestProbeInJprobeEntry(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode(entries, "")
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add"}, EntrySymbol: "jcalls"}
	require.NoError(t, r.registerJprobe(jp))
	inner := &kprobes.Kprobe{Symbol: "square"}
	r.register(inner)
	require.EqualValues(t, 11, r.call(0, "do_add", 9, 2))
	require.EqualValues(t, 81, r.var64("seen"))
	require.EqualValues(t, 1, inner.NMissed)
	require.Zero(t, inner.Hits)
	walked := r.s.Walked()
	require.EqualValues(t, 1, walked[kprobes.HitActive][kprobes.Reenter])
	require.EqualValues(t, 1, walked[kprobes.Reenter][kprobes.HitActive])
	require.EqualValues(t, 1, walked[kprobes.HitActive][kprobes.HitSS])
}

// A fault in an entry is a fault in a handler: the jprobe's fault_handler is
// asked, and an oops names the jprobe.
func TestJprobeFault(t *testing.T) {
	for _, mend := range []bool{true, false} {
		r := newRig(t, kernel.Config{}, kprobes.Options{})
		r.guestCode("void jpeek(const long *p, long b) { peek(p); jprobe_return(); }", "")
		jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add", Label: "peeker"}, EntrySymbol: "jpeek"}
		asked := 0
		jp.Fault = func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, v x86.Vector) int {
			asked++
			require.Equal(t, x86.PF, v)
			if !mend {
				return 0
			}
			regs.SetIP(regs.IP() + 3) // over the load
			return 1
		}
		require.NoError(t, r.registerJprobe(jp))
		add, _ := r.k.Syms.Lookup("do_add")
		var ret uint64
		err := r.k.Do(0, func(c *kernel.CPU) (err error) { ret, err = c.Call(add, 0x10, 7); return err })
		require.Equal(t, 1, asked)
		if mend {
			require.NoError(t, err)
			require.EqualValues(t, 0x17, ret)
			continue
		}
		var o *kernel.Oops
		require.ErrorAs(t, err, &o)
		require.Contains(t, o.Text, "Kprobe in flight: CPU 0, HIT_ACTIVE at do_add+0x0, in a handler of peeker")
	}
}

// An entry that returns is reported, naming the jprobe, before anything else
// happens.
func TestJprobeEntryReturns(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode(entries, "")
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add", Label: "forgetful"}, EntrySymbol: "jforgets"}
	require.NoError(t, r.registerJprobe(jp))
	apply, _ := r.k.Syms.Lookup("apply2")
	add, _ := r.k.Syms.Lookup("do_add")
	err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(apply, add, 6, 7); return err })
	require.ErrorContains(t, err, "jforgets+0x0 [test], the entry of jprobe forgetful at do_add+0x0, returned to apply2+")
	require.ErrorContains(t, err, "without jprobe_return()")
	_, st := r.s.CurrentKprobe(0)
	require.Equal(t, kprobes.Idle, st)
	require.EqualValues(t, 1, r.var64("calls"))
	// The CPU can be used again.
	r.do(0, func(c *kernel.CPU) error { return r.s.Unregister(c, jp.Probe()) })
	require.EqualValues(t, 13, r.call(0, "do_add", 6, 7))
}

// longjmp_break_handler compares stacks: an entry that comes to the int3 with
// another one is a BUG, with both sets of registers.
func TestJprobeWrongStack(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode("", "FN jcrooked\n\tsub $0x100, %rsp\n\tjmp jprobe_return_int3\nENDFN jcrooked\n")
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add", Label: "crooked"}, EntrySymbol: "jcrooked"}
	require.NoError(t, r.registerJprobe(jp))
	add, _ := r.k.Syms.Lookup("do_add")
	err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(add, 0x1234, 7); return err })
	require.ErrorContains(t, err, "does not match saved sp")
	require.ErrorContains(t, err, "of jprobe crooked at do_add+0x0")
	var o *kernel.Oops
	require.ErrorAs(t, err, &o)
	require.Contains(t, o.Text, "Saved registers for jprobe crooked\n")
	require.Contains(t, o.Text, "di=0x1234")
	require.Contains(t, o.Text, "RIP: 0010:jprobe_return+")
}

func TestJprobeRefusals(t *testing.T) {
	kp := func(symbol string, off uint64) kprobes.Kprobe { return kprobes.Kprobe{Symbol: symbol, Offset: off} }
	args := func(*kernel.CPU, traps.Regs, []uint64) {}
	for _, tc := range []struct {
		jp   kprobes.Jprobe
		opts kprobes.Options
		code kernel.Errno
		why  string
	}{
		{kprobes.Jprobe{Kprobe: kp("do_add", 0)}, kprobes.Options{}, kernel.EINVAL, "without an entry"},
		{kprobes.Jprobe{Kprobe: kp("do_add", 0), EntrySymbol: "nowhere"}, kprobes.Options{}, kernel.EINVAL, "nowhere is no symbol"},
		{kprobes.Jprobe{Kprobe: kp("do_add", 0), EntrySymbol: "cpu_data"}, kprobes.Options{}, kernel.EINVAL, "not kernel text"},
		{kprobes.Jprobe{Kprobe: kp("fib", 4), Args: args}, kprobes.Options{}, kernel.EINVAL, "no function's entry"},
		{kprobes.Jprobe{Kprobe: kp("nowhere", 0), Args: args}, kprobes.Options{}, kernel.ENOENT, "no such symbol"},
		{kprobes.Jprobe{Kprobe: kp("do_int3", 0), Args: args}, kprobes.Options{}, kernel.EINVAL, "blacklisted"},
		{kprobes.Jprobe{Kprobe: kp("do_add", 0), Args: args}, modern, kernel.ENOSYS, "removed in 4.15"},
	} {
		r := newRig(t, kernel.Config{}, tc.opts)
		err := r.registerJprobe(&tc.jp)
		require.ErrorIs(t, err, tc.code, "%v", err)
		require.ErrorContains(t, err, tc.why)
		require.False(t, tc.jp.Registered())
		require.Zero(t, r.s.Sites())
	}
}

// Two CPUs in one jprobe's entry: each has its own copies.
func TestJprobeOnTwoCPUs(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		r := newRig(t, kernel.Config{CPUs: 2, Policy: kernel.NewRandom(seed, 5)}, kprobes.Options{})
		r.guestCode(entries, "")
		jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add"}, EntrySymbol: "jdeep"}
		require.NoError(t, r.registerJprobe(jp))
		addr, _ := r.k.Syms.Lookup("do_add")
		for cpu := range 2 {
			require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
				for i := range uint64(20) {
					ret, err := c.Call(addr, i, uint64(1000*cpu))
					require.Equal(t, i+uint64(1000*cpu), ret)
					if err != nil {
						return err
					}
				}
				return nil
			}))
		}
		require.NoError(t, r.k.Wait(), "seed %d", seed)
		require.EqualValues(t, 40, jp.Hits)
		require.Zero(t, jp.NMissed)
	}
}

// An NMI at every instruction from the hit to the function's end, the entry
// included.
func TestJprobeNMIAtEveryInstruction(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode(entries, "")
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_add"}, EntrySymbol: "jcalls"}
	require.NoError(t, r.registerJprobe(jp))
	quiet := r.insns(func() { require.EqualValues(t, 3, r.call(0, "do_add", 1, 2)) })
	for at := uint64(1); at < quiet; at++ {
		r.k.Inject.Reset()
		r.k.Inject.Arm(r.k, &kernel.Injection{At: at, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
		require.EqualValues(t, at+2, r.call(0, "do_add", at, 2), "NMI after %d instructions", at)
		require.EqualValues(t, at*at, r.var64("seen"), "NMI after %d instructions", at)
	}
	require.EqualValues(t, quiet, jp.Hits)
}
