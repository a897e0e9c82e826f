package kprobes_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

func TestSixtyFourCPUs(t *testing.T) {
	const cpus, calls = 64, 1000
	r := newRig(t, kernel.Config{CPUs: cpus}, kprobes.Options{})
	var onCPU [cpus]int
	p := &kprobes.Kprobe{Symbol: "do_add", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
		onCPU[c.ID]++
		return 0
	}}
	r.register(p)
	addr, _ := r.k.Syms.Lookup("do_add")
	for cpu := range cpus {
		require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
			for i := range uint64(calls) {
				ret, err := c.Call(addr, i, uint64(cpu))
				if err != nil || ret != i+uint64(cpu) {
					return fmt.Errorf("do_add(%d, %d) = %d, %v", i, cpu, ret, err)
				}
			}
			return nil
		}))
	}
	require.NoError(t, r.k.Wait())
	require.EqualValues(t, cpus*calls, p.Hits)
	require.Zero(t, p.NMissed)
	for cpu, n := range onCPU {
		require.Equal(t, calls, n, "CPU %d", cpu)
	}
}

// An NMI at every instruction of one probe hit: before the int3, in the entry
// stub, in the handlers' calls, in the slot, on the way out.
func TestNMIAtEveryInstruction(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	nmis := 0
	r.k.Traps.Chain.Register(&traps.Notifier{Name: "test", Call: func(tr *traps.Trap) traps.Verdict {
		if tr.Die == traps.DieNMI {
			nmis++
		}
		return traps.NotifyDone
	}})
	inHandler, _ := r.k.Syms.Lookup("do_sub")
	var pre, post int
	p := &kprobes.Kprobe{Symbol: "do_add",
		Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
			pre++
			ret, err := c.Call(inHandler, 7, 2)
			require.NoError(t, err)
			require.EqualValues(t, 5, ret)
			return 0
		},
		Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { post++ }}
	r.register(p)
	quiet := r.insns(func() { require.EqualValues(t, 3, r.call(0, "do_add", 1, 2)) })
	require.Greater(t, quiet, uint64(40))
	pre, post = 0, 0
	for at := uint64(1); at < quiet; at++ {
		r.k.Inject.Reset()
		r.k.Inject.Arm(r.k, &kernel.Injection{At: at, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
		require.EqualValues(t, at, r.call(0, "do_add", at-2, 2), "NMI after %d instructions", at)
		require.EqualValues(t, at, nmis, "NMI after %d instructions", at)
		require.EqualValues(t, at, pre, "NMI after %d instructions", at)
		require.EqualValues(t, at, post, "NMI after %d instructions", at)
		_, st := r.s.CurrentKprobe(0)
		require.Equal(t, kprobes.Idle, st)
	}
	require.Zero(t, p.NMissed)
	t.Logf("%d places", quiet-1)
}

func (r *rig) insns(f func()) uint64 {
	before := r.k.M.Instructions()
	f()
	return r.k.M.Instructions() - before
}

// A CPU that has taken the int3 when another removes the probe goes on with
// the original instruction.
func TestRemovedUnderway(t *testing.T) {
	restarts := 0
	for quantum := uint64(1); quantum < 60; quantum++ {
		r := newRig(t, kernel.Config{CPUs: 2, Trace: true, Policy: &kernel.Script{Order: order(quantum), Quantum: 1}}, kprobes.Options{})
		p := &kprobes.Kprobe{Symbol: "do_add"}
		r.register(p)
		addr, _ := r.k.Syms.Lookup("do_add")
		r.k.SetPolicy(&kernel.Script{Order: order(quantum), Quantum: 1})
		require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error {
			ret, err := c.Call(addr, 40, 2)
			require.EqualValues(t, 42, ret)
			return err
		}))
		require.NoError(t, r.k.Spawn(1, func(c *kernel.CPU) error { return r.s.Unregister(c, p) }))
		require.NoError(t, r.k.Wait(), "quantum %d", quantum)
		for _, ev := range r.k.Trace.Events {
			if ev.Kind == kernel.EvRestart {
				restarts++
			}
		}
		require.LessOrEqual(t, p.Hits, uint64(1))
		require.Zero(t, r.s.Sites())
		used, _ := r.s.Slots()
		require.Zero(t, used)
		r.k.Close()
	}
	require.NotZero(t, restarts, "no interleaving led to a restart")
}

// order runs CPU 0 for n slices, then CPU 1 for many.
func order(n uint64) []int {
	o := make([]int, n, n+2000)
	for range 2000 {
		o = append(o, 1)
	}
	return o
}

// Two CPUs that register and remove at one address at once: kprobe_mutex
// keeps them apart across the waits inside.
func TestRegistrationRace(t *testing.T) {
	all := 0
	for seed := uint64(1); seed <= 20; seed++ {
		r := newRig(t, kernel.Config{CPUs: 3, Policy: kernel.NewRandom(seed, 3)}, kprobes.Options{})
		addr, _ := r.k.Syms.Lookup("do_add")
		hits := 0
		for cpu := range 2 {
			require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
				for range 10 {
					p := &kprobes.Kprobe{Symbol: "do_add", Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { hits++; return 0 }}
					if err := r.s.Register(c, p); err != nil {
						return err
					}
					c.Yield()
					if err := r.s.Unregister(c, p); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		require.NoError(t, r.k.Spawn(2, func(c *kernel.CPU) error {
			for i := range uint64(200) {
				if ret, err := c.Call(addr, i, 1); err != nil || ret != i+1 {
					return fmt.Errorf("do_add(%d, 1) = %d, %v", i, ret, err)
				}
			}
			return nil
		}))
		require.NoError(t, r.k.Wait(), "seed %d", seed)
		require.Zero(t, r.s.Sites())
		used, _ := r.s.Slots()
		require.Zero(t, used, "seed %d", seed)
		orig, _ := r.k.Image().Sym("do_add")
		require.NotEqual(t, byte(0xcc), r.text(orig.Addr))
		all += hits
		r.k.Close()
	}
	require.NotZero(t, all, "no schedule had a hit")
}

// A probe that is removed between its two handlers still sees the end of the
// hit: unregister_kprobe waits for it.
func TestRemovedBetweenHandlers(t *testing.T) {
	r := newRig(t, kernel.Config{CPUs: 2}, kprobes.Options{})
	var log []string
	p := &kprobes.Kprobe{Symbol: "do_add",
		Pre: func(c *kernel.CPU, p *kprobes.Kprobe, _ traps.Regs) int {
			c.WaitFor("the other CPU to unregister", func() bool { return !p.Registered() })
			log = append(log, "pre")
			return 0
		},
		Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { log = append(log, "post") }}
	r.register(p)
	addr, _ := r.k.Syms.Lookup("do_add")
	require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error { _, err := c.Call(addr, 1, 2); return err }))
	require.NoError(t, r.k.Spawn(1, func(c *kernel.CPU) error {
		c.Yield()
		err := r.s.Unregister(c, p)
		log = append(log, "unregistered")
		return err
	}))
	require.NoError(t, r.k.Wait())
	require.Equal(t, []string{"pre", "post", "unregistered"}, log)
}
