package kernel

// rcuHead is a callback that waits for a grace period.
type rcuHead struct {
	since []uint64 // each CPU's quiet count at the start
	f     func()
}

// snapshot notes which CPUs have to pass a quiescent state; those that are
// not in an atomic context have just done so.
func (k *Kernel) snapshot() []uint64 {
	s := make([]uint64, len(k.CPUs))
	for i, c := range k.CPUs {
		s[i] = c.quiet
	}
	return s
}

// passed says whether every CPU but one has left the code it was in at the
// snapshot.
func (k *Kernel) passed(s []uint64, except *CPU) bool {
	for _, c := range k.CPUs {
		if c != except && !c.passed(s) {
			return false
		}
	}
	return true
}

func (c *CPU) passed(s []uint64) bool { return !c.Atomic() || c.quiet != s[c.ID] }

// SynchronizeSched waits until every other CPU has left the handler that it
// may be in (kernel/rcupdate.c, 2.6.21). In an atomic context it returns at
// once: what must wait is for CallRCU.
func (c *CPU) SynchronizeSched() {
	if c.Atomic() {
		return
	}
	c.PatchStep("begins a grace period", 0)
	s := c.K.snapshot()
	c.WaitFor("handlers in flight on other CPUs", func() bool { return c.K.passed(s, c) })
	c.K.runRCU()
}

// CallRCU runs f when no CPU is in a handler that it was in now.
func (k *Kernel) CallRCU(f func()) {
	k.rcu = append(k.rcu, rcuHead{k.snapshot(), f})
	k.runRCU()
}

func (k *Kernel) runRCU() {
	var rest []rcuHead
	ready := k.rcu
	k.rcu = nil
	for _, h := range ready {
		if k.passed(h.since, nil) {
			h.f()
		} else {
			rest = append(rest, h)
		}
	}
	k.rcu = append(rest, k.rcu...)
}

// PreemptDisable keeps grace periods from ending while a CPU is between two
// traps of one probe hit, and the guest from switching tasks there: it counts
// in the guest's preempt_count as well.
func (c *CPU) PreemptDisable() {
	c.preempt++
	c.setWord(c.K.off.cpuPreempt, c.word(c.K.off.cpuPreempt)+1)
}

// PreemptEnable undoes one PreemptDisable.
func (c *CPU) PreemptEnable() {
	c.preempt--
	c.setWord(c.K.off.cpuPreempt, c.word(c.K.off.cpuPreempt)-1)
	if c.preempt == 0 && c.depth <= 1 {
		c.quiet++
	}
}

// PreemptCount is the guest's own preempt_count: what its code has disabled,
// and what the hits in flight count.
func (c *CPU) PreemptCount() uint64 { return c.word(c.K.off.cpuPreempt) }
