package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

const elsewhereC = `
long seen;
void elsewhere(long a, long b) { seen = 100 * a + b; do_mul(a, b); asm volatile("int3"); }
noinline long target(long a, long b) { return a - b; }
`

// diverted is a probe on target whose pre-handler goes elsewhere.
func (r *rig) diverted(back int) *kprobes.Kprobe {
	to, ok := r.k.Syms.Lookup("elsewhere")
	require.True(r.t, ok)
	var saved [traps.NumFields]uint64
	return &kprobes.Kprobe{Symbol: "target",
		Pre: func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
			saved = regs.Copy()
			regs.SetFlags(regs.Flags() &^ x86.FlagIF)
			regs.SetIP(to)
			return 1
		},
		Break: func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
			if back != 0 {
				for f, v := range saved {
					regs.Set(traps.Field(f), v)
				}
			}
			return back
		}}
}

// The hit goes on elsewhere, where other probes are missed, and comes back by
// the break handler's 1; with 0 the int3 is nobody's. Modern kernels have no
// break handlers: a pre-handler's 1 is the end of the hit there.
func TestBreakHandler(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode(elsewhereC, "")
	p := r.diverted(1)
	posts := 0
	p.Post = func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { posts++ }
	inner := &kprobes.Kprobe{Symbol: "do_mul"}
	r.register(p, inner)
	for i := range uint64(3) {
		require.EqualValues(t, 40-i, r.call(0, "target", 40, i))
		require.EqualValues(t, 4000+i, r.var64("seen"))
	}
	require.EqualValues(t, []uint64{3, 0, 3, 3}, []uint64{p.Hits, inner.Hits, inner.NMissed, uint64(posts)})
	_, st := r.s.CurrentKprobe(0)
	require.Equal(t, kprobes.Idle, st)

	for _, c := range []struct {
		model *kprobes.Model
		back  int
	}{{&kprobes.Classic, 0}, {&kprobes.Modern, 1}} {
		r := newRig(t, kernel.Config{}, kprobes.Options{Model: c.model})
		r.guestCode(elsewhereC, "")
		r.register(r.diverted(c.back))
		fn, _ := r.k.Syms.Lookup("target")
		err := r.k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(fn, 5, 3); return err })
		require.ErrorContains(t, err, "int3 at elsewhere+0x")
		_, st := r.s.CurrentKprobe(0)
		require.Equal(t, kprobes.Idle, st, "the CPU's work is given up")
	}
}
