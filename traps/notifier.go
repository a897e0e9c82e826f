package traps

import (
	"slices"

	"emukp/emu/x86"
)

// A Die is the reason for which the die chain is called
// (include/asm-x86_64/kdebug.h, enum die_val).
type Die uint8

// Reasons.
const (
	DieOops Die = iota + 1
	DieInt3
	DieDebug
	DieNMI
	DiePageFault
	DieGPF
	DieTrap
)

var dieNames = [...]string{"", "DIE_OOPS", "DIE_INT3", "DIE_DEBUG", "DIE_NMI", "DIE_PAGE_FAULT", "DIE_GPF", "DIE_TRAP"}

func (d Die) String() string { return dieNames[d] }

// CPU is the processor that took a trap, as far as this storey knows it.
type CPU interface {
	Number() int
}

// A Trap is one entry into a do_* function. It is valid until the function
// returns.
type Trap struct {
	CPU    CPU
	Vector x86.Vector
	Die    Die
	Code   uint64 // error code
	CR2    uint64 // of a page fault
	Regs   Regs
	// FailedBy is the fault handler that said FaultFail, nil if none did.
	FailedBy *FaultHandler
}

// A Verdict is what a notifier says (include/linux/notifier.h).
type Verdict uint8

// Verdicts.
const (
	NotifyDone Verdict = iota // not mine
	NotifyOK                  // seen; others may look too
	NotifyStop                // handled: nobody else looks
)

// A Notifier is one entry of the die chain.
type Notifier struct {
	Name     string
	Priority int // higher is called first; equal ones in the order of registration
	Call     func(*Trap) Verdict
}

// A Chain is an atomic notifier chain. The zero value is empty. Changing it
// while it runs is allowed: a running call goes on with the old list.
type Chain struct {
	list []*Notifier
}

// Register adds a notifier.
func (c *Chain) Register(n *Notifier) {
	i := 0
	for i < len(c.list) && c.list[i].Priority >= n.Priority {
		i++
	}
	c.list = slices.Insert(slices.Clone(c.list), i, n)
}

// Unregister removes a notifier; false when it is not in the chain.
func (c *Chain) Unregister(n *Notifier) bool {
	i := slices.Index(c.list, n)
	if i < 0 {
		return false
	}
	c.list = slices.Delete(slices.Clone(c.list), i, i+1)
	return true
}

// Notify calls the chain until one says stop, and returns the last verdict
// that was not NotifyDone.
func (c *Chain) Notify(t *Trap) Verdict {
	last := NotifyDone
	for _, n := range c.list {
		switch v := n.Call(t); v {
		case NotifyStop:
			return v
		case NotifyOK:
			last = v
		}
	}
	return last
}
