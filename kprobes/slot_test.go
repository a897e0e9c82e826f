package kprobes_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
)

// A CPU may stand in a boosted slot when the probe is gone: the slot is not
// given to another probe before it has left.
func TestBoostedSlotIsFreedLazily(t *testing.T) {
	r := newRig(t, kernel.Config{CPUs: 2, Policy: &kernel.Script{Quantum: 1, Order: slices.Repeat([]int{0, 1}, 5000)}}, boosting)
	r.guestCode("", "FN many\n\t.rept 700\n\tnop\n\t.endr\n\tret\nENDFN many\nFN slow\n\tmov $1000000, %ecx\n\trep lodsb\n\tret\nENDFN slow\n")
	slow, _ := r.k.Syms.Lookup("slow")
	p := &kprobes.Kprobe{Addr: slow + 5}
	many, _ := r.k.Syms.Lookup("many")
	fill := func(c *kernel.CPU, from, n int) (slots map[uint64]bool) {
		slots = map[uint64]bool{}
		for i := range n {
			q := &kprobes.Kprobe{Addr: many + uint64(from+i)}
			require.NoError(t, r.s.Register(c, q))
			require.True(t, q.Boosted())
			slots[q.Slot()] = true
		}
		return slots
	}
	left := false
	var slot uint64
	require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error {
		if err := r.s.Register(c, p); err != nil {
			return err
		}
		slot = p.Slot()
		if err := r.k.Spawn(1, func(c *kernel.CPU) error {
			_, err := c.Call(slow, 0, kernel.PageOffset)
			left = true
			return err
		}); err != nil {
			return err
		}
		for r.k.CPUs[1].V.IP() != slot {
			require.False(t, left, "never seen in the slot")
			c.Yield()
		}
		if err := r.s.Unregister(c, p); err != nil {
			return err
		}
		used, pages := r.s.Slots()
		require.Zero(t, used)
		require.Equal(t, 1, pages)
		require.NotContains(t, fill(c, 0, 300), slot)
		require.False(t, left, "it is in the slot no more")
		return nil
	}))
	require.NoError(t, r.k.Wait())
	require.True(t, left)
	r.do(0, func(c *kernel.CPU) error {
		require.Contains(t, fill(c, 300, 400), slot, "now it is free")
		return nil
	})
}

// Probes come and go under CPUs that are sent into boosted slots all the time,
// and slots are used again: each CPU finds its own copy in the slot it is in.
func TestBoostedSlotsAreReused(t *testing.T) {
	reused := 0
	for seed := uint64(1); seed <= 5; seed++ {
		r := newRig(t, kernel.Config{CPUs: 3, Policy: kernel.NewRandom(seed, 2)}, boosting)
		r.guestCode("", "FN mine\n\tlea (%rdi,%rsi), %rax\n\tret\nENDFN mine\nFN other\n\tmov $666, %eax\n\tret\nENDFN other\n")
		addr, _ := r.k.Syms.Lookup("mine")
		done := false
		seen := map[uint64]bool{}
		var hits uint64
		require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error {
			defer func() { done = true }()
			for range 400 {
				p, q := &kprobes.Kprobe{Symbol: "mine"}, &kprobes.Kprobe{Symbol: "other"}
				for _, p := range []*kprobes.Kprobe{p, q} {
					if err := r.s.Register(c, p); err != nil {
						return err
					}
					if seen[p.Slot()] {
						reused++
					}
					seen[p.Slot()] = true
				}
				c.Yield()
				if err := r.s.UnregisterAll(c, []*kprobes.Kprobe{p, q}); err != nil {
					return err
				}
				hits += p.Hits
			}
			return nil
		}))
		for cpu := 1; cpu < 3; cpu++ {
			require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
				for i := uint64(0); !done; i++ {
					if ret, err := c.Call(addr, i, uint64(cpu)); err != nil || ret != i+uint64(cpu) {
						return fmt.Errorf("mine(%d, %d) = %d, %v", i, cpu, ret, err)
					}
				}
				return nil
			}))
		}
		require.NoError(t, r.k.Wait(), "seed %d", seed)
		require.Greater(t, hits, uint64(100))
		_, pages := r.s.Slots()
		require.LessOrEqual(t, pages, 2)
		r.k.Close()
	}
	require.Greater(t, reused, 500)
}
