package traps

import (
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
)

// A FaultStatus is what a fault handler says: fault_status_t of the proposal
// for Akaros (seed 004, 2015).
type FaultStatus int32

// The three statuses of the proposal.
const (
	FaultContinue FaultStatus = 0 // status_continue_next_handler: not mine
	FaultFixed    FaultStatus = 1 // status_fault_fixed: go on with the registers as they are now
	FaultFail     FaultStatus = 2 // status_fail: nobody can; neither other handlers nor the exception table
)

var faultStatusNames = [...]string{"status_continue_next_handler", "status_fault_fixed", "status_fail"}

// FaultStatusNames are the names of the statuses in the order of their values.
func FaultStatusNames() []string { return slices.Clone(faultStatusNames[:]) }

func (s FaultStatus) String() string {
	if s < 0 || int(s) >= len(faultStatusNames) {
		return fmt.Sprintf("status %d", int32(s))
	}
	return faultStatusNames[s]
}

// A VectorSet is a set of exceptions, a bit for each vector below 32.
type VectorSet uint32

// notForHandlers: what comes from outside or leaves nothing to go on with.
const notForHandlers VectorSet = 1<<x86.NMI | 1<<x86.DF | 1<<x86.MC

// AllFaults are the exceptions that a handler can be for.
const AllFaults = ^notForHandlers

// Vectors makes a set.
func Vectors(list ...x86.Vector) VectorSet {
	var s VectorSet
	for _, v := range list {
		s |= 1 << v
	}
	return s
}

// Has says whether the set has a vector.
func (s VectorSet) Has(v x86.Vector) bool { return v < 32 && s>>v&1 != 0 }

// Refused are the members that no handler can be for.
func (s VectorSet) Refused() VectorSet { return s & notForHandlers }

// String is "#GP, #PF"; AllFaults is "all".
func (s VectorSet) String() string {
	if s == AllFaults {
		return "all"
	}
	var names []string
	for v := x86.Vector(0); v < 32; v++ {
		if s.Has(v) {
			names = append(names, v.String())
		}
	}
	return strings.Join(names, ", ")
}

// A FaultHandler is one entry of the list of fault handlers. Name, Vectors and
// Call are the caller's, and stay as they are while it is registered.
type FaultHandler struct {
	Name    string
	Vectors VectorSet // 0: AllFaults
	Call    func(*Trap) FaultStatus

	Calls   uint64 // times it was called
	Fixed   uint64 // times it said FaultFixed
	Failed  uint64 // times it said FaultFail, or nothing that is a status
	Skipped uint64 // faults that were not shown to it, since it was running on that CPU

	listed  bool
	running []int // calls in progress, by CPU
}

// Registered says whether the handler is in a list.
func (h *FaultHandler) Registered() bool { return h.listed }

// RunningOn says whether the handler runs on a CPU.
func (h *FaultHandler) RunningOn(cpu int) bool { return cpu < len(h.running) && h.running[cpu] > 0 }

// RunningElsewhere says whether it runs on a CPU other than that one; its
// number is the first such.
func (h *FaultHandler) RunningElsewhere(cpu int) (other int, ok bool) {
	for i, n := range h.running {
		if n > 0 && i != cpu {
			return i, true
		}
	}
	return 0, false
}

// A FaultChain is the list of fault handlers. The zero value is empty. It may
// change while it is walked: a walk goes on with the list that it began with,
// but calls no handler that has left.
type FaultChain struct {
	// NoGuard: a handler is called again for a fault of its own.
	NoGuard bool

	list []*FaultHandler
	last []stuckFault // by CPU
}

// Register adds a handler at the head or at the tail; false when it is in the
// list already.
func (c *FaultChain) Register(h *FaultHandler, tail bool) bool {
	if h.listed {
		return false
	}
	i := 0
	if tail {
		i = len(c.list)
	}
	c.list = slices.Insert(slices.Clone(c.list), i, h)
	h.listed = true
	return true
}

// Unregister takes a handler out; false when it is not in the list. It may
// still run afterwards where it runs now: see RunningElsewhere.
func (c *FaultChain) Unregister(h *FaultHandler) bool {
	i := slices.Index(c.list, h)
	if i < 0 {
		return false
	}
	c.list = slices.Delete(slices.Clone(c.list), i, i+1)
	h.listed = false
	return true
}

// Handlers is the list as it is now.
func (c *FaultChain) Handlers() []*FaultHandler { return c.list }

// Run asks the handlers that a fault is for, in the order of the list, until
// one says something else than FaultContinue. by is that one, nil if there
// was none. A handler that runs on this CPU already, so that the fault is its
// own or that of something on top of it, is passed over: each nested fault has
// fewer handlers than the one before, which bounds the nesting. bad is called
// with a status that is none; it counts as FaultFail. seen is called after
// each handler.
func (c *FaultChain) Run(t *Trap, bad, seen func(h *FaultHandler, s FaultStatus)) (s FaultStatus, by *FaultHandler) {
	cpu := t.CPU.Number()
	for _, h := range c.list {
		if !h.listed || h.Vectors != 0 && !h.Vectors.Has(t.Vector) {
			continue
		}
		if h.RunningOn(cpu) && !c.NoGuard {
			h.Skipped++
			continue
		}
		s := h.run(t, cpu)
		if s < FaultContinue || s > FaultFail {
			bad(h, s)
			s = FaultFail
		}
		seen(h, s)
		switch s {
		case FaultFixed:
			h.Fixed++
			return s, h
		case FaultFail:
			h.Failed++
			return s, h
		}
	}
	return FaultContinue, nil
}

// run calls the handler. It may not come back, but unwind.
func (h *FaultHandler) run(t *Trap, cpu int) FaultStatus {
	for len(h.running) <= cpu {
		h.running = append(h.running, 0)
	}
	h.Calls++
	h.running[cpu]++
	defer func() { h.running[cpu]-- }()
	return h.Call(t)
}

// A stuckFault is a fault that was fixed, and how often.
type stuckFault struct {
	regs  [NumFields]uint64
	cr2   uint64
	vec   x86.Vector
	times int
}

// maxSameFault is how often one fault may be fixed by trying again: a handler
// may be waiting for what another CPU does.
const maxSameFault = 10_000

// Stuck counts a fault that was fixed by changing nothing, so that the
// instruction is only tried again; true when the same one, with the same
// registers, has come back so often that nothing will change any more.
func (c *FaultChain) Stuck(t *Trap, before [NumFields]uint64) bool {
	cpu := t.CPU.Number()
	for len(c.last) <= cpu {
		c.last = append(c.last, stuckFault{})
	}
	l := &c.last[cpu]
	if t.Regs.Copy() != before {
		*l = stuckFault{}
		return false
	}
	if l.regs != before || l.cr2 != t.CR2 || l.vec != t.Vector {
		*l = stuckFault{regs: before, cr2: t.CR2, vec: t.Vector}
	}
	l.times++
	return l.times >= maxSameFault
}
