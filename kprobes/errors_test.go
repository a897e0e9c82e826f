package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

func TestRefusals(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	data, ok := r.k.Syms.Lookup("cpu_data")
	require.True(t, ok)
	text, _ := r.k.Syms.Lookup("do_add")
	for _, c := range []struct {
		p    kprobes.Kprobe
		code kernel.Errno
		why  string
	}{
		{kprobes.Kprobe{}, kernel.EINVAL, "neither"},
		{kprobes.Kprobe{Symbol: "do_ad"}, kernel.ENOENT, "is do_add meant?"},
		{kprobes.Kprobe{Symbol: "do_add", Addr: 1}, kernel.EINVAL, "both"},
		{kprobes.Kprobe{Symbol: "do_add", Offset: 1}, kernel.EILSEQ, "boundary"},
		{kprobes.Kprobe{Addr: data}, kernel.EINVAL, "not kernel text"},
		{kprobes.Kprobe{Addr: 0x400000}, kernel.EINVAL, "not kernel text"},
		{kprobes.Kprobe{Symbol: "do_int3"}, kernel.EINVAL, "blacklisted"},
		{kprobes.Kprobe{Symbol: "asm_exc_int3"}, kernel.EINVAL, "blacklisted"},
		{kprobes.Kprobe{Symbol: "__call_return"}, kernel.EINVAL, "blacklisted"},
	} {
		err := r.tryRegister(&c.p)
		require.ErrorIs(t, err, c.code, "%+v", c.p)
		require.ErrorContains(t, err, c.why)
		require.False(t, c.p.Registered())
	}
	before := make([]byte, 1)
	require.NoError(t, r.k.CPUs[0].V.Peek(text, before))
	require.NotEqual(t, byte(0xcc), before[0])
	require.Zero(t, r.s.Sites())
}

func (r *rig) tryRegister(p *kprobes.Kprobe) (err error) {
	r.do(0, func(c *kernel.CPU) error { err = r.s.Register(c, p); return nil })
	return err
}

func (r *rig) text(addr uint64) byte {
	var b [1]byte
	require.NoError(r.t, r.k.CPUs[0].V.Peek(addr, b[:]))
	return b[0]
}

func TestLifecycle(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	p := &kprobes.Kprobe{Symbol: "do_add"}
	require.NoError(t, r.tryRegister(p))
	orig, _ := r.s.OriginalByte(p.Addr)
	require.EqualValues(t, 0xcc, r.text(p.Addr))
	require.ErrorIs(t, r.tryRegister(p), kernel.EINVAL)
	r.do(0, func(c *kernel.CPU) error {
		require.NoError(t, r.s.Disable(c, p))
		require.Equal(t, orig, r.text(p.Addr))
		require.NoError(t, r.s.Disable(c, p))
		require.NoError(t, r.s.Enable(c, p))
		require.EqualValues(t, 0xcc, r.text(p.Addr))
		require.NoError(t, r.s.Unregister(c, p))
		require.Equal(t, orig, r.text(p.Addr))
		require.ErrorIs(t, r.s.Enable(c, p), kernel.EINVAL)
		require.ErrorIs(t, r.s.Disable(c, p), kernel.EINVAL)
		require.NoError(t, r.s.Unregister(c, p))
		require.Zero(t, p.Addr)
		return nil
	})
	p.Flags = kprobes.FlagDisabled
	require.NoError(t, r.tryRegister(p))
	require.Equal(t, orig, r.text(p.Addr))
	require.EqualValues(t, 3, r.call(0, "do_add", 1, 2))
	require.Zero(t, p.Hits)
}

func TestRegisterAllOrNone(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	ps := []*kprobes.Kprobe{{Symbol: "do_add"}, {Symbol: "nowhere"}, {Symbol: "do_sub"}}
	r.do(0, func(c *kernel.CPU) error {
		require.ErrorIs(t, r.s.RegisterAll(c, ps), kernel.ENOENT)
		require.ErrorIs(t, r.s.RegisterAll(c, nil), kernel.EINVAL)
		return nil
	})
	require.Zero(t, r.s.Sites())
	for _, p := range ps {
		require.False(t, p.Registered())
	}
}

