package kretprobes_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// A rig is a booted kernel with return probes.
type rig struct {
	t  tester
	k  *kernel.Kernel
	kp *kprobes.Subsystem
	s  *kretprobes.Subsystem
	// model is the return probes'; nil is the classic one.
	model *kretprobes.Model
}

// A tester is a *testing.T or a *rapid.T.
type tester interface {
	require.TestingT
	Helper()
}

func newRig(t testing.TB, cfg kernel.Config, opts kretprobes.Options) *rig {
	t.Helper()
	k, err := kernel.Boot(cfg)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	kp := kprobes.New(k, kprobes.Options{Model: kprobesModel(opts.Model)})
	s, err := kretprobes.New(k, kp, opts)
	require.NoError(t, err)
	return &rig{t, k, kp, s, opts.Model}
}

// kprobesModel is the generation of kprobes that goes with return probes'.
func kprobesModel(m *kretprobes.Model) *kprobes.Model {
	if m == &kretprobes.Modern {
		return &kprobes.Modern
	}
	return &kprobes.Classic
}

func styled(style kretprobes.Style) kretprobes.Options {
	return kretprobes.Options{Trampoline: &style}
}

var styles = []kretprobes.Style{kretprobes.ByKprobe, kretprobes.Direct}

var models = []*kretprobes.Model{&kretprobes.Classic, &kretprobes.Modern}

// eachStyle runs a test in both models with both trampolines.
func eachStyle(t *testing.T, cfg kernel.Config, f func(r *rig)) {
	for _, model := range models {
		for _, style := range styles {
			t.Run(model.Name+"/"+style.String(), func(t *testing.T) {
				r := newRig(t, cfg, kretprobes.Options{Model: model, Trampoline: &style})
				f(r)
				require.Zero(t, r.s.InUse(), "instances are left")
			})
		}
	}
}

func (r *rig) do(cpu int, f func(c *kernel.CPU) error) {
	r.t.Helper()
	require.NoError(r.t, r.k.Do(cpu, f))
}

func (r *rig) register(rps ...*kretprobes.Kretprobe) {
	r.t.Helper()
	r.do(0, func(c *kernel.CPU) error { return r.s.RegisterAll(c, rps) })
}

func (r *rig) unregister(rps ...*kretprobes.Kretprobe) {
	r.t.Helper()
	r.do(0, func(c *kernel.CPU) error { return r.s.UnregisterAll(c, rps) })
}

func (r *rig) sym(name string) uint64 {
	r.t.Helper()
	addr, ok := r.k.Syms.Lookup(name)
	require.True(r.t, ok, name)
	return addr
}

func (r *rig) call(cpu int, fn string, args ...uint64) uint64 {
	r.t.Helper()
	addr := r.sym(fn)
	var ret uint64
	r.do(cpu, func(c *kernel.CPU) (err error) {
		ret, err = c.Call(addr, args...)
		return err
	})
	return ret
}

// whole checks that no call uses an instance of the probe.
func (r *rig) whole(rps ...*kretprobes.Kretprobe) {
	r.t.Helper()
	for _, rp := range rps {
		require.Equal(r.t, rp.MaxActive, rp.Free(), "free instances of %s", rp.Label)
	}
}

// counts are the trap events of the trace.
func (r *rig) counts() map[x86.Vector]int {
	n := map[x86.Vector]int{}
	for _, ev := range r.k.Trace.Events {
		if ev.Kind == kernel.EvTrap {
			n[ev.Vector]++
		}
	}
	return n
}

// The flow of the post, from the entry to the address behind the call.
func TestReturn(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		var log []string
		caller := r.sym("__call_return")
		rp := &kretprobes.Kretprobe{Symbol: "do_add", DataSize: 8,
			EntryHandler: func(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
				require.EqualValues(r.t, 40, regs.Get(traps.DI))
				ri.Data[0] = 7
				log = append(log, "entry")
				return 0
			},
			Handler: func(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
				require.EqualValues(r.t, 42, regs.ReturnValue())
				require.EqualValues(r.t, 7, ri.Data[0])
				require.Equal(r.t, c.CurrentTask(), ri.Task)
				require.Equal(r.t, caller, ri.RetAddr)
				require.EqualValues(r.t, 0x10, regs.Get(traps.CS))
				regs.Set(traps.AX, 99)
				log = append(log, "return")
				return 0
			}}
		r.register(rp)
		require.Equal(r.t, 1, r.kp.Sites())
		require.EqualValues(r.t, 99, r.call(0, "do_add", 40, 2))
		require.Equal(r.t, []string{"entry", "return"}, log)
		require.EqualValues(r.t, 1, rp.Hits)
		r.whole(rp)
		r.unregister(rp)
		require.EqualValues(r.t, 42, r.call(0, "do_add", 40, 2))
		require.Zero(r.t, r.kp.Sites())
	})
}

