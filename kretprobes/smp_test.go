package kretprobes_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kretprobes"
	"emukp/traps"
)

// permutations are all orders of n things.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			out = append(out, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return out
}

// Five return probes on one function, registered in every order and removed
// in every order, while all four CPUs call it.
func TestFiveProbesInEveryOrder(t *testing.T) {
	for _, style := range styles {
		t.Run(style.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kernel.Config{CPUs: 4, Policy: kernel.NewRandom(1, 60)}, styled(style))
			orders := permutations(5)
			if testing.Short() {
				orders = orders[:5]
			}
			for i, in := range orders {
				fiveProbes(r, in, orders[(i*53+17)%len(orders)])
			}
		})
	}
}

func fiveProbes(r *rig, in, out []int) {
	var calls [4][]int // the probes that handled each CPU's last quiet call
	rps := make([]*kretprobes.Kretprobe, 5)
	for i := range rps {
		rps[i] = &kretprobes.Kretprobe{Symbol: "do_add", Label: fmt.Sprint(i), MaxActive: 4,
			Handler: func(c *kernel.CPU, _ *kretprobes.Instance, _ traps.Regs) int {
				calls[c.ID] = append(calls[c.ID], i)
				return 0
			}}
	}
	add := r.sym("do_add")
	busy := func(f func(c *kernel.CPU, i int) error) {
		for cpu := range 4 {
			require.NoError(r.t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
				for i := range uint64(5) {
					if cpu == 0 {
						if err := f(c, int(i)); err != nil {
							return err
						}
					}
					if ret, err := c.Call(add, i, uint64(cpu)); err != nil || ret != i+uint64(cpu) {
						return fmt.Errorf("do_add(%d, %d) = %d, %v", i, cpu, ret, err)
					}
				}
				return nil
			}))
		}
		require.NoError(r.t, r.k.Wait(), "in %v, out %v", in, out)
	}
	busy(func(c *kernel.CPU, i int) error { return r.s.Register(c, rps[in[i]]) })
	// All are there now. An instance belongs to each, so what was entered last
	// at the entry is handled first at the return.
	want := slices.Clone(in)
	for cpu := range calls {
		calls[cpu] = nil
		r.call(cpu, "do_add", 1, 2)
		require.Equal(r.t, want, calls[cpu], "registered %v", in)
	}
	busy(func(c *kernel.CPU, i int) error { return r.s.Unregister(c, rps[out[i]]) })
	require.Zero(r.t, r.kp.Sites())
	require.Zero(r.t, r.s.InUse())
	for _, rp := range rps {
		require.Zero(r.t, rp.NMissed)
	}
}

// An NMI at every instruction from the call to behind the trampoline; its
// handler calls probed functions itself.
func TestNMIAtEveryInstruction(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		var nmis, innerMissed uint64
		square := r.sym("square")
		r.k.Traps.Chain.Register(&traps.Notifier{Name: "test", Call: func(tr *traps.Trap) traps.Verdict {
			if tr.Die == traps.DieNMI {
				nmis++
				ret, err := tr.CPU.(*kernel.CPU).Call(square, 9)
				require.NoError(r.t, err)
				require.EqualValues(r.t, 81, ret)
			}
			return traps.NotifyDone
		}})
		rp := &kretprobes.Kretprobe{Symbol: "level2", MaxActive: 2}
		rp2 := &kretprobes.Kretprobe{Symbol: "level3", MaxActive: 2}
		again := &kretprobes.Kretprobe{Symbol: "level3", MaxActive: 2}
		inNMI := &kretprobes.Kretprobe{Symbol: "square", MaxActive: 2}
		all := []*kretprobes.Kretprobe{rp, rp2, again}
		r.register(rp, rp2, again, inNMI)
		start := r.k.M.Instructions()
		require.EqualValues(r.t, 9, r.call(0, "level1", 1))
		quiet := r.k.M.Instructions() - start
		require.Greater(r.t, quiet, uint64(80))
		for at := uint64(1); at < quiet; at++ {
			r.k.Inject.Reset()
			r.k.Inject.Arm(r.k, &kernel.Injection{At: at, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
			require.EqualValues(r.t, 2*at+7, r.call(0, "level1", at), "NMI after %d instructions", at)
			require.Equal(r.t, at, nmis, "NMI after %d instructions", at)
			for _, p := range all {
				require.Equal(r.t, at+1, p.Hits, "NMI after %d instructions", at)
				require.Zero(r.t, p.NMissed+p.EntryMissed())
			}
			r.whole(rp, rp2, again, inNMI)
			innerMissed = inNMI.EntryMissed()
		}
		r.k.Inject.Reset()
		// Those that came outside of a hit were handled, those inside missed.
		require.Equal(r.t, quiet-1, inNMI.Hits+innerMissed)
		require.NotZero(r.t, inNMI.Hits)
		require.NotZero(r.t, innerMissed)
		require.Zero(r.t, inNMI.NMissed)
	})
}