// Many probes at one site: newest first, a non-zero return stops the walk, a
// disabled one is passed over.
func TestManyAtOneSite(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	var log string
	mk := func(name string, ret *int) *kprobes.Kprobe {
		return &kprobes.Kprobe{Symbol: "do_add", Label: name,
			Pre: func(_ *kernel.CPU, p *kprobes.Kprobe, regs traps.Regs) int {
				log += p.Label
				if *ret != 0 { // what a handler that replaces the function does
					sp := regs.SP()
					ip, err := r.k.CPUs[0].V.Read64(sp)
					require.NoError(t, err)
					regs.SetSP(sp + 8)
					regs.SetIP(ip)
					regs.Set(traps.AX, 99)
				}
				return *ret
			},
			Post: func(_ *kernel.CPU, p *kprobes.Kprobe, _ traps.Regs, _ uint64) { log += "-" + p.Label }}
	}
	var zero, replace int
	a, b, c3 := mk("a", &zero), mk("b", &replace), mk("c", &zero)
	r.register(a, b, c3)
	require.Equal(t, 1, r.s.Sites())
	require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
	require.Equal(t, "cba-c-b-a", log)
	log = ""
	replace = 1
	require.EqualValues(t, 99, r.call(0, "do_add", 2, 3))
	require.Equal(t, "cb", log)
	_, st := r.s.CurrentKprobe(0)
	require.Equal(t, kprobes.Idle, st)
	log, replace = "", 0
	r.do(0, func(c *kernel.CPU) error { return r.s.Disable(c, b) })
	require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
	require.Equal(t, "ca-c-a", log)
}

// A probe hit inside a handler is stepped, counted and not handled.
func TestReentry(t *testing.T) {
	for _, where := range []string{"pre", "post"} {
		t.Run(where, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{})
			square, _ := r.k.Syms.Lookup("square")
			inner := &kprobes.Kprobe{Symbol: "square", Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int {
				require.Fail(t, "a missed hit is not handled")
				return 0
			}}
			callSquare := func(c *kernel.CPU) {
				ret, err := c.Call(square, 9)
				require.NoError(t, err)
				require.EqualValues(t, 81, ret)
			}
			outer := &kprobes.Kprobe{Symbol: "do_add"}
			if where == "pre" {
				outer.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int { callSquare(c); return 0 }
			} else {
				outer.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs, _ uint64) { callSquare(c) }
			}
			r.register(inner, outer)
			require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 1, inner.NMissed)
			require.EqualValues(t, 0, outer.NMissed)
			require.EqualValues(t, 0, inner.Hits)
		})
	}
}

// thirdLevel hits a probe in an NMI handler's callee while the copy of a probe
// that was hit inside another one's handler is being stepped.
func thirdLevel(t *testing.T, opts kprobes.Options) (error, *rig) {
	r := newRig(t, kernel.Config{Budget: 1_000_000, Trace: true}, opts)
	square, _ := r.k.Syms.Lookup("square")
	third, _ := r.k.Syms.Lookup("do_sub")
	outer := &kprobes.Kprobe{Symbol: "do_add", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
		if _, err := c.Call(square, 3); err != nil {
			c.Die(err) // who goes astray may run out of stack
		}
		return 0
	}}
	second, innermost := &kprobes.Kprobe{Symbol: "square"}, &kprobes.Kprobe{Symbol: "do_sub"}
	r.register(outer, second, innermost)
	r.k.Traps.Chain.Register(&traps.Notifier{Name: "test", Priority: 1, Call: func(tr *traps.Trap) traps.Verdict {
		c := tr.CPU.(*kernel.CPU)
		if _, st := r.s.CurrentKprobe(0); tr.Die == traps.DieNMI && st == kprobes.Reenter {
			if _, err := c.Call(third, 5, 2); err != nil {
				c.Die(err)
			}
		}
		return traps.NotifyDone
	}})
	r.k.Inject.Arm(r.k, &kernel.Injection{Every: 1, Action: func(c *kernel.CPU) {
		if _, st := r.s.CurrentKprobe(0); st == kprobes.Reenter {
			c.V.RaiseNMI()
		}
	}})
	add, _ := r.k.Syms.Lookup("do_add")
	return r.k.Do(0, func(c *kernel.CPU) error {
		ret, err := c.Call(add, 1, 2)
		if err == nil && ret != 3 {
			t.Logf("do_add(1, 2) = %d", ret)
		}
		return err
	}), r
}

func TestThirdLevel(t *testing.T) {
	err, r := thirdLevel(t, kprobes.Options{})
	require.ErrorContains(t, err, "Unrecoverable kprobe detected: do_sub+0x0 is hit in state REENTER")
	var o *kernel.Oops
	require.ErrorAs(t, err, &o)
	require.Contains(t, o.Text, "Kprobe in flight: CPU 0, REENTER at square+0x0, in a handler of do_add+0x0, inside HIT_ACTIVE at do_add+0x0")
	// The control block is clean again.
	_, st := r.s.CurrentKprobe(0)
	require.Equal(t, kprobes.Idle, st)
}

// Without the guard, 2.6.21's one-deep save loses the first hit: its step is
// taken for the end of the second's, and the program goes astray.
func TestThirdLevelUnguarded(t *testing.T) {
	err, _ := thirdLevel(t, kprobes.Options{NoReentryGuard: true})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "Unrecoverable")
	require.NotContains(t, err.Error(), "illegal transition")
	t.Log(err)
}