// "We skip single stepping the original function. In this case the original
// instruction to be single stepped was just a NOP": one #BP for the entry, one
// #DB for its step, one #BP for the return and no more.
func TestTrapsPerReturn(t *testing.T) {
	for style, want := range map[kretprobes.Style]map[x86.Vector]int{
		kretprobes.ByKprobe: {x86.BP: 2, x86.DB: 1},
		kretprobes.Direct:   {x86.BP: 1, x86.DB: 1},
	} {
		r := newRig(t, kernel.Config{Trace: true}, styled(style))
		rp := &kretprobes.Kretprobe{Symbol: "do_add", Label: "rp"}
		r.register(rp)
		r.k.Trace.Events = nil
		r.call(0, "do_add", 40, 2)
		require.Equal(t, want, r.counts(), "%s\n%s", style, r.k.Trace.Text())
		require.Contains(t, r.k.Trace.Text(), "return: rp: (__call_return+0x0) ax=0x2a")
	}
}

// The trampoline's probe is there from the start; nobody else may probe it.
func TestTrampolineProbe(t *testing.T) {
	r := newRig(t, kernel.Config{}, kretprobes.Options{})
	var b [1]byte
	addr, style := r.s.Trampoline()
	require.Equal(t, kretprobes.ByKprobe, style)
	require.Equal(t, r.sym("kretprobe_trampoline"), addr)
	require.NoError(t, r.k.CPUs[0].V.Peek(addr, b[:]))
	require.EqualValues(t, 0xcc, b[0])
	require.Zero(t, r.kp.Sites())
	for _, name := range []string{"kretprobe_trampoline", "arch_rethook_trampoline", "arch_rethook_trampoline_callback", "kprobe_flush_task"} {
		r.do(0, func(c *kernel.CPU) error {
			require.ErrorIs(t, r.kp.Register(c, &kprobes.Kprobe{Symbol: name}), kernel.EINVAL, name)
			require.ErrorIs(t, r.s.Register(c, &kretprobes.Kretprobe{Symbol: name}), kernel.EINVAL, name)
			return nil
		})
	}
}

func TestRecursion(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		var depths []uint64
		rp := &kretprobes.Kretprobe{Symbol: "factorial", MaxActive: 10, Handler: func(_ *kernel.CPU, _ *kretprobes.Instance, regs traps.Regs) int {
			depths = append(depths, regs.ReturnValue())
			return 0
		}}
		want := r.call(0, "factorial", 100)
		r.register(rp)
		require.Equal(r.t, want, r.call(0, "factorial", 100))
		require.EqualValues(r.t, 10, rp.Hits, "the outermost ten")
		require.EqualValues(r.t, 90, rp.NMissed)
		require.Equal(r.t, want, depths[9])
		r.whole(rp)
	})
}

// A return that nobody has prepared: a jump to the trampoline.
func TestUnknownReturn(t *testing.T) {
	for _, style := range styles {
		r := newRig(t, kernel.Config{}, styled(style))
		r.register(&kretprobes.Kretprobe{Symbol: "do_add"})
		tramp, _ := r.s.Trampoline()
		err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(tramp); return err })
		require.ErrorContains(t, err, "has no return probe instance")
		require.EqualValues(t, 3, r.call(0, "do_add", 1, 2))
	}
}

func ExampleKretprobe() {
	k, err := kernel.Boot(kernel.Config{})
	if err != nil {
		panic(err)
	}
	defer k.Close()
	s, err := kretprobes.New(k, kprobes.New(k, kprobes.Options{}), kretprobes.Options{})
	if err != nil {
		panic(err)
	}
	rp := &kretprobes.Kretprobe{Symbol: "do_add", Handler: func(_ *kernel.CPU, _ *kretprobes.Instance, regs traps.Regs) int {
		fmt.Println("do_add returns", regs.ReturnValue())
		return 0
	}}
	addr, _ := k.Syms.Lookup("do_add")
	err = k.Do(0, func(c *kernel.CPU) error {
		if err := s.Register(c, rp); err != nil {
			return err
		}
		_, err := c.Call(addr, 40, 2)
		return err
	})
	fmt.Println(err)
	// Output:
	// do_add returns 42
	// <nil>
}

func physBase() uint64 { return emu.PhysBase }
