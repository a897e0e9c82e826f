package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

// smpChain is a kernel whose CPUs 0 and 1 fault all the time while CPU 2
// registers and unregisters handlers.
type smpChain struct {
	*kernel.Kernel
	t        *testing.T
	rng      *rand.Rand
	handlers []*traps.FaultHandler
	mayRun   []bool // as CPU 2 knows it: false from when unregister has returned
	loop     uint64
	wrong    []string
	waited   int // how often unregister met the handler running elsewhere
}

func newSMPChain(t *testing.T, seed uint64) *smpChain {
	s := &smpChain{t: t, rng: rand.New(rand.NewPCG(seed, 1)), mayRun: make([]bool, 4)}
	s.Kernel = boot(t, kernel.Config{CPUs: 3, Policy: kernel.NewRandom(seed, 20)})
	s.loop, _ = s.Syms.Lookup("do_loop")
	for i := range s.mayRun {
		h := &traps.FaultHandler{Name: fmt.Sprint(i), Vectors: traps.Vectors(x86.PF)}
		h.Call = func(tr *traps.Trap) traps.FaultStatus { return s.handle(i, tr) }
		s.handlers = append(s.handlers, h)
	}
	last := &traps.FaultHandler{Name: "last", Call: func(tr *traps.Trap) traps.FaultStatus {
		tr.Regs.SetIP(tr.Regs.IP() + 3) // peek's load
		return traps.FaultFixed
	}}
	require.NoError(t, s.Do(0, func(c *kernel.CPU) error { return c.RegisterFaultHandler(last, true) }))
	return s
}

// handle runs guest code for a while, in which others get their turn; the
// handler must be allowed to run at both ends.
func (s *smpChain) handle(i int, tr *traps.Trap) traps.FaultStatus {
	c := tr.CPU.(*kernel.CPU)
	s.check(i, c, "begins")
	_, err := c.Call(s.loop, uint64(s.rng.IntN(40)))
	require.NoError(s.t, err)
	if s.rng.IntN(4) == 0 {
		c.Yield()
	}
	s.check(i, c, "ends")
	return traps.FaultContinue
}

func (s *smpChain) check(i int, c *kernel.CPU, when string) {
	if !s.mayRun[i] {
		s.wrong = append(s.wrong, fmt.Sprintf("handler %d %s on CPU %d after unregister has returned", i, when, c.ID))
	}
}

func (s *smpChain) faults(c *kernel.CPU) error {
	peek, _ := s.Syms.Lookup("peek")
	for range 40 {
		if _, err := c.Call(peek, absent); err != nil {
			return err
		}
	}
	return nil
}

func (s *smpChain) changes(c *kernel.CPU) error {
	for range 60 {
		i := s.rng.IntN(len(s.handlers))
		h := s.handlers[i]
		if h.Registered() {
			if _, busy := h.RunningElsewhere(c.ID); busy {
				s.waited++
			}
			if err := c.UnregisterFaultHandler(h); err != nil {
				return err
			}
			s.mayRun[i] = false
		} else {
			s.mayRun[i] = true
			if err := c.RegisterFaultHandler(h, s.rng.IntN(2) == 0); err != nil {
				return err
			}
		}
		if _, err := c.Call(s.loop, uint64(s.rng.IntN(60))); err != nil {
			return err
		}
	}
	return nil
}

// Whatever the schedule, when unregister_fault_handler has returned nobody
// runs the handler, and nobody begins to.
func TestUnregisterUnderRandomSchedules(t *testing.T) {
	waited, calls := 0, uint64(0)
	for seed := range uint64(30) {
		s := newSMPChain(t, seed)
		require.NoError(t, s.Spawn(0, s.faults))
		require.NoError(t, s.Spawn(1, s.faults))
		require.NoError(t, s.Spawn(2, s.changes))
		require.NoError(t, s.Wait())
		require.Empty(t, s.wrong, "seed %d", seed)
		waited += s.waited
		for _, h := range s.handlers {
			calls += h.Calls
			require.Zero(t, h.Skipped)
		}
		s.Close()
	}
	require.Greater(t, waited, 30)
	require.Greater(t, calls, uint64(500))
	t.Log(calls, "calls of handlers,", waited, "removals that had to wait")
}
