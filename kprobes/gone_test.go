package kprobes_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

const goneC = `
long in_module(long x) { return x + 1; }
static long hidden(long x) { return x * 2; }
long outer(long x) { return hidden(x) + in_module(x); }
`

// rmmod does what the module notifier and free_module do.
func (r *rig) rmmod() guestimg.Range {
	m := r.k.Modules()[0]
	start, end := m.Image.Range()
	rng := guestimg.Range{Start: start, End: end, Name: m.Name}
	r.do(0, func(c *kernel.CPU) error {
		r.s.CloseText(rng)
		r.s.KillText(c, rng)
		c.SynchronizeSched()
		return r.k.UnloadModule(m)
	})
	return rng
}

// Probes in a module that goes are GONE: still registered, never armed again,
// and no slot is kept. The same addresses can be probed anew.
func TestGone(t *testing.T) {
	for _, model := range kprobes.Models() {
		t.Run(model.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{Model: model})
			r.guestCode(goneC, "")
			im := r.k.Modules()[0].Image
			changes := 0
			changed := func() { changes++ }
			p := &kprobes.Kprobe{Symbol: "in_module", Changed: changed}
			q := &kprobes.Kprobe{Symbol: "in_module", Flags: kprobes.FlagDisabled, Changed: changed}
			other := &kprobes.Kprobe{Symbol: "do_add"}
			r.register(p, q, other)
			used, _ := r.s.Slots()
			require.Equal(t, 2, used)
			require.EqualValues(t, 4, r.call(0, "in_module", 3))

			r.rmmod()
			require.True(t, p.Registered() && p.Gone() && !p.Enabled())
			require.True(t, q.Gone())
			require.False(t, other.Gone())
			require.Equal(t, 2, changes)
			require.Equal(t, 1, r.s.Sites())
			used, _ = r.s.Slots()
			require.Equal(t, 1, used)
			r.do(0, func(c *kernel.CPU) error {
				require.ErrorIs(t, r.s.Enable(c, p), kernel.EINVAL)
				require.NoError(t, r.s.Disable(c, q))
				return nil
			})

			_, err := r.k.LoadModule("test", im)
			require.NoError(t, err)
			again := &kprobes.Kprobe{Symbol: "in_module"}
			r.register(again)
			require.EqualValues(t, 8, r.call(0, "in_module", 7))
			require.EqualValues(t, 1, again.Hits)
			require.EqualValues(t, 1, p.Hits, "the old one has seen the last of it")

			r.do(0, func(c *kernel.CPU) error { return r.s.UnregisterAll(c, []*kprobes.Kprobe{p, q}) })
			require.False(t, p.Registered())
			require.EqualValues(t, 9, r.call(0, "in_module", 8))
			require.EqualValues(t, 2, again.Hits, "the new probe of that address is not theirs to take away")
			r.do(0, func(c *kernel.CPU) error { return r.s.UnregisterAll(c, []*kprobes.Kprobe{again, other}) })
			used, _ = r.s.Slots()
			require.Zero(t, used)
			require.Empty(t, r.s.List())
		})
	}
}

// Text of a module that is going takes no new probes.
func TestGoing(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode(goneC, "")
	start, end := r.k.Modules()[0].Image.Range()
	r.do(0, func(c *kernel.CPU) error {
		r.s.CloseText(guestimg.Range{Start: start, End: end, Name: "test"})
		err := r.s.Register(c, &kprobes.Kprobe{Symbol: "outer"})
		require.ErrorIs(t, err, kernel.ENOENT)
		require.ErrorContains(t, err, "module test is going away")
		return nil
	})
}

