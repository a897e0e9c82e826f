package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

type rig struct {
	t testing.TB
	k *kernel.Kernel
	s *kprobes.Subsystem
}

func newRig(t testing.TB, cfg kernel.Config, opts kprobes.Options) *rig {
	t.Helper()
	k, err := kernel.Boot(cfg)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return &rig{t, k, kprobes.New(k, opts)}
}

func (r *rig) do(cpu int, f func(c *kernel.CPU) error) {
	r.t.Helper()
	require.NoError(r.t, r.k.Do(cpu, f))
}

func (r *rig) register(ps ...*kprobes.Kprobe) {
	r.t.Helper()
	r.do(0, func(c *kernel.CPU) error { return r.s.RegisterAll(c, ps) })
}

func (r *rig) call(cpu int, fn string, args ...uint64) uint64 {
	r.t.Helper()
	addr, ok := r.k.Syms.Lookup(fn)
	require.True(r.t, ok, fn)
	var ret uint64
	r.do(cpu, func(c *kernel.CPU) (err error) {
		ret, err = c.Call(addr, args...)
		return err
	})
	return ret
}

func TestHit(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	var log []string
	p := &kprobes.Kprobe{Symbol: "do_add",
		Pre: func(c *kernel.CPU, p *kprobes.Kprobe, regs traps.Regs) int {
			require.Equal(t, p.Addr+1, regs.IP())
			require.Equal(t, uint64(40), regs.Get(traps.DI))
			require.NotZero(t, regs.Flags()&x86.FlagIF)
			log = append(log, "pre")
			return 0
		},
		Post: func(c *kernel.CPU, p *kprobes.Kprobe, regs traps.Regs, flags uint64) {
			require.Equal(t, uint64(42), regs.Get(traps.AX))
			log = append(log, "post")
		}}
	r.register(p)
	require.Equal(t, uint64(42), r.call(0, "do_add", 40, 2))
	require.Equal(t, []string{"pre", "post"}, log)
	require.EqualValues(t, 1, p.Hits)
	r.do(0, func(c *kernel.CPU) error { return r.s.Unregister(c, p) })
	require.Equal(t, uint64(42), r.call(0, "do_add", 40, 2))
	require.Len(t, log, 2)
	used, _ := r.s.Slots()
	require.Zero(t, used)
}

// Every instruction of a function probed, its results unchanged.
func TestEveryInstruction(t *testing.T) {
	for _, fn := range []struct {
		name string
		args []uint64
	}{{"factorial", []uint64{10}}, {"fib", []uint64{10}}, {"sum10", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"gcd", []uint64{1071, 462}}, {"ackermann", []uint64{2, 3}}, {"dispatch", []uint64{3, 7, 9}}} {
		t.Run(fn.name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{})
			want := r.call(0, fn.name, fn.args...)
			addr, size := r.span(fn.name)
			var ps []*kprobes.Kprobe
			r.do(0, func(c *kernel.CPU) error {
				for a := addr; a < addr+size; a++ {
					p := &kprobes.Kprobe{Addr: a}
					if err := r.s.Register(c, p); err == nil {
						ps = append(ps, p)
					} else {
						require.ErrorIs(t, err, kernel.EILSEQ)
					}
				}
				return nil
			})
			require.Greater(t, len(ps), 3)
			require.Equal(t, want, r.call(0, fn.name, fn.args...))
			hits := uint64(0)
			for _, p := range ps {
				hits += p.Hits
			}
			require.NotZero(t, hits)
			t.Log(len(ps), "probes", hits, "hits")
		})
	}
}

func (r *rig) span(fn string) (addr, size uint64) {
	addr, ok := r.k.Syms.Lookup(fn)
	require.True(r.t, ok)
	_, _, size, _ = r.k.Syms.SizeOffset(addr)
	return addr, size
}

func BenchmarkHit(b *testing.B) {
	r := newRig(b, kernel.Config{Budget: 1 << 62}, kprobes.Options{})
	p := &kprobes.Kprobe{Symbol: "do_nothing", Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { return 0 }}
	r.register(p)
	addr, _ := r.k.Syms.Lookup("do_nothing")
	r.do(0, func(c *kernel.CPU) error {
		for b.Loop() {
			if _, err := c.Call(addr); err != nil {
				return err
			}
		}
		return nil
	})
}
func BenchmarkCall(b *testing.B) {
	r := newRig(b, kernel.Config{Budget: 1 << 62}, kprobes.Options{})
	addr, _ := r.k.Syms.Lookup("do_nothing")
	r.do(0, func(c *kernel.CPU) error {
		for b.Loop() {
			if _, err := c.Call(addr); err != nil {
				return err
			}
		}
		return nil
	})
}
