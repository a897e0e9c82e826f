package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

var modern = kprobes.Options{Model: &kprobes.Modern}

// traceOf lists the kinds of the trace's events since the last look.
func (r *rig) traceOf(kinds ...kernel.EventKind) (out []string) {
	for _, ev := range r.k.Trace.Events {
		for _, k := range kinds {
			if ev.Kind == k {
				s := ev.Kind.String()
				if k == kernel.EvTrap {
					s = ev.Vector.String()
				}
				out = append(out, s)
			}
		}
	}
	r.k.Trace.Events = nil
	return out
}

// The two models end a step differently, and their post-handlers see that.
func TestStepOfEachModel(t *testing.T) {
	for _, tc := range []struct {
		model *kprobes.Model
		traps []string
		flags uint64 // TF and IF in the post-handler
	}{
		{&kprobes.Classic, []string{"#BP", "#DB"}, x86.FlagTF},
		{&kprobes.Modern, []string{"#BP", "#BP"}, x86.FlagIF},
	} {
		t.Run(tc.model.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{Trace: true}, kprobes.Options{Model: tc.model})
			p := &kprobes.Kprobe{Symbol: "do_add"}
			var ip, flags uint64
			p.Post = func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ uint64) {
				ip, flags = regs.IP(), regs.Flags()&(x86.FlagTF|x86.FlagIF)
			}
			r.register(p)
			r.traceOf()
			require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
			require.Equal(t, tc.traps, r.traceOf(kernel.EvTrap))
			require.Equal(t, tc.flags, flags)
			atSite := r.k.Syms.Name(ip)
			require.Equal(t, tc.model == &kprobes.Modern, len(atSite) > 6 && atSite[:6] == "do_add", atSite)
		})
	}
}

// A branch does not reach the int3 behind its copy: where it is not emulated it
// is stepped with TF.
func TestModernStepsBranchesWithTF(t *testing.T) {
	r := newRig(t, kernel.Config{Trace: true}, kprobes.Options{Model: &kprobes.Modern, Emulate: kprobes.EmulateNothing})
	ps := r.probeAll("fib", "apply2")
	require.EqualValues(t, 55, r.call(0, "fib", 10))
	add, _ := r.k.Syms.Lookup("do_add")
	require.EqualValues(t, 12, r.call(0, "apply2", add, 5, 7))
	hits, missed := hitsOf(ps)
	require.NotZero(t, hits)
	require.Zero(t, missed)
	got := map[string]int{}
	for _, v := range r.traceOf(kernel.EvTrap) {
		got[v]++
	}
	require.NotZero(t, got["#DB"])
	require.Greater(t, got["#BP"], got["#DB"])
}

// Every instruction of a function probed, its results unchanged: those that
// end at an int3, and those that are stepped with TF.
func TestModernEveryInstruction(t *testing.T) {
	for _, fn := range []struct {
		name string
		args []uint64
	}{{"factorial", []uint64{10}}, {"fib", []uint64{10}}, {"sum10", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"gcd", []uint64{1071, 462}}, {"ackermann", []uint64{2, 3}}, {"dispatch", []uint64{3, 7, 9}}, {"modulo", []uint64{17, 5}}} {
		t.Run(fn.name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, modern)
			want := r.call(0, fn.name, fn.args...)
			var ps []*kprobes.Kprobe
			addr, size := r.span(fn.name)
			r.do(0, func(c *kernel.CPU) error {
				for a := addr; a < addr+size; a++ {
					p := &kprobes.Kprobe{Addr: a}
					if r.s.Register(c, p) == nil {
						ps = append(ps, p)
					}
				}
				return nil
			})
			require.Greater(t, len(ps), 2)
			require.Equal(t, want, r.call(0, fn.name, fn.args...))
			hits, missed := hitsOf(ps)
			require.NotZero(t, hits)
			require.Zero(t, missed)
		})
	}
}

// Interrupts stay off while the copy runs, and come when it has.
func TestModernInterruptsWaitForTheStep(t *testing.T) {
	r := newRig(t, kernel.Config{Trace: true}, modern)
	p := &kprobes.Kprobe{Symbol: "do_add", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
		c.V.RaiseIRQ(x86.VecReschedule)
		return 0
	}}
	r.register(p)
	r.traceOf()
	require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
	require.Equal(t, []string{"#BP", "#BP", x86.Vector(x86.VecReschedule).String()}, r.traceOf(kernel.EvTrap))
}

// A fault in a handler is the exception table's: nobody else is asked, and
// nmissed does not count it (2e38eb04c95e).
func TestModernFaultInHandler(t *testing.T) {
	r := newRig(t, kernel.Config{}, modern)
	fn, _ := r.k.Syms.Lookup("copy_from_user_inatomic")
	dst, _ := r.page()
	var left uint64
	p := &kprobes.Kprobe{Symbol: "do_add",
		Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
			var err error
			left, err = c.Call(fn, dst, 0x10000, 16)
			require.NoError(t, err)
			return 0
		},
		Fault: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, x86.Vector) int {
			require.Fail(t, "there are no fault handlers in this model")
			return 1
		}}
	r.register(p)
	require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
	require.EqualValues(t, 16, left)
	require.Zero(t, p.NMissed)
}

// A third level stops the kernel, with the probe, the state and both sites;
// Linux 6.1 does not count it as missed.
func TestModernThirdLevel(t *testing.T) {
	err, r := thirdLevel(t, modern)
	require.ErrorContains(t, err, "Unrecoverable kprobe detected: do_sub+0x0 is hit in state REENTER, while square+0x0 is stepped inside the hit of do_add+0x0")
	var o *kernel.Oops
	require.ErrorAs(t, err, &o)
	require.Contains(t, o.Text, "Dump kprobe: do_sub+0x0, .symbol_name = do_sub, .offset = 0, .addr = do_sub+0x0/")
	_, st := r.s.CurrentKprobe(0)
	require.Equal(t, kprobes.Idle, st)
}

// An NMI at every instruction of a hit, as in the classic model.
func TestModernNMIAtEveryInstruction(t *testing.T) {
	r := newRig(t, kernel.Config{}, modern)
	posts := uint64(0)
	p := &kprobes.Kprobe{Symbol: "do_add", Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { posts++ }}
	r.register(p)
	quiet := r.insns(func() { require.EqualValues(t, 3, r.call(0, "do_add", 1, 2)) })
	posts = 0
	for at := uint64(1); at < quiet; at++ {
		r.k.Inject.Reset()
		r.k.Inject.Arm(r.k, &kernel.Injection{At: at, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
		require.EqualValues(t, at+7, r.call(0, "do_add", at, 7), "NMI after %d instructions", at)
		require.Equal(t, at, posts)
	}
	require.Zero(t, p.NMissed)
}