// A module goes while another CPU is in the handler of a probe in it: it waits.
func TestGoneWhileHandlerRuns(t *testing.T) {
	r := newRig(t, kernel.Config{CPUs: 2, Policy: &kernel.RoundRobin{Quantum: 20}}, kprobes.Options{})
	r.guestCode(goneC, "")
	inside, left := false, false
	p := &kprobes.Kprobe{Symbol: "in_module", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
		inside = true
		for range 50 {
			c.Yield()
		}
		left = true
		return 0
	}}
	r.register(p)
	fn, _ := r.k.Syms.Lookup("in_module")
	var ret uint64
	require.NoError(t, r.k.Spawn(1, func(c *kernel.CPU) (err error) {
		ret, err = c.Call(fn, 5)
		return err
	}))
	require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error {
		c.WaitFor("the handler", func() bool { return inside })
		m := r.k.Modules()[0]
		start, end := m.Image.Range()
		r.s.KillText(c, guestimg.Range{Start: start, End: end})
		require.False(t, left)
		c.SynchronizeSched()
		require.True(t, left)
		return nil
	}))
	require.NoError(t, r.k.Wait())
	require.EqualValues(t, 6, ret, "the text is still there: the hit ends well")
}

func TestList(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode(goneC, "")
	ps := []*kprobes.Kprobe{
		{Symbol: "do_add", Offset: 0}, {Symbol: "do_add", Flags: kprobes.FlagDisabled}, {Symbol: "in_module"},
		{Symbol: "do_sub", OfReturn: true},
	}
	r.register(ps...)
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "do_mul"}, Args: func(*kernel.CPU, traps.Regs, []uint64) {}}
	require.NoError(t, r.registerJprobe(jp))
	addr := func(sym string) string { a, _ := r.k.Syms.Lookup(sym); return hex16(a) }
	gone := addr("in_module")
	lines := func() []string { return strings.Split(strings.TrimSuffix(r.s.List(), "\n"), "\n") }
	require.ElementsMatch(t, []string{
		addr("do_add") + "  k  do_add+0x0    [DISABLED]", addr("do_add") + "  k  do_add+0x0    ",
		gone + "  k  in_module+0x0  test ", addr("do_sub") + "  r  do_sub+0x0    ", addr("do_mul") + "  j  do_mul+0x0    ",
	}, lines())
	require.IsIncreasing(t, distinct(lines()))
	r.rmmod()
	require.Contains(t, lines(), gone+"  k  "+gone+" [GONE]")
}

func hex16(a uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = digits[a>>(60-4*i)&15]
	}
	return string(b[:])
}

func distinct(lines []string) (out []string) {
	for _, l := range lines {
		if a := l[:16]; len(out) == 0 || out[len(out)-1] != a {
			out = append(out, a)
		}
	}
	return out
}

// kprobes/enabled: nothing is armed while it is 0, whatever is registered or
// enabled meanwhile, and everything that should be is when it is 1 again.
func TestAllEnabled(t *testing.T) {
	r := newRig(t, kernel.Config{CPUs: 2}, kprobes.Options{})
	p := &kprobes.Kprobe{Symbol: "do_add"}
	q := &kprobes.Kprobe{Symbol: "do_sub", Flags: kprobes.FlagDisabled}
	late := &kprobes.Kprobe{Symbol: "do_mul"}
	r.register(p, q)
	all := func(on bool) { r.do(0, func(c *kernel.CPU) error { return r.s.SetAllEnabled(c, on) }) }
	run := func() {
		require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
		require.EqualValues(t, 1, r.call(1, "do_sub", 3, 2))
		require.EqualValues(t, 6, r.call(1, "do_mul", 3, 2))
	}
	all(false)
	require.False(t, r.s.AllEnabled())
	all(false) // again: nothing, and nothing logged
	r.register(late)
	r.do(1, func(c *kernel.CPU) error { return r.s.Enable(c, q) })
	run()
	require.Zero(t, p.Hits+q.Hits+late.Hits)
	require.True(t, p.Enabled() && q.Enabled())
	all(true)
	run()
	require.Equal(t, []uint64{1, 1, 1}, []uint64{p.Hits, q.Hits, late.Hits})
	require.Equal(t, []string{"kprobes: Kprobes globally disabled", "kprobes: Kprobes globally enabled"}, r.k.Log)
}

func TestBlacklistView(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	text, _ := r.k.Syms.Lookup("__kprobes_text_start")
	require.Contains(t, r.s.Blacklist(), "0x"+hex16(text)+"-0x")
	for line := range strings.Lines(r.s.Blacklist()) {
		require.Regexp(t, `^0x[0-9a-f]{16}-0x[0-9a-f]{16}\t\S+\n$`, line)
	}
}
