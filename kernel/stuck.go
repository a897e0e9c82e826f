package kernel

import (
	"fmt"
	"strings"
)

// DefaultStuckBound is how many instructions of the machine a wait for other
// CPUs' handlers may take: 0.2 s of the machine's time.
const DefaultStuckBound = 2_000_000

// NeverStuck as Config.StuckBound waits for ever, as a kernel does.
const NeverStuck = ^uint64(0)

// A StuckError says that a wait for other CPUs was given up. errors.Is finds
// ETIMEDOUT in it.
type StuckError struct {
	For    string   // what was waited for
	CPUs   []int    // those that did not come
	Where  []string // and where each of them is
	Waited uint64   // instructions of the machine
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("waited %d instructions for %s: %s", e.Waited, e.For, strings.Join(e.Where, "; "))
}

// Unwrap gives errors.Is the code.
func (e *StuckError) Unwrap() error { return ETIMEDOUT }

// waitWithin is WaitFor with an end. stuck says which CPUs have not come.
func (c *CPU) waitWithin(what string, cond func() bool, stuck func(o *CPU) bool) *StuckError {
	start, bound := c.K.M.Instructions(), c.K.cfg.StuckBound
	late := func() bool { return c.K.M.Instructions()-start > bound }
	c.WaitFor(what, func() bool { return cond() || late() })
	if cond() {
		return nil
	}
	e := &StuckError{For: what, Waited: c.K.M.Instructions() - start}
	for _, o := range c.K.CPUs {
		if o != c && stuck(o) {
			e.CPUs = append(e.CPUs, o.ID)
			e.Where = append(e.Where, o.whereabouts())
		}
	}
	return e
}

// whereabouts says what a CPU is doing.
func (c *CPU) whereabouts() string {
	switch {
	case c.waiting != nil:
		return fmt.Sprintf("CPU %d waits for %s", c.ID, c.waitingFor)
	case c.halted:
		return fmt.Sprintf("CPU %d halted at %s with no interrupt to wake it", c.ID, c.K.Syms.Name(c.V.IP()))
	}
	return fmt.Sprintf("CPU %d at %s", c.ID, c.K.Syms.Name(c.V.IP()))
}

// SynchronizeSchedWithin is SynchronizeSched that gives up after
// Config.StuckBound: a handler that never ends must not hold up whoever wants to
// take its probe away. After an error the CPUs that it names may still be in
// what they were in; CallRCU goes on waiting for them.
func (c *CPU) SynchronizeSchedWithin() error {
	if c.Atomic() {
		return nil
	}
	c.PatchStep("begins a grace period", 0)
	s := c.K.snapshot()
	err := c.waitWithin("the handlers of other CPUs", func() bool { return c.K.passed(s, c) },
		func(o *CPU) bool { return !o.passed(s) })
	if err != nil {
		return err
	}
	c.K.runRCU()
	return nil
}
